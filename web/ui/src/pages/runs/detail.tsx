import { Alert, Anchor, Button, Grid, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { isUnfinished, queries } from '../../api/queries';
import { runs } from '../../api/resources';
import type { Run } from '../../api/types';
import { StatusBadge } from '../../components/badges';
import { CopyableID } from '../../components/copy';
import { Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { Json } from '../../components/json';
import { Facts, PageHead, Section } from '../../components/layout';
import { At, Took } from '../../components/when';
import { StepTable } from './steps';
import { triggerName, useTriggerName } from './trigger';

const route = getRouteApi('/shell/runs/$id');

export function RunPage() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const run = useQuery(queries.run(id));
  const trail = [
    <Anchor key="runs" component={Link} to="/runs" size="xs">
      {t('nav.runs')}
    </Anchor>,
  ];
  return (
    <>
      <PageHead
        trail={trail}
        name={run.data ? `${run.data.workflow} · ${t('runs.run')}` : t('runs.run')}
        title={
          <Group gap="sm">
            {run.data?.workflow ?? t('runs.run')}
            {run.data && <StatusBadge status={run.data.status} />}
          </Group>
        }
        below={
          <Group fz="sm" c="dimmed">
            <CopyableID id={id} name={t('runs.run')} />
          </Group>
        }
        actions={run.data && isUnfinished(run.data.status) && <CancelButton id={id} />}
      />
      {run.isPending && <Loading />}
      {run.isError && <Failure error={run.error} retry={() => void run.refetch()} />}
      {run.data && <RunBody run={run.data} />}
    </>
  );
}

function CancelButton({ id }: { id: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => runs.cancel(id),
    onSettled: () => client.invalidateQueries({ queryKey: ['runs'] }),
  });
  return (
    <>
      {cancel.isError && <Failure error={cancel.error} />}
      <Button variant="default" onClick={() => cancel.mutate()} loading={cancel.isPending} disabled={cancel.isSuccess}>
        {cancel.isSuccess ? t('runs.canceling') : t('runs.cancel')}
      </Button>
    </>
  );
}

function RunBody({ run }: { run: Run }) {
  const { t } = useTranslation();
  return (
    <Stack gap="md">
      {run.error && (
        <Alert
          color="red"
          icon={<Icon name="alert" />}
          role="alert"
          title={run.error.node ? t('runs.failedAt', { node: run.error.node, code: run.error.code }) : run.error.code}
        >
          {run.error.message}
        </Alert>
      )}
      <Overview run={run} />
      <Section title={t('runs.steps')}>
        <StepTable steps={run.steps ?? []} />
      </Section>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Section title={t('runs.input')}>
            <Payload value={run.input} name={t('runs.input')} />
          </Section>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Section title={t('runs.output')}>
            <Payload value={run.output} name={t('runs.output')} />
          </Section>
        </Grid.Col>
      </Grid>
    </Stack>
  );
}

function Payload({ value, name }: { value: unknown; name: string }) {
  if (value === undefined || value === null) {
    return (
      <Text size="sm" c="dimmed">
        –
      </Text>
    );
  }
  return <Json value={value} name={name} />;
}

function Overview({ run }: { run: Run }) {
  const { t } = useTranslation();
  const named = useTriggerName();
  return (
    <Section title={t('runs.overview')}>
      <Grid gap="md">
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <Facts
            items={[
              [
                t('runs.workflow'),
                <Anchor key="w" component={Link} to="/workflows/$id" params={{ id: run.workflow } as never} size="sm">
                  {run.workflow}
                </Anchor>,
              ],
              [t('credentials.version'), String(run.version)],
              [t('runs.trigger'), named(triggerName(run.trigger))],
            ]}
          />
        </Grid.Col>
        <Grid.Col span={{ base: 12, sm: 6 }}>
          <Facts
            items={[
              [t('runs.created'), <At key="c" time={run.created_at} />],
              [t('runs.started'), <At key="s" time={run.started_at} />],
              [t('runs.finished'), <At key="f" time={run.finished_at} />],
              [t('runs.duration'), <Took key="d" from={run.started_at} to={run.finished_at} />],
            ]}
          />
        </Grid.Col>
      </Grid>
    </Section>
  );
}
