import { Button, Group, Switch, Table, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useInfiniteQuery, useMutation, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { workflows } from '../../api/resources';
import type { Workflow } from '../../api/types';
import { CopyableID } from '../../components/copy';
import { Empty, Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { LoadMore, PageHead } from '../../components/layout';
import { When } from '../../components/when';
import { useNotify } from '../../components/notify';

const route = getRouteApi('/shell/workflows');

export function WorkflowListPage() {
  const { t } = useTranslation();
  const filter = route.useSearch();
  const list = useInfiniteQuery({ ...queries.workflowList(filter), placeholderData: (former) => former });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const filtered = Object.keys(filter).length > 0;
  return (
    <>
      <PageHead title={t('nav.workflows')} name={t('nav.workflows')} actions={<NewButton />} />
      <div className="kf-card">
        {(items.length > 0 || filtered) && <Filters />}
        {list.isPending && <Loading />}
        {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
        {items.length > 0 && <WorkflowTable items={items} />}
        {list.isSuccess && items.length === 0 && (
          <Empty
            title={filtered ? t('common.nothingFound') : t('workflows.emptyTitle')}
            action={
              filtered ? (
                <Button variant="default" component={Link} to="/workflows">
                  {t('common.clearFilters')}
                </Button>
              ) : (
                <NewButton />
              )
            }
          >
            {filtered ? t('common.nothingFoundText') : t('workflows.emptyText')}
          </Empty>
        )}
        <LoadMore {...list} />
      </div>
    </>
  );
}

function NewButton() {
  const { t } = useTranslation();
  return (
    <Button component={Link} to="/workflows/new" leftSection={<Icon name="plus" size={14} />}>
      {t('workflows.new')}
    </Button>
  );
}

function Filters() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [text, setText] = useState(search.q ?? '');
  const [folder, setFolder] = useState(search.folder ?? '');
  const setLater = useDebouncedCallback(
    (change: Partial<typeof search>) => void navigate({ search: (former) => ({ ...former, ...change }), replace: true }),
    250,
  );
  return (
    <Group gap="xs" p="sm" role="search">
      <TextInput
        data-search
        aria-label={t('credentials.search')}
        placeholder={t('credentials.search')}
        leftSection={<Icon name="search" size={14} />}
        w={260}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setLater({ q: event.currentTarget.value || undefined });
        }}
      />
      <TextInput
        aria-label={t('credentials.folder')}
        placeholder={t('credentials.anyFolder')}
        w={170}
        value={folder}
        onChange={(event) => {
          setFolder(event.currentTarget.value);
          setLater({ folder: event.currentTarget.value || undefined });
        }}
      />
    </Group>
  );
}

function WorkflowTable({ items }: { items: Workflow[] }) {
  const { t } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={680}>
      <Table className="kf-table" aria-label={t('nav.workflows')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('credentials.name')}</Table.Th>
            <Table.Th>{t('credentials.folder')}</Table.Th>
            <Table.Th>{t('workflows.enabled')}</Table.Th>
            <Table.Th>{t('credentials.version')}</Table.Th>
            <Table.Th>{t('credentials.updated')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((item) => (
            <Table.Tr key={item.id}>
              <Table.Td>
                <Link to="/workflows/$id" params={{ id: item.id }}>
                  {item.name || item.id}
                </Link>
                <Text size="xs" c="dimmed" component="div">
                  <CopyableID id={item.id} name={item.id} />
                </Text>
              </Table.Td>
              <Table.Td className="kf-mono">{item.folder ?? '/'}</Table.Td>
              <Table.Td>
                <EnabledSwitch workflow={item} />
              </Table.Td>
              <Table.Td>{item.version}</Table.Td>
              <Table.Td>
                <When time={item.updated_at} by={item.updated_by} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

/** Whether a workflow's triggers start runs; switched at once. */
export function EnabledSwitch({ workflow, label }: { workflow: Workflow; label?: string }) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const change = useMutation({
    mutationFn: (enabled: boolean) => workflows.setEnabled(workflow.id, enabled),
    onError: (error) => notify('failed', error.message),
    onSettled: () => client.invalidateQueries({ queryKey: ['workflows'] }),
  });
  const shown = change.isPending ? change.variables : workflow.enabled;
  return (
    <Switch
      checked={shown}
      disabled={change.isPending}
      label={label}
      aria-label={label ? undefined : t('workflows.enabledName', { name: workflow.name || workflow.id })}
      onChange={(event) => change.mutate(event.currentTarget.checked)}
    />
  );
}
