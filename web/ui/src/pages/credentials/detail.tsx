import { Button, Grid, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import { credentials, type Revised } from '../../api/resources';
import type { Credential, CredentialType } from '../../api/types';
import { StateBadge } from '../../components/badges';
import { CopyableID } from '../../components/copy';
import { Failure, Loading, Reveal } from '../../components/feedback';
import { PageHead } from '../../components/layout';
import { useNotify } from '../../components/notify';
import { useTypeText } from '../../i18n/fields';
import { LeaveGuard } from '../leaveguard';
import { CredentialAside } from './aside';
import { ConflictDialog } from './conflict';
import { draftOf, inputOf, patchOf, type Draft, type Patch } from './draft';
import { CredentialForm } from './form';
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

type EditorProps = { credential: Revised<Credential>; type: CredentialType };

function Editor({ credential, type }: EditorProps) {
  const { t } = useTranslation();
  const trail = useTrail(true);
  const words = useTypeText();
  const [removing, setRemoving] = useState(false);
  const edit = useEdit(credential, type);
  const { draft, dirty, problem } = edit;

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    edit.save.mutate(edit.base.etag);
  };
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
          <Button variant="default" className="kf-danger" onClick={() => setRemoving(true)}>
            {t('common.delete')}
          </Button>
        }
      />
      <LeaveGuard dirty={dirty} />
      <Grid gap="md">
        <Grid.Col span={{ base: 12, lg: 8 }}>
          <form onSubmit={submit}>
            <Stack gap="md">
              <CredentialForm types={[type]} draft={draft} onChange={edit.change} credential={edit.base} problem={problem} />
              <EditOutcome edit={edit} />
              <Group gap="xs" className="kf-savebar">
                <Button type="submit" size="sm" loading={edit.save.isPending} disabled={!dirty}>
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
      {removing && <RemoveDialog credential={credential} etag={credential.etag} onClose={() => setRemoving(false)} />}
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
  if (edit.conflict || !(edit.test.data || edit.save.isError || edit.test.isError)) return null;
  return (
    <Reveal key={edit.save.submittedAt + edit.test.submittedAt}>
      {edit.test.data && <TestOutcome result={edit.test.data} />}
      {edit.save.isError && <Failure error={edit.save.error} title={t('form.notSaved')} />}
      {edit.test.isError && <Failure error={edit.test.error} title={t('test.notRun')} />}
    </Reveal>
  );
}

/** The state of editing: the record the draft began from, the draft, saving, testing, conflict. */
function useEdit(credential: Revised<Credential>, type: CredentialType) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const [base, setBase] = useState(credential);
  const [draft, setDraft] = useState(() => draftOf(credential, type));
  const [conflict, setConflict] = useState<Revised<Credential> | null>(null);
  const patch: Patch = patchOf(draft, base, type);
  const dirty = Object.keys(patch).length > 0;

  const begin = (from: Revised<Credential>) => {
    setBase(from);
    setDraft(draftOf(from, type));
    setConflict(null);
  };
  // A newer revision arrives while nothing is being edited: show it.
  if (!dirty && credential.etag !== base.etag) begin(credential);

  const save = useMutation({
    mutationFn: (etag: string | null) => credentials.patch(base.id, patch, etag),
    onSuccess: (saved) => {
      client.setQueryData(queries.credential(base.id).queryKey, saved);
      begin(saved);
      void client.invalidateQueries({ queryKey: ['credentials'] });
      notify('done', t('credentials.saved', { name: saved.name }));
    },
    onError: async (error) => {
      if (error instanceof ApiError && error.status === 412) setConflict(await credentials.get(base.id));
    },
  });
  const test = useMutation({ mutationFn: () => credentials.testInput(inputOf(draft, type, base)) });

  const discard = () => {
    begin(conflict ?? credential);
    if (conflict) client.setQueryData(queries.credential(base.id).queryKey, conflict);
    save.reset();
    test.reset();
  };
  const failure = save.error ?? test.error;
  return {
    base,
    draft,
    patch,
    dirty,
    conflict,
    save,
    test,
    discard,
    problem: failure instanceof ApiError ? failure : undefined,
    dismissConflict: () => setConflict(null),
    change: (next: Draft) => {
      setDraft(next);
      if (test.data) test.reset();
    },
  };
}
