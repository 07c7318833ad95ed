// Everything about one step: its error and what to do about it, its attempts, what it sent with
// which credential, its output.
import { Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { runs } from '../../api/resources';
import type { Attempt, Call, RequestSummary, Step } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Json } from '../../components/json';
import { Took } from '../../components/when';
import { duration } from '../../time';
import { decisionOf, DecisionLine } from './approval';
import { sameStep, stepName } from './merge';
import { Remedy } from './remedy';
import { useRunScope } from './scope';

export function RequestLine({ request }: { request: RequestSummary }) {
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

export function StepDetails({ step }: { step: Step }) {
  const { t } = useTranslation();
  const attempts = step.attempts ?? [];
  const name = stepName(step);
  const decision = decisionOf(step, useRunScope().types.get(step.node));
  return (
    <Stack gap="sm" pb="xs">
      {step.error && step.status !== 'waiting' && (
        <div>
          <Text size="sm" fw={550} c="var(--mantine-color-error)">
            {step.error.code}
          </Text>
          <Text size="sm">{step.error.message}</Text>
          <Remedy code={step.error.code} />
        </div>
      )}
      {decision && <DecisionLine decision={decision} />}
      {step.error?.response !== undefined && step.error.response !== null && (
        <Titled title={t('runs.response')}>
          <Json value={step.error.response} name={`${t('runs.response')}: ${name}`} />
        </Titled>
      )}
      {(attempts.length > 1 || attempts[0]?.request) && <AttemptTable attempts={attempts} name={name} />}
      {step.calls && step.calls.length > 0 && <CallTable calls={step.calls} name={name} />}
      {step.output !== undefined && step.output !== null && (
        <Titled title={t('runs.output')}>
          <Json value={step.output} name={`${t('runs.output')}: ${name}`} />
        </Titled>
      )}
      {step.shortened && <LongOutput step={step} />}
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
            <Table.Td className="kf-nowrap">{t('runs.attemptN', { n: attempt.attempt })}</Table.Td>
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

function Titled({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div>
      <Text size="xs" c="dimmed" mb={2}>
        {title}
      </Text>
      {children}
    </div>
  );
}

// An output that a stream leaves out is read with the run, when somebody asks for it.
function LongOutput({ step }: { step: Step }) {
  const { t } = useTranslation();
  const { run } = useRunScope();
  const load = useMutation({
    mutationFn: async () => ({ output: (await runs.get(run.id)).steps?.find((each) => sameStep(each, step))?.output }),
  });
  if (load.data) return <Json value={load.data.output ?? null} name={`${t('runs.output')}: ${stepName(step)}`} />;
  return (
    <Group gap="xs">
      <Text size="xs" c="dimmed">
        {t('runs.outputLong')}
      </Text>
      <Button variant="default" size="compact-xs" onClick={() => load.mutate()} loading={load.isPending}>
        {t('runs.outputLoad')}
      </Button>
      {load.isError && <Failure error={load.error} />}
    </Group>
  );
}
