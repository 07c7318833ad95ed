// The execution of a run: the graph coloured by state or the timeline, and what one node did.
import { Alert, Stack, Tabs, Text, Title } from '@mantine/core';
import { useCallback, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Run } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { Graph } from '../../components/graph/graph';
import type { GraphNode } from '../../components/graph/layout';
import { Section } from '../../components/layout';
import { duration, elapsed } from '../../time';
import type { NodeSteps } from './merge';
import { NodeDetails, stepOf } from './steps';
import { Timeline } from './timeline';
import { WaitReason } from './waiting';

const views = ['graph', 'timeline'] as const;

type Props = { run: Run; graph: GraphNode[]; nodes: NodeSteps[] };

export function Execution({ run, graph, nodes }: Props) {
  const { t } = useTranslation();
  const [selected, setSelected] = useState<string>();
  const select = useCallback((node: string) => setSelected((former) => (former === node ? undefined : node)), []);
  const states = useStates(nodes);
  return (
    <Section title={t('runs.execution')}>
      <Tabs defaultValue="graph" keepMounted={false}>
        <Tabs.List mb="sm">
          {views.map((view) => (
            <Tabs.Tab key={view} value={view}>
              {t(`runs.view_${view}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="graph">
          {graph.length > 0 ? (
            <Graph nodes={graph} states={states} selected={selected} onSelect={select} />
          ) : (
            <Alert color="gray">{t('runs.noGraph')}</Alert>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="timeline">
          <Timeline run={run} graph={graph} nodes={nodes} selected={selected} onSelect={select} />
        </Tabs.Panel>
      </Tabs>
      {selected === undefined ? (
        <Text size="xs" c="dimmed" mt={4}>
          {t('runs.pick')}
        </Text>
      ) : (
        <Picked node={selected} found={nodes.find((each) => each.node === selected)} />
      )}
    </Section>
  );
}

function Picked({ node, found }: { node: string; found?: NodeSteps }) {
  const { t } = useTranslation();
  const name = t('runs.step', { name: node });
  const step = found && stepOf(found);
  return (
    <Stack gap="xs" mt="md" role="group" aria-label={name} className="kf-picked">
      <Title order={3}>
        {name} {step && <StatusBadge status={step.status} />}
      </Title>
      {step ? (
        <>
          <WaitReason step={step} />
          <NodeDetails step={step} elements={found.elements} />
        </>
      ) : (
        <Text size="sm" c="dimmed">
          {t('runs.notStarted')}
        </Text>
      )}
    </Stack>
  );
}

function useStates(nodes: NodeSteps[]) {
  const { i18n } = useTranslation();
  return useMemo(
    () =>
      new Map(
        nodes.map((each) => {
          const step = stepOf(each);
          const took = step.finished_at ? elapsed(step.started_at, step.finished_at, 0) : null;
          return [each.node, { status: step.status, note: took === null ? undefined : duration(took, i18n.language) }];
        }),
      ),
    [nodes, i18n.language],
  );
}
