import { Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Fragment, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Attempt, Call, RequestSummary, Step } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { Icon } from '../../components/icons';
import { Json } from '../../components/json';
import { Took, When } from '../../components/when';
import { duration } from '../../time';

/** A step's name: its node, and with for_each the number of its element. */
export function stepName(step: Step): string {
  const { index } = step;
  return index === undefined || index === null || index < 0 ? step.node : `${step.node}[${String(index)}]`;
}

/** How many attempts a step has had. */
export function attemptsOf(step: Step): number {
  return step.attempts?.length ?? step.attempt ?? 0;
}

/** The last HTTP request of a step. */
export function lastRequest(step: Step): RequestSummary | null {
  return step.request ?? step.attempts?.findLast((attempt) => attempt.request)?.request ?? null;
}

function hasDetails(step: Step): boolean {
  const output = step.output !== undefined && step.output !== null;
  return Boolean(step.error) || output || attemptsOf(step) > 1 || (step.calls ?? []).length > 0;
}

export function StepTable({ steps }: { steps: Step[] }) {
  const { t } = useTranslation();
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const toggle = (name: string) =>
    setOpened((former) => {
      const next = new Set(former);
      if (!next.delete(name)) next.add(name);
      return next;
    });
  if (steps.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t('runs.noSteps')}
      </Text>
    );
  }
  return (
    <Table.ScrollContainer minWidth={760}>
      <Table className="kf-table" aria-label={t('runs.steps')} highlightOnHover={false}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('runs.node')}</Table.Th>
            <Table.Th>{t('runs.status')}</Table.Th>
            <Table.Th>{t('runs.attempts')}</Table.Th>
            <Table.Th>{t('runs.duration')}</Table.Th>
            <Table.Th>{t('runs.request')}</Table.Th>
            <Table.Th>{t('runs.details')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {steps.map((step) => {
            const name = stepName(step);
            const open = opened.has(name);
            return (
              <Fragment key={name}>
                <StepRow step={step} name={name} open={open} onToggle={() => toggle(name)} />
                {open && (
                  <Table.Tr>
                    <Table.Td colSpan={6}>
                      <StepDetails step={step} name={name} />
                    </Table.Td>
                  </Table.Tr>
                )}
              </Fragment>
            );
          })}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function StepRow({ step, name, open, onToggle }: { step: Step; name: string; open: boolean; onToggle: () => void }) {
  const { t } = useTranslation();
  const request = lastRequest(step);
  return (
    <Table.Tr>
      <Table.Td className="kf-mono kf-nowrap" fw={550}>
        {name}
      </Table.Td>
      <Table.Td>
        <StatusBadge status={step.status} />
        {step.due_at && step.status === 'waiting' && (
          <Text size="xs" c="dimmed">
            {step.waits_for ? t('runs.givesUp') : t('runs.due')} <When time={step.due_at} />
          </Text>
        )}
        <WaitReason step={step} />
      </Table.Td>
      <Table.Td>{attemptsOf(step) || '–'}</Table.Td>
      <Table.Td className="kf-nowrap">
        <Took from={step.started_at} to={step.finished_at} />
      </Table.Td>
      <Table.Td>{request ? <RequestLine request={request} /> : '–'}</Table.Td>
      <Table.Td>
        {hasDetails(step) ? (
          <Button
            variant="default"
            size="compact-xs"
            aria-expanded={open}
            aria-label={`${open ? t('runs.hide') : t('runs.show')}: ${name}`}
            onClick={onToggle}
            leftSection={<Icon name="chevron" size={12} />}
            className={open ? 'kf-open' : undefined}
          >
            {step.error ? step.error.code : t('runs.details')}
          </Button>
        ) : (
          '–'
        )}
      </Table.Td>
    </Table.Tr>
  );
}

/** Why a step waits for a person, and the way to what ends it. */
function WaitReason({ step }: { step: Step }) {
  const { t } = useTranslation();
  if (step.status !== 'waiting' || !step.waits_for) return null;
  return (
    <div>
      {step.error && (
        <Text size="xs" maw={320}>
          {step.error.message}
        </Text>
      )}
      <Text size="xs">
        <Link className="kf-do" to="/credentials/$id" params={{ id: step.waits_for }} search={{ connect: '1' }}>
          {t('runs.connect', { id: step.waits_for })}
        </Link>
      </Text>
    </div>
  );
}

function RequestLine({ request }: { request: RequestSummary }) {
  const { i18n } = useTranslation();
  const color = request.status >= 400 ? 'red' : request.status > 0 ? 'teal' : 'gray.6';
  return (
    <Group gap={6} wrap="nowrap">
      <Badge color={color}>{request.status || '–'}</Badge>
      <Text span size="xs" className="kf-mono" lineClamp={2} title={request.url}>
        {request.method} {request.url}
      </Text>
      <Text span size="xs" c="dimmed" style={{ whiteSpace: 'nowrap' }}>
        {duration(request.duration_ms, i18n.language)}
      </Text>
    </Group>
  );
}

function StepDetails({ step, name }: { step: Step; name: string }) {
  const { t } = useTranslation();
  const attempts = step.attempts ?? [];
  return (
    <Stack gap="sm" pb="xs">
      {step.error && (
        <div>
          <Text size="sm" fw={550} c="var(--mantine-color-error)">
            {step.error.code}
          </Text>
          <Text size="sm">{step.error.message}</Text>
        </div>
      )}
      {step.error?.response !== undefined && step.error.response !== null && (
        <Json value={step.error.response} name={`${t('runs.response')}: ${name}`} />
      )}
      {attempts.length > 1 && <AttemptTable attempts={attempts} name={name} />}
      {step.calls && step.calls.length > 0 && <CallTable calls={step.calls} name={name} />}
      {step.output !== undefined && step.output !== null && (
        <Json value={step.output} name={`${t('runs.output')}: ${name}`} />
      )}
    </Stack>
  );
}

function AttemptTable({ attempts, name }: { attempts: Attempt[]; name: string }) {
  const { t } = useTranslation();
  return (
    <Table className="kf-table" aria-label={`${t('runs.attempts')}: ${name}`} verticalSpacing={4}>
      <Table.Tbody>
        {attempts.map((attempt) => (
          <Table.Tr key={attempt.attempt}>
            <Table.Td>{t('runs.attemptN', { n: attempt.attempt })}</Table.Td>
            <Table.Td>
              <Took from={attempt.started_at} to={attempt.finished_at} />
            </Table.Td>
            <Table.Td>{attempt.request ? <RequestLine request={attempt.request} /> : '–'}</Table.Td>
            <Table.Td>{attempt.error ? `${attempt.error.code}: ${attempt.error.message}` : '–'}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** Which credential, in which version, went where. */
function CallTable({ calls, name }: { calls: Call[]; name: string }) {
  const { t } = useTranslation();
  return (
    <Table className="kf-table" aria-label={`${t('runs.credentialUse')}: ${name}`} verticalSpacing={4}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t('runs.credentialUse')}</Table.Th>
          <Table.Th>{t('credentials.version')}</Table.Th>
          <Table.Th>{t('runs.request')}</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {calls.map((call, position) => (
          <Table.Tr key={position}>
            <Table.Td>
              {call.credential ? (
                <Link to="/credentials/$id" params={{ id: call.credential }}>
                  {call.credential}
                </Link>
              ) : (
                '–'
              )}
            </Table.Td>
            <Table.Td>
              {call.version || '–'} <span className="kf-mono">{call.fingerprint}</span>
            </Table.Td>
            <Table.Td>
              <RequestLine request={call} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
