import { Anchor, Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Fragment, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { basePath } from '../../api/client';
import { queries } from '../../api/queries';
import type { Trigger } from '../../api/types';
import { CopyableID } from '../../components/copy';
import { Empty, Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { LoadMore, PageHead } from '../../components/layout';
import { At, When } from '../../components/when';
import { EventDetails, EventDialog } from './event';
import { ScheduleDetails } from './schedule';
import { WebhookDetails } from './webhook';

export function TriggerListPage() {
  const { t } = useTranslation();
  const list = useInfiniteQuery(queries.triggerList());
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <PageHead title={t('nav.triggers')} name={t('nav.triggers')} />
      {list.isPending && <Loading />}
      {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && items.length === 0 && (
        <div className="kf-card">
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
        </div>
      )}
      {items.length > 0 && (
        <Stack gap="md">
          <Schedules items={items.filter(({ type }) => type === 'cron')} />
          <Webhooks items={items.filter(({ type }) => type === 'webhook')} />
          <Events items={items.filter(({ type }) => type === 'event')} />
        </Stack>
      )}
      <LoadMore {...list} />
    </>
  );
}

function Schedules({ items }: { items: Trigger[] }) {
  const { t } = useTranslation();
  return (
    <Kind
      title={t('triggers.schedules')}
      hint={t('triggers.noSchedules')}
      items={items}
      columns={[
        [t('triggers.schedule'), (item) => <Schedule trigger={item} />],
        [t('triggers.next'), (item) => <Next trigger={item} />],
        [t('triggers.counts'), (item) => <span title={t('triggers.countsHelp')}>{`${String(item.missed ?? 0)} / ${String(item.skipped ?? 0)}`}</span>],
      ]}
      details={(item) => <ScheduleDetails trigger={item} />}
    />
  );
}

function Schedule({ trigger }: { trigger: Trigger }) {
  return (
    <>
      <span className="kf-mono">{trigger.schedule}</span>
      <Text size="xs" c="dimmed">
        {trigger.timezone ?? 'UTC'}
      </Text>
    </>
  );
}

function Next({ trigger }: { trigger: Trigger }) {
  const { t } = useTranslation();
  const next = trigger.next?.[0];
  if (!next) return <Text size="xs" c="dimmed">{t(trigger.enabled === false ? 'triggers.off' : 'triggers.noNext')}</Text>;
  return (
    <>
      <When time={next} />
      <Text size="xs" c="dimmed">
        <At time={next} />
      </Text>
    </>
  );
}

function Webhooks({ items }: { items: Trigger[] }) {
  const { t } = useTranslation();
  return (
    <Kind
      title={t('triggers.webhooks')}
      hint={t('triggers.noWebhooks')}
      items={items}
      columns={[
        [t('triggers.url'), (item) => <CopyableID id={urlOf(item)} name={t('triggers.url')} />],
        [t('triggers.methods'), (item) => <span className="kf-mono">{(item.methods ?? []).join(' ')}</span>],
        [t('triggers.caller'), (item) => <Caller trigger={item} />],
      ]}
      details={(item) => <WebhookDetails trigger={item} url={urlOf(item)} />}
    />
  );
}

function urlOf({ url, path }: Trigger): string {
  return url ?? `${window.location.origin}${basePath}/hooks/${(path ?? '').replace(/^\//, '')}`;
}

function Caller({ trigger: { credential } }: { trigger: Trigger }) {
  const { t } = useTranslation();
  if (!credential) return <Text size="xs">{t('triggers.public')}</Text>;
  return (
    <Text size="xs">
      <Link to="/credentials/$id" params={{ id: credential }}>
        {t('triggers.verified', { id: credential })}
      </Link>
    </Text>
  );
}

function Events({ items }: { items: Trigger[] }) {
  const { t } = useTranslation();
  const [testing, setTesting] = useState<string | null>(null);
  return (
    <>
      <Kind
        title={t('triggers.events')}
        hint={t('triggers.noEvents')}
        actions={
          <Button variant="default" onClick={() => setTesting('com.example.test')}>
            {t('triggers.test')}
          </Button>
        }
        items={items}
        columns={[
          [t('triggers.event'), (item) => <span className="kf-mono">{item.event}</span>],
          [t('triggers.filter'), (item) => <Filter trigger={item} />],
        ]}
        details={(item) => <EventDetails trigger={item} onTest={setTesting} />}
      />
      {testing !== null && <EventDialog type={testing} onClose={() => setTesting(null)} />}
    </>
  );
}

function Filter({ trigger: { filter, last_problem } }: { trigger: Trigger }) {
  const { t } = useTranslation();
  return (
    <>
      {filter ? <span className="kf-mono">{filter}</span> : <Text size="xs" c="dimmed">{t('triggers.noFilter')}</Text>}
      {last_problem && (
        <Text size="xs" className="kf-danger">
          {t('triggers.lastProblem')}: {last_problem}
        </Text>
      )}
    </>
  );
}

type KindProps = {
  title: string;
  /** What to do while there is none. */
  hint: string;
  actions?: ReactNode;
  items: Trigger[];
  columns: [string, (item: Trigger) => ReactNode][];
  details: (item: Trigger) => ReactNode;
};

function Kind({ title, hint, actions, items, columns, details }: KindProps) {
  const { t } = useTranslation();
  return (
    <section className="kf-card" aria-label={title}>
      <Group justify="space-between" px="md" pt="sm" pb={4}>
        <h2 className="kf-heading">{title}</h2>
        {actions}
      </Group>
      {items.length === 0 ? (
        <Text size="sm" c="dimmed" px="md" pb="md" className="kf-break">
          {hint}
        </Text>
      ) : (
        <Table.ScrollContainer minWidth={760}>
          <Table className="kf-table" aria-label={title} highlightOnHover={false}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('runs.workflow')}</Table.Th>
                <Table.Th>{t('runs.trigger')}</Table.Th>
                {columns.map(([name]) => (
                  <Table.Th key={name}>{name}</Table.Th>
                ))}
                <Table.Th>{t('runs.details')}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((item) => (
                <Row key={`${item.workflow}/${item.id}`} item={item} columns={columns} details={details} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </section>
  );
}

function Row({ item, columns, details }: { item: Trigger } & Pick<KindProps, 'columns' | 'details'>) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <Fragment>
      <Table.Tr>
        <Table.Td>
          <Link to="/workflows/$id" params={{ id: item.workflow }}>
            {item.workflow}
          </Link>
        </Table.Td>
        <Table.Td>
          {item.id}
          {item.enabled === false && (
            <Badge color="gray.6" ml="xs">
              {t('triggers.off')}
            </Badge>
          )}
        </Table.Td>
        {columns.map(([name, cell]) => (
          <Table.Td key={name}>{cell(item)}</Table.Td>
        ))}
        <Table.Td>
          <Button
            variant="default"
            size="compact-xs"
            aria-expanded={open}
            aria-label={`${open ? t('runs.hide') : t('runs.show')}: ${item.workflow} ${item.id}`}
            onClick={() => setOpen(!open)}
            leftSection={<Icon name="chevron" size={12} />}
            className={open ? 'kf-open' : undefined}
          >
            {t('runs.details')}
          </Button>
        </Table.Td>
      </Table.Tr>
      {open && (
        <Table.Tr>
          <Table.Td colSpan={columns.length + 3}>
            <div className="kf-unfolded">{details(item)}</div>
          </Table.Td>
        </Table.Tr>
      )}
    </Fragment>
  );
}
