import { ActionIcon, CopyButton, Tooltip } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Icon } from './icons';

/** Copies a text; the name says which, for people who do not see what is beside it. */
export function Copy({ value, name }: { value: string; name: string }) {
  const { t } = useTranslation();
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? t('common.copied') : t('common.copy')} openDelay={300}>
          <ActionIcon size="sm" onClick={copy} aria-label={copied ? t('common.copied') : t('common.copyName', { name })}>
            <Icon name={copied ? 'check' : 'copy'} size={14} />
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** An identifier in monospace with its copy button. */
export function CopyableID({ id, name }: { id: string; name: string }) {
  return (
    <span style={{ display: 'inline-flex', alignItems: 'center', gap: 2 }}>
      <span className="kf-mono">{id}</span>
      <Copy value={id} name={name} />
    </span>
  );
}
