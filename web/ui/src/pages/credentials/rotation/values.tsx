import { Button, Group, Stack } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../../api/client';
import { credentials, type Revised } from '../../../api/resources';
import type { Credential, CredentialType } from '../../../api/types';
import { Failure, Reveal } from '../../../components/feedback';
import { Section } from '../../../components/layout';
import { LeaveGuard } from '../../leaveguard';
import { applies, draftOf, isSecret, patchOf, type Draft } from '../draft';
import { FoldedFields, TypeField } from '../fields';

type Props = { credential: Credential; type: CredentialType; onStaged: (next: Revised<Credential>) => void };

/** The draft to begin with: every stored secret open for its replacement, the rest as it is. */
export function replacementDraft(credential: Credential, type: CredentialType): Draft {
  const { candidate } = credential;
  const draft = draftOf(candidate ? { ...credential, fields: candidate.fields } : credential, type);
  for (const field of type.fields) {
    if (isSecret(field, credential)) draft.secrets[field.name] = { mode: 'replace', value: '' };
  }
  return draft;
}

/** The new values; what is staged does not touch the calls being made. */
export function ValuesStep({ credential, type, onStaged }: Props) {
  const { t } = useTranslation();
  const [draft, setDraft] = useState(() => replacementDraft(credential, type));
  const { fields } = patchOf(draft, credential, type); // what is left out stays as it is now
  const stage = useMutation({
    mutationFn: () => credentials.stage(credential.id, fields ?? {}),
    onSuccess: onStaged,
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    stage.mutate();
  };
  return (
    <form onSubmit={submit}>
      <LeaveGuard dirty={fields !== undefined && !stage.isSuccess} />
      <Stack gap="md">
        <ValueFields
          credential={credential}
          type={type}
          draft={draft}
          onChange={setDraft}
          problem={stage.error instanceof ApiError ? stage.error : undefined}
        />
        {stage.isError && (
          <Reveal key={stage.submittedAt}>
            <Failure error={stage.error} title={t('rotation.notStaged')} />
          </Reveal>
        )}
        <Group gap="xs">
          <Button type="submit" size="sm" loading={stage.isPending} disabled={fields === undefined}>
            {t('rotation.toTest')}
          </Button>
          <Button variant="subtle" size="sm" component={Link} to="/credentials/$id" params={{ id: credential.id } as never}>
            {t('common.cancel')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

type FieldsProps = {
  credential: Credential;
  type: CredentialType;
  draft: Draft;
  onChange: (draft: Draft) => void;
  problem?: ApiError;
};

function ValueFields(props: FieldsProps) {
  const { t } = useTranslation();
  const { credential, type, draft } = props;
  const [opened, setOpened] = useState(false);
  const shown = type.fields.filter((field) => applies(field, draft.plain));
  const secret = shown.filter((field) => isSecret(field, credential));
  const plain = shown.filter((field) => !isSecret(field, credential));
  return (
    <Section title={t('rotation.step_values')} help={t('rotation.valuesHelp')}>
      <Stack gap="sm">
        {secret.map((field) => (
          <TypeField key={field.name} {...props} field={field} />
        ))}
        {plain.length > 0 && (
          <FoldedFields
            {...props}
            fields={plain}
            title={t('rotation.otherFields', { count: plain.length })}
            opened={opened}
            onOpen={setOpened}
          />
        )}
      </Stack>
    </Section>
  );
}
