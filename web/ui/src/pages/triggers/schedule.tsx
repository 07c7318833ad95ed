import { Grid, Stack, Table, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Trigger } from '../../api/types';
import { Facts } from '../../components/layout';
import { absoluteTime } from '../../time';
import { useDeclared } from './declared';
import { Recent } from './recent';

const overlaps = ['allow', 'skip', 'queue', 'cancel_previous'] as const;

function isOverlap(text: string): text is (typeof overlaps)[number] {
  return (overlaps as readonly string[]).includes(text);
}

export function ScheduleDetails({ trigger }: { trigger: Trigger }) {
  const { t, i18n } = useTranslation();
  const { catch_up } = useDeclared(trigger);
  const overlap = trigger.overlap ?? 'allow';
  const bounds = [
    trigger.from && t('triggers.from', { time: absoluteTime(trigger.from, i18n.language, trigger.timezone) }),
    trigger.until && t('triggers.until', { time: absoluteTime(trigger.until, i18n.language, trigger.timezone) }),
  ].filter(Boolean);
  return (
    <Grid gap="md" pb="xs">
      <Grid.Col span={{ base: 12, md: 7 }}>
        <Stack gap="sm">
          <NextTimes trigger={trigger} />
          {trigger.waiting && <Text size="sm">{t('triggers.waiting', { time: absoluteTime(trigger.waiting, i18n.language) })}</Text>}
          <Facts
            items={[
              ...(trigger.seconds ? [[t('triggers.schedule'), t('triggers.seconds')] satisfies [string, string]] : []),
              [t('triggers.overlap'), isOverlap(overlap) ? t(`triggers.overlap_${overlap}`) : overlap],
              [t('triggers.catchUp'), t('triggers.catchUpFor', { age: catch_up ?? '1m' })],
              [t('triggers.bounds'), bounds.length > 0 ? bounds.join(', ') : t('triggers.noBounds')],
              [t('triggers.missed'), String(trigger.missed ?? 0)],
              [t('triggers.skipped'), String(trigger.skipped ?? 0)],
            ]}
          />
          <Text size="xs" c="dimmed">
            {t('triggers.countsHelp')}
          </Text>
        </Stack>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Recent trigger={trigger} title={t('triggers.recent')} />
      </Grid.Col>
    </Grid>
  );
}

function NextTimes({ trigger }: { trigger: Trigger }) {
  const { t, i18n } = useTranslation();
  const zone = trigger.timezone ?? 'UTC';
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const next = trigger.next ?? [];
  if (next.length === 0) return <Text size="sm">{t(trigger.enabled === false ? 'triggers.switchedOff' : 'triggers.noNext')}</Text>;
  return (
    <div>
      <Title order={3}>{t('triggers.next5')}</Title>
      <Table className="kf-table" aria-label={`${t('triggers.next5')}: ${trigger.workflow} ${trigger.id}`} verticalSpacing={3}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('triggers.inZone', { zone })}</Table.Th>
            <Table.Th>{t('triggers.here', { zone: here })}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {next.map((time) => (
            <Table.Tr key={time}>
              <Table.Td>{absoluteTime(time, i18n.language, zone)}</Table.Td>
              <Table.Td>{absoluteTime(time, i18n.language)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
