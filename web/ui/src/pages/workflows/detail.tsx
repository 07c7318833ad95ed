import { Anchor, Box, Button, Checkbox, Grid, Group, Select, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import type { Revised } from '../../api/resources';
import type { WorkflowDetail } from '../../api/types';
import { CopyableID } from '../../components/copy';
import { Failure, Loading } from '../../components/feedback';
import { Graph } from '../../components/graph/graph';
import { nodesOf } from '../../components/graph/layout';
import { Icon } from '../../components/icons';
import { Json } from '../../components/json';
import { Facts, PageHead, Section } from '../../components/layout';
import { When } from '../../components/when';
import { RunTable } from '../runs/table';
import { Compare } from './compare';
import { DefinitionEditor } from './editor';
import { EnabledSwitch } from './list';
import { RunDialog } from './rundialog';

const route = getRouteApi('/shell/workflows/$id');

export function WorkflowPage() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const trail = useTrail();
  const workflow = useQuery(queries.workflow(id));
  if (workflow.data) return <Detail key={id} workflow={workflow.data} />;
  return (
    <>
      <PageHead trail={trail} title={id} name={id} />
      {workflow.isError ? (
        <Failure error={workflow.error} retry={() => void workflow.refetch()} title={t('error.title')} />
      ) : (
        <Loading />
      )}
    </>
  );
}

export function useTrail() {
  const { t } = useTranslation();
  return [
    <Anchor key="workflows" component={Link} to="/workflows" size="xs">
      {t('nav.workflows')}
    </Anchor>,
  ];
}

// The name and folder are part of the definition; the list has them as columns.
function textOf(definition: unknown, key: string): string {
  const value = (definition as Record<string, unknown> | null)?.[key];
  return typeof value === 'string' ? value : '';
}

function Detail({ workflow }: { workflow: Revised<WorkflowDetail> }) {
  const { t } = useTranslation();
  const trail = useTrail();
  const [running, setRunning] = useState(false);
  const [editing, setEditing] = useState(false);
  const { definition } = workflow;
  const name = textOf(definition, 'name') || workflow.id;
  return (
    <>
      <PageHead
        trail={trail}
        name={name}
        title={name}
        below={
          <Stack gap={4}>
            <Group gap="xs" c="dimmed" fz="sm">
              <CopyableID id={workflow.id} name={workflow.id} />
            </Group>
            {textOf(definition, 'description') && <Text size="sm">{textOf(definition, 'description')}</Text>}
          </Stack>
        }
        actions={
          <>
            <EnabledSwitch workflow={workflow} label={t('workflows.enabled')} />
            <Button variant="default" onClick={() => setEditing(true)} disabled={editing}>
              {t('workflows.edit')}
            </Button>
            <Button onClick={() => setRunning(true)} leftSection={<Icon name="play" size={14} />}>
              {t('workflows.run')}
            </Button>
          </>
        }
      />
      <Shape definition={definition} />
      <Grid gap="md">
        <Grid.Col span={{ base: 12, lg: 7 }}>
          {editing ? (
            <DefinitionEditor workflow={workflow} onDone={() => setEditing(false)} />
          ) : (
            <Definition workflow={workflow} />
          )}
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 5 }}>
          <Stack gap="md">
            <LastRuns id={workflow.id} />
            <Section title={t('credentials.facts')}>
              <Facts
                items={[
                  [t('credentials.folder'), <span key="f" className="kf-mono">{textOf(definition, 'folder') || '/'}</span>],
                  [t('credentials.version'), String(workflow.version)],
                  [t('credentials.updated'), <When key="u" time={workflow.updated_at} by={workflow.updated_by} />],
                  [t('credentials.created'), <When key="c" time={workflow.created_at} />],
                ]}
              />
            </Section>
          </Stack>
        </Grid.Col>
      </Grid>
      {running && <RunDialog workflow={workflow.id} onClose={() => setRunning(false)} />}
    </>
  );
}

function Shape({ definition }: { definition: unknown }) {
  const { t } = useTranslation();
  const nodes = useMemo(() => nodesOf(definition), [definition]);
  return (
    <Box mb="md">
      <Section title={t('graph.title')}>
        <Graph nodes={nodes} />
      </Section>
    </Box>
  );
}

/** The definition of the current version, or of an earlier one chosen from the list. */
function Definition({ workflow }: { workflow: WorkflowDetail }) {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState<number | null>(null);
  const [comparing, setComparing] = useState(true);
  const version = chosen ?? workflow.version;
  const isEarlier = version !== workflow.version;
  const versions = useQuery(queries.workflowVersions(workflow.id));
  const earlier = useQuery({ ...queries.workflowVersion(workflow.id, version), enabled: isEarlier });
  const definition = isEarlier ? earlier.data?.definition : workflow.definition;
  return (
    <Section
      title={t('workflows.definition')}
      actions={
        <Select
          size="xs"
          w={190}
          aria-label={t('credentials.versions')}
          data={(versions.data ?? [{ version: workflow.version }]).map((each) => ({
            value: String(each.version),
            label:
              each.version === workflow.version
                ? t('workflows.versionCurrent', { n: each.version })
                : t('credentials.versionN', { n: each.version }),
          }))}
          value={String(version)}
          onChange={(value) => setChosen(value === null ? null : Number(value))}
        />
      }
    >
      {isEarlier && earlier.isPending && <Loading />}
      {earlier.isError && <Failure error={earlier.error} retry={() => void earlier.refetch()} />}
      {isEarlier && (
        <Checkbox mb="sm" label={t('compare.show')} checked={comparing} onChange={(event) => setComparing(event.currentTarget.checked)} />
      )}
      {definition !== undefined &&
        (isEarlier && comparing ? (
          <Compare from={{ version, definition }} to={workflow} />
        ) : (
          <Json value={definition} name={t('workflows.definition')} />
        ))}
    </Section>
  );
}

function LastRuns({ id }: { id: string }) {
  const { t } = useTranslation();
  const last = useQuery(queries.lastRuns(id));
  return (
    <Section
      title={t('workflows.lastRuns')}
      actions={
        <Anchor component={Link} to="/runs" search={{ workflow: id } as never} size="sm">
          {t('workflows.allRuns')}
        </Anchor>
      }
    >
      {last.isPending && <Loading />}
      {last.isError && <Failure error={last.error} retry={() => void last.refetch()} />}
      {last.data?.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('workflows.noRuns')}
        </Text>
      )}
      {last.data && last.data.length > 0 && <RunTable items={last.data} compact />}
    </Section>
  );
}
