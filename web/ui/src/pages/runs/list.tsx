import { Autocomplete, Group, Select, Table, Text } from '@mantine/core';
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
  const flows = useInfiniteQuery(queries.workflowList({}));
  const known = (flows.data?.pages ?? []).flatMap((page) => page.items.map((each) => each.id));
  const [workflow, setWorkflow] = useState(search.workflow ?? '');
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (former) => ({ ...former, ...change }), replace: true });
  const setLater = useDebouncedCallback(set, 250);
  return (
    <Group gap="xs" p="sm" role="search">
      <Autocomplete
        data-search
        aria-label={t('runs.workflow')}
        placeholder={t('runs.anyWorkflow')}
        leftSection={<Icon name="search" size={14} />}
        w={260}
        limit={20}
        data={known}
        value={workflow}
        onChange={(value) => {
          setWorkflow(value);
          setLater({ workflow: value || undefined });
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
    <Table.ScrollContainer minWidth={compact ? 420 : 760}>
      <Table className="kf-table" aria-label={t('nav.runs')} horizontalSpacing={compact ? 'xs' : 'sm'}>
        <Table.Thead>
          <Table.Tr>
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
              <Table.Td>
                <StatusBadge status={run.status} />
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
