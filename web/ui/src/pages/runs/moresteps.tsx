// A run may have more steps than are loaded: how many there are, and a way to the next ones.
import { Button, Group, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { stepTotal } from '../../api/steps';
import type { Run, StepStatus } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { Failure } from '../../components/feedback';
import { useMoreSteps } from './live';

/** Runs with fewer steps are counted at a glance. */
const few = 20;

const order: StepStatus[] = ['failed', 'waiting', 'running', 'pending', 'succeeded', 'skipped', 'canceled'];

/** How many steps have each status. */
export function StepCounts({ run }: { run: Run }) {
  const { t, i18n } = useTranslation();
  const total = stepTotal(run);
  if (total <= few) return null;
  const numbers = new Intl.NumberFormat(i18n.language);
  return (
    <Group gap="sm" mb="xs" role="group" aria-label={t('runs.stepCounts')}>
      <Text size="sm">{t('runs.stepCount', { count: total })}</Text>
      {order.map((status) => {
        const count = run.step_counts?.[status] ?? 0;
        return (
          count > 0 && (
            <Group key={status} gap={4}>
              <StatusBadge status={status} />
              <Text size="sm">{numbers.format(count)}</Text>
            </Group>
          )
        );
      })}
    </Group>
  );
}

/** Loads the next page of steps; nothing when all are loaded. */
export function MoreSteps({ run }: { run: Run }) {
  const { t } = useTranslation();
  const more = useMoreSteps(run.id);
  const { steps_cursor: cursor } = run;
  if (!cursor) return null;
  return (
    <>
      <Group justify="center" p="xs">
        <Button variant="default" loading={more.isPending} onClick={() => more.mutate(cursor)}>
          {t('runs.loadSteps', { loaded: run.steps?.length ?? 0, count: stepTotal(run) })}
        </Button>
      </Group>
      {more.isError && <Failure error={more.error} />}
    </>
  );
}
