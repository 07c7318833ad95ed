import { Button, Grid, Group, Stack, Tabs, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import type { Revised } from '../../api/resources';
import type { Credential, CredentialType } from '../../api/types';
import { StateBadge } from '../../components/badges';
import { CopyableID } from '../../components/copy';
import { Failure, Loading, Reveal } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { PageHead } from '../../components/layout';
import { useTypeText } from '../../i18n/fields';
import { LeaveGuard } from '../leaveguard';
import { AffectedDialog } from './affected';
import { CredentialAside } from './aside';
import { ConflictDialog } from './conflict';
import { useEdit } from './edit';
import { CredentialForm } from './form';
import { UsagesPanel } from './history/usages';
import { UsesPanel } from './history/uses';
import { VersionsPanel } from './history/versions';
import { RemoveDialog } from './remove';
import { TestOutcome } from './testresult';
import { useTrail } from './trail';

const route = getRouteApi('/shell/credentials/$id');

export function CredentialPage() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const trail = useTrail(true);
  const credential = useQuery(queries.credential(id));
  const types = useQuery(queries.credentialTypes());
  const type = types.data?.find((each) => each.id === credential.data?.type);
  const failure = credential.error ?? types.error;

  if (credential.data && type) return <Editor key={id} credential={credential.data} type={type} />;
  return (
    <>
      <PageHead trail={trail} title={id} name={id} />
      {failure ? (
        <Failure
          error={failure}
          retry={() => {
            void credential.refetch();
            void types.refetch();
          }}
        />
      ) : types.data && credential.data ? (
        <Failure error={new ApiError(0, '', '', '', [])} title={t('credentials.unknownType', { type: credential.data.type })} />
      ) : (
        <Loading />
      )}
    </>
  );
}

const tabs = ['settings', 'usages', 'uses', 'versions'] as const;
type Tab = (typeof tabs)[number];

type EditorProps = { credential: Revised<Credential>; type: CredentialType };

