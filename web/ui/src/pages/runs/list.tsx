import { Autocomplete, Group, Select, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { runStatuses } from '../../api/types';
import { Empty, Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { LoadMore, PageHead } from '../../components/layout';
import { localTime, timeOf } from '../../time';
import { BulkActions } from './bulk';
import { RunTable } from './table';

const route = getRouteApi('/shell/runs');

export function RunListPage() {
  const { t } = useTranslation();
  const filter = route.useSearch();
  const list = useInfiniteQuery({ ...queries.runList(filter), placeholderData: (former) => former });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const filtered = Object.keys(filter).length > 0;
  return (
    <>
      <PageHead title={t('nav.runs')} name={t('nav.runs')} />
      <div className="kf-card">
        {(items.length > 0 || filtered) && <Filters />}
        {list.isPending && <Loading />}
        {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
        <BulkActions runs={items.filter(({ id }) => chosen.has(id))} onDone={() => setChosen(new Set())} />
        {items.length > 0 && <RunTable items={items} selection={{ chosen, choose: setChosen }} />}
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
  const [workflow, setWorkflow] = useTyped(search.workflow ?? '');
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (former) => ({ ...former, ...change }), replace: true });
  const setWorkflowLater = useDebouncedCallback((text: string) => set({ workflow: text || undefined }), 250);
  return (
    <Group gap="xs" p="sm" role="search" align="end">
      <Autocomplete
        data-search
        aria-label={t('runs.workflow')}
        placeholder={t('runs.anyWorkflow')}
        leftSection={<Icon name="search" size={14} />}
        w={200}
        limit={20}
        data={known}
        value={workflow}
        onChange={(value) => {
          setWorkflow(value);
          setWorkflowLater(value);
        }}
      />
      <Select
        aria-label={t('runs.status')}
        placeholder={t('runs.anyStatus')}
        clearable
        clearButtonProps={{ 'aria-label': t('common.clearFilters') }}
        w={150}
        data={runStatuses.map((status) => ({ value: status, label: t(`status.${status}`) }))}
        value={search.status ?? null}
        onChange={(status) => set({ status: status ?? undefined })}
      />
      <TextFilter name={t('runs.anyTrigger')} value={search.trigger} onChange={(trigger) => set({ trigger })} />
      <TextFilter name={t('credentials.anyFolder')} value={search.folder} onChange={(folder) => set({ folder })} />
      <TimeFilter name={t('runs.since')} value={search.since} onChange={(since) => set({ since })} />
      <TimeFilter name={t('runs.until')} value={search.until} onChange={(until) => set({ until })} />
    </Group>
  );
}

// What is typed into a filter that the URL follows; a URL without it empties it.
function useTyped(value: string): [string, (text: string) => void] {
  const [text, setText] = useState(value);
  const [former, setFormer] = useState(value);
  if (value !== former) {
    setFormer(value);
    if (value === '') setText('');
  }
  return [text, setText];
}

type FilterProps = { name: string; value: string | undefined; onChange: (value: string | undefined) => void };

function TextFilter({ name, value, onChange }: FilterProps) {
  const [text, setText] = useTyped(value ?? '');
  const later = useDebouncedCallback(onChange, 250);
  return (
    <TextInput
      aria-label={name}
      placeholder={name}
      w={130}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        later(event.currentTarget.value.trim() || undefined);
      }}
    />
  );
}

// A moment: in the URL as RFC 3339, in the input as the viewer's local time.
function TimeFilter({ name, value, onChange }: FilterProps) {
  const [text, setText] = useTyped(value && !Number.isNaN(Date.parse(value)) ? localTime(value) : '');
  const later = useDebouncedCallback(onChange, 250);
  return (
    <TextInput
      type="datetime-local"
      label={name}
      w={185}
      classNames={{ label: 'kf-small-label' }}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        later(event.currentTarget.value ? timeOf(event.currentTarget.value) : undefined);
      }}
    />
  );
}
