import { Table, Text } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { queries } from '../../../api/queries';
import type { CredentialUse } from '../../../api/types';
import { Empty, Failure, Loading } from '../../../components/feedback';
import { LoadMore, Section } from '../../../components/layout';
import { When } from '../../../components/when';
import { duration } from '../../../time';
import { HTTPStatus } from './usages';

/** The calls made with the credential, newest first. */
export function UsesPanel({ id }: { id: string }) {
  const { t } = useTranslation();
  const list = useInfiniteQuery(queries.credentialUses(id));
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Section title={t('history.uses')} help={t('history.usesHelp')}>
      {list.isPending && <Loading />}
      {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && items.length === 0 && <Empty title={t('history.noUses')}>{t('history.noUsesText')}</Empty>}
      {items.length > 0 && <UseTable items={items} />}
      <LoadMore {...list} />
    </Section>
  );
}

function UseTable({ items }: { items: CredentialUse[] }) {
  const { t } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={820}>
      <Table className="kf-table" aria-label={t('history.uses')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('history.when')}</Table.Th>
            <Table.Th>{t('history.run')}</Table.Th>
            <Table.Th>{t('runs.request')}</Table.Th>
            <Table.Th>{t('runs.status')}</Table.Th>
            <Table.Th>{t('runs.duration')}</Table.Th>
            <Table.Th>{t('credentials.version')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((use, position) => (
            <UseRow key={`${use.run} ${use.node} ${use.at} ${String(position)}`} use={use} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function UseRow({ use }: { use: CredentialUse }) {
  const { i18n } = useTranslation();
  const element = typeof use.index === 'number' && use.index >= 0 ? `[${String(use.index)}]` : '';
  return (
    <Table.Tr>
      <Table.Td className="kf-nowrap">
        <When time={use.at} />
      </Table.Td>
      <Table.Td>
        <Link to="/runs/$id" params={{ id: use.run }}>
          {use.workflow}
        </Link>
        <Text size="xs" c="dimmed" className="kf-mono">
          {use.node}
          {element}
        </Text>
      </Table.Td>
      <Table.Td maw={420}>
        <Text span size="xs" className="kf-mono" lineClamp={2} title={use.url}>
          {use.method} {use.url || use.host}
        </Text>
      </Table.Td>
      <Table.Td>
        <HTTPStatus status={use.status} />
      </Table.Td>
      <Table.Td className="kf-nowrap">{duration(use.duration_ms, i18n.language)}</Table.Td>
      <Table.Td className="kf-nowrap">
        {use.version}{' '}
        <Text span size="xs" c="dimmed" className="kf-mono">
          {use.fingerprint}
        </Text>
      </Table.Td>
    </Table.Tr>
  );
}
