import { Alert, Anchor, Grid, Group, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useMemo, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import type { Run } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { CopyableID } from '../../components/copy';
import { Failure, Loading } from '../../components/feedback';
import { nodesOf } from '../../components/graph/layout';
import { Icon } from '../../components/icons';
import { Json } from '../../components/json';
import { Facts, PageHead, Section } from '../../components/layout';
import { At, Took } from '../../components/when';
import { AgainMenu, CancelButton } from './actions';
import { Approvals } from './approval';
import { Execution } from './execution';
import { useLiveRun } from './live';
import { LiveBadge } from './livebadge';
import { byNode } from './merge';
import { Remedy } from './remedy';
import { RunScopeProvider } from './scope';
import { MoreSteps, StepCounts } from './moresteps';
import { StepTable } from './steps';
import { triggerName, useTriggerName } from './trigger';
import { shortID } from './waiting';

const route = getRouteApi('/shell/runs/$id');

export function RunPage() {
  const { id } = route.useParams();
  return <OneRun key={id} id={id} />;
}

function OneRun({ id }: { id: string }) {
  const { t } = useTranslation();
  const { run, unfinished, state, setPaused, refresh } = useLiveRun(id);
  const trail = [
    <Anchor key="runs" component={Link} to="/runs" size="xs">
      {t('nav.runs')}
    </Anchor>,
  ];
  return (
    <>
      <PageHead
        trail={trail}
        name={run.data ? `${run.data.workflow} · ${t('runs.run')}` : t('runs.run')}
        title={
          <Group gap="sm">
            {run.data?.workflow ?? t('runs.run')}
            {run.data && <StatusBadge status={run.data.status} />}
          </Group>
        }
        below={
          <Group fz="sm" c="dimmed">
            <CopyableID id={id} name={t('runs.run')} />
            {unfinished && <LiveBadge state={state} onPause={setPaused} />}
          </Group>
        }
        actions={run.data && (unfinished ? <CancelButton id={id} onCanceled={refresh} /> : <AgainMenu run={run.data} />)}
      />
      {run.isPending && <Loading />}
      {run.isError && <Failure error={run.error} retry={() => void run.refetch()} />}
      {run.data && <RunBody run={run.data} onDecided={refresh} />}
    </>
  );
}

function RunBody({ run, onDecided }: { run: Run; onDecided: () => void }) {
  const { t } = useTranslation();
  const version = useQuery(queries.workflowVersion(run.workflow, run.version));
  const graph = useMemo(() => nodesOf(version.data?.definition), [version.data]);
  const types = useMemo(() => new Map(graph.map((node) => [node.id, node.type])), [graph]);
  const nodes = useMemo(() => byNode(run.steps ?? []), [run.steps]);
  const scope = useMemo(() => ({ run, types }), [run, types]);
  return (
    <RunScopeProvider value={scope}>
      <Stack gap="md">
        {run.error && <RunFailure error={run.error} />}
        {run.status === 'queued' && (
          <Alert color="gray" title={t(run.waiting_for ? 'runs.slot' : 'runs.queued')}>
            {t(run.waiting_for ? 'runs.slotText' : 'runs.queuedText')}
          </Alert>
        )}
        <Approvals run={run.id} steps={run.steps ?? []} onDecided={onDecided} />
        <Overview run={run} />
        {!version.isPending && <Execution run={run} graph={graph} nodes={nodes} />}
        <Section title={t('runs.steps')} help={t('runs.stepsHelp')}>
          <StepCounts run={run} />
          <StepTable nodes={nodes} />
          <MoreSteps run={run} />
        </Section>
        <Grid gap="md">
          <Grid.Col span={{ base: 12, md: 6 }}>
            <Section title={t('runs.input')}>
              <Payload value={run.input} name={t('runs.input')} />
            </Section>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 6 }}>
            <Section title={t('runs.output')}>
              <Payload value={run.output} name={t('runs.output')} />
            </Section>
          </Grid.Col>
        </Grid>
      </Stack>
    </RunScopeProvider>
  );
}

function RunFailure({ error: { node, code, message } }: { error: NonNullable<Run['error']> }) {
  const { t } = useTranslation();
  return (
    <Alert color="red" icon={<Icon name="alert" />} role="alert" title={node ? t('runs.failedAt', { node, code }) : code}>
      {message}
      <Remedy code={code} />
    </Alert>
  );
}

function Payload({ value, name }: { value: unknown; name: string }) {
  if (value === undefined || value === null) {
    return (
      <Text size="sm" c="dimmed">
        –
      </Text>
    );
  }
  return <Json value={value} name={name} />;
}

// The run that this one repeats, belongs to, or was started for.
function useOrigin({ retry_of, parent, trigger, input }: Run): ReactNode {
  const { t } = useTranslation();
  const failed = trigger.type === 'on_failure' ? (input as { run_id?: unknown } | null)?.run_id : undefined;
  if (retry_of) return <RunLink id={retry_of}>{t('runs.retryOf', { id: shortID(retry_of) })}</RunLink>;
  if (parent) return <RunLink id={parent.run}>{t('runs.parent', { node: parent.node, id: shortID(parent.run) })}</RunLink>;
  if (typeof failed === 'string') return <RunLink id={failed}>{t('runs.failureOf', { id: shortID(failed) })}</RunLink>;
  return null;
}

function RunLink({ id, children }: { id: string; children: ReactNode }) {
  return (
    <Anchor component={Link} to="/runs/$id" params={{ id } as never} size="sm">
      {children}
    </Anchor>
  );
}

function Overview({ run }: { run: Run }) {
  const { t } = useTranslation();
  const named = useTriggerName();
  const origin = useOrigin(run);
  return (
    <Section title={t('runs.overview')}>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <Facts
            items={[
              [
                t('runs.workflow'),
                <Anchor key="w" component={Link} to="/workflows/$id" params={{ id: run.workflow } as never} size="sm">
                  {run.workflow}
                </Anchor>,
              ],
              [t('credentials.version'), String(run.version)],
              [t('runs.trigger'), named(triggerName(run.trigger))],
              ...(origin ? [[t('runs.origin'), origin] satisfies [string, ReactNode]] : []),
            ]}
          />
        </Grid.Col>
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <Facts
            items={[
              [t('runs.created'), <At key="c" time={run.created_at} />],
              [t('runs.started'), <At key="s" time={run.started_at} />],
              [t('runs.finished'), <At key="f" time={run.finished_at} />],
              [t('runs.duration'), <Took key="d" from={run.started_at} to={run.finished_at} />],
            ]}
          />
        </Grid.Col>
      </Grid>
    </Section>
  );
}
