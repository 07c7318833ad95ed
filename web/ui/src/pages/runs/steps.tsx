// The steps of a run as a table: one row per node, its elements below it on demand. Long lists
// come in parts and can be searched.
import { Button, Group, Select, Table, Text, TextInput } from '@mantine/core';
import { Fragment, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { RequestSummary, Step, StepStatus } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { Icon } from '../../components/icons';
import { Took } from '../../components/when';
import { decisionOf, DecisionLine } from './approval';
import { stepName, type NodeSteps } from './merge';
import { useRunScope } from './scope';
import { RequestLine, StepDetails } from './stepdetails';
import { WaitReason } from './waiting';

/** How many attempts a step has had. */
export function attemptsOf(step: Step): number {
  return step.attempts?.length ?? step.attempt ?? 0;
}

/** The last HTTP request of a step. */
export function lastRequest(step: Step): RequestSummary | null {
  return step.request ?? step.attempts?.findLast((attempt) => attempt.request)?.request ?? null;
}

/** The step of a node; while only elements are known, it is at work. */
export function stepOf({ node, step }: NodeSteps): Step {
  return step ?? { node, status: 'running' };
}

const final: StepStatus[] = ['succeeded', 'failed', 'skipped', 'canceled'];
const part = 100;
const manyNodes = 20;

function hasDetails(step: Step, elements: Step[]): boolean {
  const output = step.output !== undefined && step.output !== null;
  const told = output || step.shortened === true || (step.error && step.status !== 'waiting');
  return Boolean(told) || elements.length > 0 || attemptsOf(step) > 0 || (step.calls ?? []).length > 0;
}

export function StepTable({ nodes }: { nodes: NodeSteps[] }) {
  const { t } = useTranslation();
  const [find, setFind] = useState('');
  const [status, setStatus] = useState<string | null>(null);
  const found = useMemo(
    () => nodes.filter((each) => each.node.includes(find) && (status === null || stepOf(each).status === status)),
    [nodes, find, status],
  );
  if (nodes.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t('runs.noSteps')}
      </Text>
    );
  }
  const statuses = [...new Set(nodes.map((each) => stepOf(each).status))];
  return (
    <>
      {nodes.length > manyNodes && (
        <Group gap="xs" mb="xs" role="search">
          <TextInput
            aria-label={t('runs.findNode')}
            placeholder={t('runs.findNode')}
            leftSection={<Icon name="search" size={14} />}
            value={find}
            onChange={(event) => setFind(event.currentTarget.value.trim())}
          />
          <Select
            aria-label={t('runs.status')}
            placeholder={t('runs.anyStatus')}
            clearable
            clearButtonProps={{ 'aria-label': t('common.clearFilters') }}
            w={170}
            data={statuses.map((each) => ({ value: each, label: t(`status.${each}`) }))}
            value={status}
            onChange={setStatus}
          />
        </Group>
      )}
      <Rows key={`${find} ${status ?? ''}`} nodes={found} name={t('runs.steps')} />
    </>
  );
}

function Rows({ nodes, name }: { nodes: NodeSteps[]; name: string }) {
  const { t } = useTranslation();
  const [length, setLength] = useState(part);
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const toggle = (step: string) =>
    setOpened((former) => {
      const next = new Set(former);
      if (!next.delete(step)) next.add(step);
      return next;
    });
  return (
    <>
      <Table.ScrollContainer minWidth={760}>
        <Table className="kf-table" aria-label={name} highlightOnHover={false}>
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
            {nodes.slice(0, length).map((each) => {
              const step = stepOf(each);
              const open = opened.has(stepName(step));
              return (
                <Fragment key={stepName(step)}>
                  <StepRow step={step} elements={each.elements} open={open} onToggle={() => toggle(stepName(step))} />
                  {open && (
                    <Table.Tr>
                      <Table.Td colSpan={6}>
                        <div className="kf-unfolded">
                          <NodeDetails step={step} elements={each.elements} />
                        </div>
                      </Table.Td>
                    </Table.Tr>
                  )}
                </Fragment>
              );
            })}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {nodes.length > length && (
        <Group justify="center" p="xs">
          <Button variant="default" onClick={() => setLength(length + part)}>
            {t('runs.showMore', { count: Math.min(part, nodes.length - length) })}
          </Button>
        </Group>
      )}
    </>
  );
}

/** The details of a node's step, and the table of its elements. */
export function NodeDetails({ step, elements }: { step: Step; elements: Step[] }) {
  const { t } = useTranslation();
  return (
    <>
      <StepDetails step={step} />
      {elements.length > 0 && (
        <Rows
          nodes={elements.map((element) => ({ node: element.node, step: element, elements: [] }))}
          name={t('runs.elementsOf', { node: step.node })}
        />
      )}
    </>
  );
}

type RowProps = { step: Step; elements: Step[]; open: boolean; onToggle: () => void };

function StepRow({ step, elements, open, onToggle }: RowProps) {
  const { t } = useTranslation();
  const request = lastRequest(step);
  const name = stepName(step);
  const { run, types } = useRunScope();
  const decision = decisionOf(step, types.get(step.node));
  return (
    <Table.Tr>
      <Table.Td className="kf-mono kf-nowrap" fw={550}>
        {name}
      </Table.Td>
      <Table.Td>
        <StatusBadge status={step.status} />
        {elements.length > 0 && (
          <Text size="xs" c="dimmed">
            {run.steps_cursor
              ? t('runs.elementsLoaded', { count: elements.length })
              : t('runs.elementsDone', { done: elements.filter((each) => final.includes(each.status)).length, count: elements.length })}
          </Text>
        )}
        <WaitReason step={step} />
        {decision && <DecisionLine decision={decision} />}
      </Table.Td>
      <Table.Td>{attemptsOf(step) || '–'}</Table.Td>
      <Table.Td className="kf-nowrap">
        <Took from={step.started_at} to={step.finished_at} />
      </Table.Td>
      <Table.Td>{request ? <RequestLine request={request} /> : '–'}</Table.Td>
      <Table.Td>
        {hasDetails(step, elements) ? (
          <Button
            variant="default"
            size="compact-xs"
            aria-expanded={open}
            aria-label={`${open ? t('runs.hide') : t('runs.show')}: ${name}`}
            onClick={onToggle}
            leftSection={<Icon name="chevron" size={12} />}
            className={open ? 'kf-open' : undefined}
          >
            {step.error && step.status !== 'waiting' ? step.error.code : t('runs.details')}
          </Button>
        ) : (
          '–'
        )}
      </Table.Td>
    </Table.Tr>
  );
}