function Editor({ credential, type }: EditorProps) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const edit = useEdit(credential, type);
  const tab = tabs.find((each) => each === search.tab) ?? 'settings';
  const choose = (value: string | null) =>
    void navigate({ search: { tab: value === 'settings' ? undefined : (value ?? undefined) }, replace: true });
  return (
    <>
      <Head credential={credential} type={type} />
      <LeaveGuard dirty={edit.dirty} />
      <Tabs value={tab} onChange={choose} keepMounted={false}>
        <Tabs.List mb="md" aria-label={credential.name}>
          {tabs.map((each) => (
            <Tabs.Tab key={each} value={each}>
              <TabLabel tab={each} credential={credential} />
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="settings" keepMounted>
          <Settings credential={credential} type={type} edit={edit} />
        </Tabs.Panel>
        <Tabs.Panel value="usages">
          <UsagesPanel id={credential.id} />
        </Tabs.Panel>
        <Tabs.Panel value="uses">
          <UsesPanel id={credential.id} />
        </Tabs.Panel>
        <Tabs.Panel value="versions">
          <VersionsPanel credential={credential} />
        </Tabs.Panel>
      </Tabs>
      <EditDialogs edit={edit} type={type} />
    </>
  );
}

function TabLabel({ tab, credential }: { tab: Tab; credential: Credential }) {
  const { t } = useTranslation();
  const counts: Partial<Record<Tab, number>> = { usages: credential.used_by, versions: credential.version };
  const count = counts[tab];
  return (
    <>
      {t(`credentials.tab_${tab}`)}
      {count !== undefined && (
        <Text span size="xs" c="dimmed" ml={6}>
          {count}
        </Text>
      )}
    </>
  );
}

function Head({ credential, type }: EditorProps) {
  const { t } = useTranslation();
  const trail = useTrail(true);
  const words = useTypeText();
  const [removing, setRemoving] = useState(false);
  return (
    <>
      <PageHead
        trail={trail}
        name={credential.name}
        title={
          <Group gap="sm">
            {credential.name}
            <StateBadge state={credential.state} />
          </Group>
        }
        below={
          <Group gap="xs" c="dimmed" fz="sm">
            <CopyableID id={credential.id} name={credential.id} />
            <span>·</span>
            <Text span size="sm">
              {words(type, type.id).label}
            </Text>
          </Group>
        }
        actions={
          <>
            {type.fields.some((field) => field.secret) && (
              <Button
                component={Link}
                to="/credentials/$id/rotate"
                params={{ id: credential.id } as never}
                variant="default"
                leftSection={<Icon name="refresh" size={14} />}
              >
                {t('rotation.rotate')}
              </Button>
            )}
            <Button variant="default" className="kf-danger" onClick={() => setRemoving(true)}>
              {t('common.delete')}
            </Button>
          </>
        }
      />
      {removing && <RemoveDialog credential={credential} etag={credential.etag} onClose={() => setRemoving(false)} />}
    </>
  );
}

type EditProps = { edit: ReturnType<typeof useEdit>; type: CredentialType };

function Settings({ credential, type, edit }: EditorProps & EditProps) {
  const { t } = useTranslation();
  const { draft, dirty, problem } = edit;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    edit.review.mutate();
  };
  return (
    <Grid gap="md">
      <Grid.Col span={{ base: 12, lg: 8 }}>
        <form onSubmit={submit}>
          <Stack gap="md">
            <CredentialForm types={[type]} draft={draft} onChange={edit.change} credential={edit.base} problem={problem} />
            <EditOutcome edit={edit} />
            <Group gap="xs" className="kf-savebar">
              <Button type="submit" size="sm" loading={edit.save.isPending || edit.review.isPending} disabled={!dirty}>
                {t('common.save')}
              </Button>
              {dirty && (
                <Button variant="default" size="sm" loading={edit.test.isPending} onClick={() => edit.test.mutate()}>
                  {t('test.button')}
                </Button>
              )}
              {dirty && (
                <Button variant="subtle" size="sm" onClick={edit.discard}>
                  {t('form.discard')}
                </Button>
              )}
            </Group>
          </Stack>
        </form>
      </Grid.Col>
      <Grid.Col span={{ base: 12, lg: 4 }}>
        <CredentialAside credential={credential} dirty={dirty} />
      </Grid.Col>
    </Grid>
  );
}

function EditDialogs({ edit, type }: EditProps) {
  const usages = edit.review.data ?? [];
  return (
    <>
      {usages.length > 0 && !edit.conflict && (
        <AffectedDialog
          usages={usages}
          saving={edit.save.isPending}
          onConfirm={() => edit.save.mutate(edit.base.etag)}
          onClose={edit.review.reset}
        />
      )}
      {edit.conflict && (
        <ConflictDialog
          latest={edit.conflict}
          patch={edit.patch}
          type={type}
          saving={edit.save.isPending}
          onDiscard={edit.discard}
          onOverwrite={() => edit.save.mutate(edit.conflict?.etag ?? null)}
          onClose={edit.dismissConflict}
        />
      )}
    </>
  );
}

function EditOutcome({ edit }: { edit: ReturnType<typeof useEdit> }) {
  const { t } = useTranslation();
  if (edit.conflict || !(edit.test.data || edit.save.isError || edit.review.isError || edit.test.isError)) return null;
  return (
    <Reveal key={edit.save.submittedAt + edit.test.submittedAt}>
      {edit.test.data && <TestOutcome result={edit.test.data} />}
      {edit.save.isError && <Failure error={edit.save.error} title={t('form.notSaved')} />}
      {edit.review.isError && <Failure error={edit.review.error} title={t('form.notSaved')} />}
      {edit.test.isError && <Failure error={edit.test.error} title={t('test.notRun')} />}
    </Reveal>
  );
}
