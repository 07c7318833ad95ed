import { useTranslation } from 'react-i18next';

const kinds = ['manual', 'cron', 'webhook', 'event', 'workflow', 'on_failure'] as const;
type Kind = (typeof kinds)[number];

type TriggerName = { kind: Kind | null; type: string; id: string };

function isKind(text: string): text is Kind {
  return (kinds as readonly string[]).includes(text);
}

/** A trigger's kind, and its id where that says more than the kind. */
export function triggerName({ id, type }: { id: string; type: string }): TriggerName {
  return { kind: isKind(type) ? type : null, type, id: id === type ? '' : id };
}

/** Writes a trigger's name in the language of the page: "Schedule · nightly". */
export function useTriggerName() {
  const { t } = useTranslation();
  return ({ kind, type, id }: TriggerName) => {
    const word = kind ? t(`trigger.${kind}`) : type;
    return id ? `${word} · ${id}` : word;
  };
}
