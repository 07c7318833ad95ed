// Why a step waits, in words, with the way to what ends it.
import { Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import type { Step } from '../../api/types';
import { Until } from '../../components/when';

/** The run that a waiting step has started. */
export function childOf(step: Step): string | null {
  if (step.error?.code !== 'waits_for_workflow') return null;
  const id = (step.output as { run_id?: unknown } | null)?.run_id;
  return typeof id === 'string' ? id : null;
}

/** Whether a person must decide before a step goes on. */
export function needsDecision(step: Step): boolean {
  return step.status === 'waiting' && step.error?.code === 'waits_for_approval';
}

/** The end of an identifier, which differs when runs were started one after the other. */
export function shortID(id: string): string {
  return `…${id.slice(-8)}`;
}

export function WaitReason({ step }: { step: Step }) {
  const { t } = useTranslation();
  if (step.status !== 'waiting') return null;
  const child = childOf(step);
  return (
    <div className="kf-wait">
      <Text size="xs">
        <Reason step={step} />{' '}
        {child && (
          <Link className="kf-do" to="/runs/$id" params={{ id: child }}>
            {t('waits.openRun', { id: shortID(child) })}
          </Link>
        )}
        {step.waits_for && (
          <Link className="kf-do" to="/credentials/$id" params={{ id: step.waits_for }} search={{ connect: '1' }}>
            {t('runs.connect', { id: step.waits_for })}
          </Link>
        )}
      </Text>
      <Due step={step} />
    </div>
  );
}

function Reason({ step: { error, waits_for } }: { step: Step }) {
  const { t } = useTranslation();
  if (!error) return null;
  switch (error.code) {
    case 'waits_for_time':
      return <>{t('waits.time')}</>;
    case 'waits_for_callback':
      return <>{t('waits.callback')}</>;
    case 'waits_for_approval':
      return <>{t('waits.approval', { message: error.message })}</>;
    case 'waits_for_workflow':
      return <>{t('waits.workflow')}</>;
    default:
      return <>{waits_for ? error.message : t('waits.retry', { code: error.code })}</>;
  }
}

// Whether the wait ends well or badly when its time comes depends on what is waited for.
const endsBadly = ['waits_for_callback', 'waits_for_approval'];

function Due({ step }: { step: Step }) {
  const { t } = useTranslation();
  const bad = step.waits_for !== undefined || endsBadly.includes(step.error?.code ?? '');
  if (!step.due_at) {
    return bad ? (
      <Text size="xs" c="dimmed">
        {t('waits.noLimit')}
      </Text>
    ) : null;
  }
  return (
    <Text size="xs" c="dimmed">
      <Until time={step.due_at} past={t('waits.now')} words={(time) => t(bad ? 'waits.givesUp' : 'waits.goesOn', { time })} />
    </Text>
  );
}
