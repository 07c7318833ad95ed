import { Group, Select, Table, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { runStatuses, type RunSummary } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { Empty, Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { LoadMore, PageHead } from '../../components/layout';
import { Took, When } from '../../components/when';
import { triggerName, useTriggerName } from './trigger';

const route = getRouteApi('/shell/runs');

export function RunListPage() {
  const { t } = useTranslation();
  const filter = route.useSearch();
  const list = useInfiniteQuery({ ...queries.runList(filter), placeholderData: (former) => former });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const filtered = Object.keys(filter).length > 0;
  return (
    <>
      <PageHead title={t('nav.runs')} name={t('nav.runs')} />
      <div className="kf-card">
        {(items.length > 0 || filtered) && <Filters key={filter.workflow === undefined ? 'all' : 'some'} />}
        {list.isPending && <Loading />}
        {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
        {items.length > 0 && <RunTable items={items} />}
        {list.isSuccess && items.length === 0 && (
          <Empty
            title={filtered ? t('common.nothingFound') : t('runs.emptyTitle')}
            action={<Link to={filtered ? '/runs' : '/workflows'}>{filtered ? t('common.clearFilters') : t('nav.workflows')}</Link>}
          >
            {filtered ? t('common.nothingFoundText') : t('runs.emptyText')}
          </Empty>
        )}
        <LoadMore {...list} />
      </div>
    </>
  );
}

function Filters() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [workflow, setWorkflow] = useState(search.workflow ?? '');
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (former) => ({ ...former, ...change }), replace: true });
  const setLater = useDebouncedCallback(set, 250);
  return (
    <Group gap="xs" p="sm" role="search">
      <TextInput
        data-search
        aria-label={t('runs.workflow')}
        placeholder={t('runs.anyWorkflow')}
        leftSection={<Icon name="search" size={14} />}
        w={260}
        value={workflow}
        onChange={(event) => {
          setWorkflow(event.currentTarget.value);
          setLater({ workflow: event.currentTarget.value || undefined });
        }}
      />
      <Select
        aria-label={t('runs.status')}
        placeholder={t('runs.anyStatus')}
        clearable
        clearButtonProps={{ 'aria-label': t('common.clearFilters') }}
        w={170}
        data={runStatuses.map((status) => ({ value: status, label: t(`status.${status}`) }))}
        value={search.status ?? null}
        onChange={(status) => set({ status: status ?? undefined })}
      />
    </Group>
  );
}

/** Runs, newest first; compact leaves out what a workflow's own page says already. */
export function RunTable({ items, compact = false }: { items: RunSummary[]; compact?: boolean }) {
  const { t } = useTranslation();
  const named = useTriggerName();
  return (
    <Table.ScrollContainer minWidth={compact ? 0 : 760}>
      <Table className="kf-table" aria-label={t('nav.runs')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('runs.status')}</Table.Th>
            <Table.Th>{t('runs.run')}</Table.Th>
            {!compact && <Table.Th>{t('runs.workflow')}</Table.Th>}
            <Table.Th>{t('runs.trigger')}</Table.Th>
            <Table.Th>{t('runs.created')}</Table.Th>
            <Table.Th>{t('runs.duration')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((run) => (
            <Table.Tr key={run.id}>
              <Table.Td>
                <StatusBadge status={run.status} />
              </Table.Td>
              <Table.Td>
                <Link to="/runs/$id" params={{ id: run.id }} className="kf-mono" title={run.id}>
                  {compact ? `…${run.id.slice(-12)}` : run.id}
                </Link>
                {run.error && !compact && (
                  <Text size="xs" c="dimmed" lineClamp={1} maw={420}>
                    {run.error.node ? `${run.error.node}: ` : ''}
                    {run.error.message}
                  </Text>
                )}
              </Table.Td>
              {!compact && (
                <Table.Td>
                  <Link to="/workflows/$id" params={{ id: run.workflow }}>
                    {run.workflow}
                  </Link>
                  <Text span size="xs" c="dimmed">{` v${String(run.version)}`}</Text>
                </Table.Td>
              )}
              <Table.Td>{named(triggerName(run.trigger))}</Table.Td>
              <Table.Td>
                <When time={run.created_at} />
              </Table.Td>
              <Table.Td>
                <Took from={run.started_at} to={run.finished_at} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
