import { Anchor, Badge, Stack, Table, Text } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { basePath } from '../../api/client';
import { queries } from '../../api/queries';
import type { Trigger } from '../../api/types';
import { CopyableID } from '../../components/copy';
import { Empty, Failure, Loading } from '../../components/feedback';
import { LoadMore, PageHead } from '../../components/layout';
import { At } from '../../components/when';
import { triggerName, useTriggerName } from '../runs/trigger';

export function TriggerListPage() {
  const { t } = useTranslation();
  const list = useInfiniteQuery(queries.triggerList());
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <PageHead title={t('nav.triggers')} name={t('nav.triggers')} />
      <div className="kf-card">
        {list.isPending && <Loading />}
        {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
        {list.isSuccess && items.length === 0 && (
          <Empty
            title={t('triggers.emptyTitle')}
            action={
              <Anchor component={Link} to="/workflows" size="sm">
                {t('nav.workflows')}
              </Anchor>
            }
          >
            {t('triggers.emptyText')}
          </Empty>
        )}
        {items.length > 0 && <TriggerTable items={items} />}
        <LoadMore {...list} />
      </div>
    </>
  );
}

function TriggerTable({ items }: { items: Trigger[] }) {
  const { t } = useTranslation();
  const named = useTriggerName();
  return (
    <Table.ScrollContainer minWidth={760}>
      <Table className="kf-table" aria-label={t('nav.triggers')}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('runs.workflow')}</Table.Th>
            <Table.Th>{t('runs.trigger')}</Table.Th>
            <Table.Th>{t('triggers.when')}</Table.Th>
            <Table.Th>{t('triggers.next')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((item) => (
            <Table.Tr key={`${item.workflow}/${item.id}`}>
              <Table.Td>
                <Link to="/workflows/$id" params={{ id: item.workflow }}>
                  {item.workflow}
                </Link>
              </Table.Td>
              <Table.Td>
                {named(triggerName(item))}
                {item.enabled === false && (
                  <Badge color="gray.6" ml="xs">
                    {t('triggers.off')}
                  </Badge>
                )}
              </Table.Td>
              <Table.Td>
                <Source trigger={item} />
              </Table.Td>
              <Table.Td>
                <Stack gap={0}>
                  {(item.next ?? []).slice(0, 3).map((time) => (
                    <Text key={time} size="xs">
                      <At time={time} />
                    </Text>
                  ))}
                  {(item.next ?? []).length === 0 && '–'}
                </Stack>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

// What a trigger listens to: the schedule, the URL, the type of event.
function Source({ trigger }: { trigger: Trigger }) {
  const { t } = useTranslation();
  if (trigger.type === 'cron') {
    return (
      <>
        <span className="kf-mono">{trigger.schedule}</span>
        <Text span size="xs" c="dimmed">{` ${trigger.timezone ?? 'UTC'}`}</Text>
      </>
    );
  }
  if (trigger.type === 'webhook') {
    const path = (trigger.path ?? '').replace(/^\//, '');
    const url = trigger.url ?? `${window.location.origin}${basePath}/hooks/${path}`;
    return (
      <>
        <CopyableID id={url} name={t('triggers.url')} />
        <Text size="xs" c="dimmed">
          {trigger.credential ? t('triggers.verified', { id: trigger.credential }) : t('triggers.public')}
        </Text>
      </>
    );
  }
  return <span className="kf-mono">{trigger.event ?? '–'}</span>;
}
