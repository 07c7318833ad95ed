import { Button, Checkbox, Group, Select, Table, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { credentialStatuses, type Credential } from '../../api/types';
import { StateBadge } from '../../components/badges';
import { CopyableID } from '../../components/copy';
import { Empty, Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { LoadMore, PageHead } from '../../components/layout';
import { When } from '../../components/when';
import { useTypeText } from '../../i18n/fields';
import { Expires, reasonOf } from './expires';
import { useTrail } from './trail';
import { ExportButton } from './transfer/export';

const route = getRouteApi('/shell/credentials');

export function CredentialListPage() {
  const { t } = useTranslation();
  const filter = route.useSearch();
  const list = useInfiniteQuery({ ...queries.credentialList(filter), placeholderData: (former) => former });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const filtered = Object.keys(filter).length > 0;
  const trail = useTrail(false);
  return (
    <>
      <PageHead trail={trail} title={t('nav.credentials')} name={t('nav.credentials')} actions={<ListActions />} />
      <div className="kf-card">
        {(items.length > 0 || filtered) && <Filters />}
        {list.isPending && <Loading />}
        {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
        {items.length > 0 && <CredentialTable items={items} />}
        {list.isSuccess && items.length === 0 && (filtered ? <NothingFound /> : <NoCredentials />)}
        <LoadMore {...list} />
      </div>
    </>
  );
}

function ListActions() {
  const { t } = useTranslation();
  return (
    <>
      <ExportButton />
      <Button component={Link} to="/import" variant="default">
        {t('import.open')}
      </Button>
      <NewButton />
    </>
  );
}

function NewButton() {
  const { t } = useTranslation();
  return (
    <Button component={Link} to="/credentials/new" leftSection={<Icon name="plus" size={14} />}>
      {t('credentials.new')}
    </Button>
  );
}

function NoCredentials() {
  const { t } = useTranslation();
  return (
    <Empty title={t('credentials.emptyTitle')} action={<NewButton />}>
      {t('credentials.emptyText')}
    </Empty>
  );
}

function NothingFound() {
  const { t } = useTranslation();
  return (
    <Empty
      title={t('common.nothingFound')}
      action={
        <Button variant="default" component={Link} to="/credentials">
          {t('common.clearFilters')}
        </Button>
      }
    >
      {t('common.nothingFoundText')}
    </Empty>
  );
}

function Filters() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const types = useQuery(queries.credentialTypes());
  const words = useTypeText();
  const [text, setText] = useState(search.q ?? '');
  const [folder, setFolder] = useState(search.folder ?? '');
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (former) => ({ ...former, ...change }), replace: true });
  const setLater = useDebouncedCallback(set, 250);
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
      <Select
        aria-label={t('credentials.type')}
        placeholder={t('credentials.anyType')}
        clearable
        clearButtonProps={{ 'aria-label': t('common.clearFilters') }}
        w={190}
        data={(types.data ?? []).map((type) => ({ value: type.id, label: words(type, type.id).label }))}
        value={search.type ?? null}
        onChange={(type) => set({ type: type ?? undefined })}
      />
      <Select
        aria-label={t('credentials.state')}
        placeholder={t('credentials.anyState')}
        clearable
        clearButtonProps={{ 'aria-label': t('common.clearFilters') }}
        w={170}
        data={credentialStatuses.map((status) => ({ value: status, label: t(`state.${status}`) }))}
        value={search.state ?? null}
        onChange={(state) => set({ state: state ?? undefined })}
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
      <Checkbox
        label={t('credentials.onlyUnused')}
        checked={search.unused !== undefined}
        onChange={(event) => set({ unused: event.currentTarget.checked ? 'true' : undefined })}
      />
    </Group>
  );
}

function CredentialTable({ items }: { items: Credential[] }) {
  const { t } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={980}>
      <Table className="kf-table" aria-label={t('nav.credentials')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('credentials.name')}</Table.Th>
            <Table.Th>{t('credentials.type')}</Table.Th>
            <Table.Th>{t('credentials.state')}</Table.Th>
            <Table.Th>{t('credentials.usedBy')}</Table.Th>
            <Table.Th>{t('credentials.lastUsed')}</Table.Th>
            <Table.Th>{t('credentials.expires')}</Table.Th>
            <Table.Th>{t('credentials.folder')}</Table.Th>
            <Table.Th>{t('credentials.updated')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((item) => (
            <CredentialRow key={item.id} item={item} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function CredentialRow({ item }: { item: Credential }) {
  const { t } = useTranslation();
  const types = useQuery(queries.credentialTypes());
  const words = useTypeText();
  return (
    <Table.Tr>
      <Table.Td>
        <Link to="/credentials/$id" params={{ id: item.id }}>
          {item.name}
        </Link>
        <Text size="xs" c="dimmed" component="div">
          <CopyableID id={item.id} name={item.id} />
        </Text>
      </Table.Td>
      <Table.Td>{words(types.data?.find((type) => type.id === item.type), item.type).label}</Table.Td>
      <Table.Td maw={240}>
        <StateBadge state={item.state} />
        {reasonOf(item.state) && (
          <Text size="xs" c="dimmed" lineClamp={1} mt={2}>
            {reasonOf(item.state)}
          </Text>
        )}
      </Table.Td>
      <Table.Td className="kf-nowrap">
        <UsedBy item={item} />
      </Table.Td>
      <Table.Td>
        <When time={item.last_used_at} fallback={t('credentials.neverUsed')} />
      </Table.Td>
      <Table.Td>
        <Expires credential={item} />
      </Table.Td>
      <Table.Td className="kf-mono">{item.folder}</Table.Td>
      <Table.Td>
        <When time={item.updated_at} by={item.updated_by} />
      </Table.Td>
    </Table.Tr>
  );
}

function UsedBy({ item }: { item: Credential }) {
  const { t } = useTranslation();
  if (item.used_by === undefined) return <>–</>;
  if (item.used_by === 0) return <Text span size="sm" c="dimmed">{t('credentials.usedByCount', { count: 0 })}</Text>;
  return (
    <Link to="/credentials/$id" params={{ id: item.id }} search={{ tab: 'usages' }}>
      {t('credentials.usedByCount', { count: item.used_by })}
    </Link>
  );
}
