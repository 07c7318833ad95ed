import { Button, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { CredentialType, Preset } from '../../api/types';
import { Failure, Loading, Reveal } from '../../components/feedback';
import { PageHead } from '../../components/layout';
import { useNotify } from '../../components/notify';
import { LeaveGuard } from '../leaveguard';
import { draftFor, inputOf, isID, type Draft } from './draft';
import { CredentialForm } from './form';
import { PresetSection } from './presetsection';
import { TestOutcome } from './testresult';
import { useTrail } from './trail';

export function NewCredentialPage() {
  const { t } = useTranslation();
  const types = useQuery(queries.credentialTypes());
  const presets = useQuery(queries.credentialPresets());
  const trail = useTrail(true);
  return (
    <>
      <PageHead trail={trail} title={t('credentials.new')} name={t('credentials.new')} />
      {types.isPending && <Loading />}
      {types.isError && <Failure error={types.error} retry={() => void types.refetch()} />}
      {types.data?.[0] && (
        <NewCredential
          types={types.data}
          presets={presets.data ?? []}
          initial={draftFor(usualType(types.data, types.data[0]))}
        />
      )}
    </>
  );
}

// Most credentials protect something: the form does not open with "No Auth" chosen.
function usualType(types: CredentialType[], first: CredentialType): CredentialType {
  return types.find((type) => type.id === 'basic_auth') ?? first;
}

type NewProps = { types: CredentialType[]; presets: Preset[]; initial: Draft };

function NewCredential({ types, presets, initial }: NewProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [draft, setDraft] = useState(initial);
  const type = types.find((each) => each.id === draft.type);

  const input = () => {
    if (!type) throw new Error(`unknown authentication type ${draft.type}`);
    return inputOf(draft, type);
  };
  const test = useMutation({ mutationFn: () => credentials.testInput(input()) });
  const save = useMutation({
    mutationFn: () => credentials.create(input()),
    onSuccess: async (created) => {
      client.setQueryData(queries.credential(created.id).queryKey, created);
      void client.invalidateQueries({ queryKey: ['credentials', 'list'] });
      notify('done', t('credentials.createdName', { name: created.name }));
      await navigate({ to: '/credentials/$id', params: { id: created.id } });
    },
  });
  const failure = save.error ?? test.error;
  const problem = failure instanceof ApiError ? failure : undefined;
  const change = (next: Draft) => {
    setDraft(next);
    if (test.data) test.reset();
  };

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit}>
      <LeaveGuard dirty={draft !== initial && !save.isSuccess && !save.isPending} />
      <Stack gap="md" maw={860}>
        {presets.length > 0 && <PresetSection presets={presets} types={types} draft={draft} onChange={change} />}
        <CredentialForm types={types} draft={draft} onChange={change} problem={problem} />
        {test.data && (
          <Reveal key={test.submittedAt}>
            <TestOutcome result={test.data} />
          </Reveal>
        )}
        {failure && (
          <Reveal key={save.submittedAt + test.submittedAt}>
            <Failure error={failure} title={save.isError ? t('form.notSaved') : t('test.notRun')} />
          </Reveal>
        )}
        <Group gap="xs" className="kf-savebar">
          <Button type="submit" size="sm" loading={save.isPending} disabled={!isID(draft.id)}>
            {t('common.save')}
          </Button>
          <Button
            variant="default"
            size="sm"
            loading={test.isPending}
            onClick={() => {
              save.reset();
              test.mutate();
            }}
          >
            {t('test.button')}
          </Button>
          <Button variant="subtle" size="sm" component={Link} to="/credentials">
            {t('common.cancel')}
          </Button>
          <Text size="xs" c="dimmed">
            {t('form.testBeforeSave')}
          </Text>
        </Group>
      </Stack>
    </form>
  );
}
