import { Anchor, Group, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import type { Trigger } from '../../api/types';
import { Failure } from '../../components/feedback';
import { RunTable } from '../runs/table';

/** The last runs that a trigger started. */
export function Recent({ trigger, title }: { trigger: Trigger; title: string }) {
  const { t } = useTranslation();
  const filter = { workflow: trigger.workflow, trigger: trigger.id };
  const recent = useQuery(queries.recentRuns(filter));
  return (
    <div>
      <Group justify="space-between" mb={4}>
        <Title order={3}>{title}</Title>
        <Anchor component={Link} to="/runs" search={filter as never} size="xs">
          {t('triggers.all')}
        </Anchor>
      </Group>
      {recent.isError && <Failure error={recent.error} />}
      {recent.data?.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('triggers.noDeliveries')}
        </Text>
      )}
      {recent.data && recent.data.length > 0 && <RunTable items={recent.data} compact name={`${title}: ${trigger.workflow} ${trigger.id}`} />}
    </div>
  );
}
