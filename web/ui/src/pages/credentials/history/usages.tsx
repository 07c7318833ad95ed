import { Badge, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { queries } from '../../../api/queries';
import type { Usage } from '../../../api/types';
import { Empty, Failure, Loading } from '../../../components/feedback';
import { Section } from '../../../components/layout';
import { When } from '../../../components/when';

/** Everywhere the credential is named, or was used at run time. */
export function UsagesPanel({ id }: { id: string }) {
  const { t } = useTranslation();
  const usages = useQuery(queries.usages(id));
  return (
    <Section title={t('credentials.usages')} help={t('credentials.usagesHelp')}>
      {usages.isPending && <Loading />}
      {usages.isError && <Failure error={usages.error} retry={() => void usages.refetch()} />}
      {usages.data?.length === 0 && <Empty title={t('history.noUsages')}>{t('credentials.unused')}</Empty>}
      {usages.data && usages.data.length > 0 && <UsageTable usages={usages.data} />}
    </Section>
  );
}

function UsageTable({ usages }: { usages: Usage[] }) {
  const { t } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={680}>
      <Table className="kf-table" aria-label={t('credentials.usages')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('runs.workflow')}</Table.Th>
            <Table.Th>{t('history.place')}</Table.Th>
            <Table.Th>{t('history.named')}</Table.Th>
            <Table.Th>{t('credentials.lastUsed')}</Table.Th>
            <Table.Th>{t('history.result')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {usages.map((usage) => (
            <Table.Tr key={`${usage.workflow} ${usage.node ?? ''} ${usage.trigger ?? ''}`}>
              <Table.Td>
                <Link to="/workflows/$id" params={{ id: usage.workflow }}>
                  {usage.workflow}
                </Link>
              </Table.Td>
              <Table.Td>
                {usage.node && t('usage.node', { name: usage.node })}
                {usage.trigger && t('usage.trigger', { name: usage.trigger })}
              </Table.Td>
              <Table.Td>{usage.literal === false ? t('history.atRunTime') : t('history.literal')}</Table.Td>
              <Table.Td className="kf-nowrap">
                <When time={usage.last_used_at} fallback={t('credentials.neverUsed')} />
              </Table.Td>
              <Table.Td maw={320}>
                <Result usage={usage} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Result({ usage }: { usage: Usage }) {
  if (!usage.last_status && !usage.last_error) return <>–</>;
  return (
    <>
      {Boolean(usage.last_status) && <HTTPStatus status={usage.last_status ?? 0} />}
      {usage.last_error && (
        <Text size="xs" lineClamp={2}>
          {usage.last_error}
        </Text>
      )}
    </>
  );
}

/** The status of an HTTP answer; 0 is none. */
export function HTTPStatus({ status }: { status: number }) {
  const color = status >= 400 ? 'red' : status > 0 ? 'teal' : 'gray.6';
  return <Badge color={color}>{status || '–'}</Badge>;
}
