import { Badge, Tooltip } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { CredentialStatus, RunStatus, StepStatus } from '../api/types';

const credentialColors: Record<CredentialStatus, string> = {
  ok: 'teal',
  untested: 'gray.6',
  needs_connect: 'orange',
  needs_reconnect: 'red',
  refused: 'red',
  quota: 'orange',
  expiring: 'yellow',
  expired: 'red',
};

/** A credential's state; the server's reason on hover and focus. */
export function StateBadge({ state }: { state: { status: CredentialStatus; message: string } }) {
  const { t } = useTranslation();
  const badge = (
    <Badge color={credentialColors[state.status]} tabIndex={state.message ? 0 : undefined}>
      {t(`state.${state.status}`)}
    </Badge>
  );
  return state.message ? (
    <Tooltip label={state.message} multiline maw={360} events={{ hover: true, focus: true, touch: true }}>
      {badge}
    </Tooltip>
  ) : (
    badge
  );
}

const statusColors: Record<RunStatus | StepStatus, string> = {
  queued: 'gray.6',
  pending: 'gray.6',
  running: 'blue',
  waiting: 'yellow',
  succeeded: 'teal',
  failed: 'red',
  skipped: 'gray.6',
  canceled: 'orange',
};

/** The status of a run or a step. */
export function StatusBadge({ status }: { status: RunStatus | StepStatus }) {
  const { t } = useTranslation();
  return <Badge color={statusColors[status]}>{t(`status.${status}`)}</Badge>;
}
