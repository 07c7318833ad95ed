import { Checkbox, Table, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import type { RunSummary } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { Took, When } from '../../components/when';
import { triggerName, useTriggerName } from './trigger';
import { shortID } from './waiting';

/** Which of the runs shown are chosen for something to be done with all of them. */
export type Selection = { chosen: ReadonlySet<string>; choose: (ids: ReadonlySet<string>) => void };

type Props = { items: RunSummary[]; compact?: boolean; name?: string; selection?: Selection };

/** Runs, newest first; compact leaves out what a workflow's own page says already. */
export function RunTable({ items, compact = false, name, selection }: Props) {
  const { t } = useTranslation();
  const named = useTriggerName();
  return (
    <Table.ScrollContainer minWidth={compact ? 420 : 760}>
      <Table className="kf-table" aria-label={name ?? t('nav.runs')} horizontalSpacing={compact ? 'xs' : 'sm'}>
        <Table.Thead>
          <Table.Tr>
            {selection && (
              <Table.Th w={36}>
                <SelectAll items={items} selection={selection} />
              </Table.Th>
            )}
            <Table.Th>{t('runs.status')}</Table.Th>
            {!compact && <Table.Th>{t('runs.run')}</Table.Th>}
            {!compact && <Table.Th>{t('runs.workflow')}</Table.Th>}
            <Table.Th>{t('runs.trigger')}</Table.Th>
            <Table.Th>{t('runs.created')}</Table.Th>
            <Table.Th>{t('runs.duration')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((run) => (
            <Table.Tr key={run.id}>
              {selection && (
                <Table.Td>
                  <SelectOne id={run.id} selection={selection} />
                </Table.Td>
              )}
              <Table.Td>
                <StatusBadge status={run.status} />
                {run.waiting_for && (
                  <Text size="xs" c="dimmed">
                    {t('runs.slot')}
                  </Text>
                )}
              </Table.Td>
              {!compact && (
                <Table.Td>
                  <Link to="/runs/$id" params={{ id: run.id }} className="kf-mono">
                    {run.id}
                  </Link>
                  {run.error && (
                    <Text size="xs" c="dimmed" lineClamp={1} maw={420}>
                      {run.error.node ? `${run.error.node}: ` : ''}
                      {run.error.message}
                    </Text>
                  )}
                </Table.Td>
              )}
              {!compact && (
                <Table.Td>
                  <Link to="/workflows/$id" params={{ id: run.workflow }}>
                    {run.workflow}
                  </Link>
                  <Text span size="xs" c="dimmed">{` v${String(run.version)}`}</Text>
                </Table.Td>
              )}
              <Table.Td>{named(triggerName(run.trigger))}</Table.Td>
              <Table.Td className="kf-nowrap">
                {compact ? (
                  <Link to="/runs/$id" params={{ id: run.id }}>
                    <When time={run.created_at} />
                  </Link>
                ) : (
                  <When time={run.created_at} />
                )}
              </Table.Td>
              <Table.Td className="kf-nowrap">
                <Took from={run.started_at} to={run.finished_at} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function SelectAll({ items, selection: { chosen, choose } }: { items: RunSummary[]; selection: Selection }) {
  const { t } = useTranslation();
  const all = items.every(({ id }) => chosen.has(id));
  return (
    <Checkbox
      size="xs"
      aria-label={t('runs.selectAll')}
      checked={all}
      indeterminate={!all && chosen.size > 0}
      onChange={() => choose(new Set(all ? [] : items.map(({ id }) => id)))}
    />
  );
}

function SelectOne({ id, selection: { chosen, choose } }: { id: string; selection: Selection }) {
  const { t } = useTranslation();
  const change = () => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    choose(next);
  };
  return <Checkbox size="xs" aria-label={t('runs.select', { id: shortID(id) })} checked={chosen.has(id)} onChange={change} />;
}
