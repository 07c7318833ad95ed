// The fields of an authentication type, drawn from what the server declares about them.
import { Accordion, Alert, Checkbox, Select, SimpleGrid, Stack, Textarea, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import type { Credential, CredentialField, CredentialType } from '../../api/types';
import { useFieldText } from '../../i18n/fields';
import { applies, defaultOf, isSecret, type Draft } from './draft';
import { linesOf, mapOf } from './maps';
import { RedirectURL } from './redirect';
import { SecretField } from './secret';

type Props = {
  type: CredentialType;
  draft: Draft;
  onChange: (draft: Draft) => void;
  credential?: Credential;
  problem?: ApiError;
};

// The fields of the page this one follows; every other optional one waits under "More options".
const usual = new Set([
  'username',
  'password',
  'key',
  'value',
  'in',
  'grant_type',
  'authorization_url',
  'access_token_url',
  'client_id',
  'client_secret',
  'scope',
  'client_authentication',
  'scheme',
  'secret',
  'algorithm',
  'header',
  'template',
  'secret_headers',
]);

export function TypeFields(props: Props) {
  const { t } = useTranslation();
  const { type, draft, credential, problem } = props;
  const shown = type.fields.filter((field) => applies(field, draft.plain));
  const main = shown.filter((field) => usual.has(field.name) || field.required);
  const more = shown.filter((field) => !main.includes(field));
  const [opened, setOpened] = useState(() => more.some((f) => isTouched(f, draft)));
  const hasProblem = more.some((field) => (problem?.at(`/fields/${field.name}`).length ?? 0) > 0);

  if (shown.length === 0) return <Alert color="gray">{t('form.noFields')}</Alert>;
  return (
    <Stack gap="sm">
      {main.map((field) => (
        <Stack gap="sm" key={field.name}>
          {field.name === 'client_id' && draft.plain.grant_type === 'authorization_code' && (
            <RedirectURL stored={credential?.redirect_url} />
          )}
          <TypeField {...props} field={field} />
        </Stack>
      ))}
      {more.length > 0 && (
        <FoldedFields
          {...props}
          fields={more}
          title={t('form.more', { count: more.length })}
          opened={hasProblem || opened}
          onOpen={setOpened}
        />
      )}
    </Stack>
  );
}

type FoldedProps = Props & { fields: CredentialField[]; title: string; opened: boolean; onOpen: (opened: boolean) => void };

/** Fields that most people leave alone, behind their title. */
export function FoldedFields({ fields, title, opened, onOpen, ...props }: FoldedProps) {
  return (
    <Accordion variant="contained" value={opened ? 'fields' : null} onChange={(value) => onOpen(value !== null)}>
      <Accordion.Item value="fields">
        <Accordion.Control>{title}</Accordion.Control>
        <Accordion.Panel>
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm" style={{ alignItems: 'end' }}>
            {fields.map((field) => (
              <TypeField key={field.name} {...props} field={field} />
            ))}
          </SimpleGrid>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}

function isTouched(field: CredentialField, draft: Draft): boolean {
  const value = draft.plain[field.name];
  return value !== undefined && JSON.stringify(value) !== JSON.stringify(defaultOf(field));
}

// A reference says which of the server's own secrets is used: only administrators of everything may set one.
function useMayRefer(): boolean {
  const { data } = useQuery(queries.session());
  return data?.rights?.includes('administer') === true && data.folder === '/';
}

/** One field of an authentication type. */
export function TypeField({ field, type, draft, onChange, credential, problem }: Props & { field: CredentialField }) {
  const text = useFieldText(type.id, field);
  const mayRefer = useMayRefer();
  const error = problem?.at(`/fields/${field.name}`).join(' ') || undefined;
  const set = (value: unknown) => onChange({ ...draft, plain: { ...draft.plain, [field.name]: value } });
  const value = draft.plain[field.name];

  if (isSecret(field, credential)) {
    return (
      <SecretField
        label={text.label}
        help={text.help}
        required={field.required}
        error={error}
        kind={field.kind}
        sources={mayRefer ? (field.sources ?? []) : []}
        stored={credential?.secrets[field.name]}
        draft={draft.secrets[field.name] ?? { mode: 'keep' }}
        onChange={(secret) => onChange({ ...draft, secrets: { ...draft.secrets, [field.name]: secret } })}
      />
    );
  }
  const common = { label: text.label, description: text.help, error, required: field.required };
  switch (field.kind) {
    case 'boolean':
      return (
        <Checkbox
          label={text.label}
          description={text.help}
          error={error}
          checked={value === true}
          onChange={(event) => set(event.currentTarget.checked)}
        />
      );
    case 'choice':
      return (
        <Select
          {...common}
          data={(field.choices ?? []).map((choice) => ({ value: choice, label: text.choice(choice) }))}
          value={String(value ?? '')}
          onChange={set}
        />
      );
    case 'lines':
      return (
        <Textarea
          {...common}
          value={String(value ?? '')}
          autosize
          minRows={2}
          maxRows={12}
          autoComplete="off"
          spellCheck={false}
          classNames={{ input: 'kf-mono' }}
          onChange={(event) => set(event.currentTarget.value)}
        />
      );
    case 'map':
      return <MapField {...common} value={value} onChange={set} />;
    default:
      return (
        <TextInput
          {...common}
          value={String(value ?? '')}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => set(event.currentTarget.value)}
        />
      );
  }
}

type MapProps = {
  label: string;
  description?: string;
  error?: string;
  required?: boolean;
  value: unknown;
  onChange: (value: Record<string, string>) => void;
};

/** A map as lines "name=value". */
function MapField({ value, onChange, ...common }: MapProps) {
  const { t } = useTranslation();
  const [text, setText] = useState(() => linesOf(value));
  return (
    <Textarea
      {...common}
      placeholder={t('form.mapPlaceholder')}
      autosize
      minRows={2}
      value={text}
      spellCheck={false}
      onChange={(event) => {
        setText(event.currentTarget.value);
        onChange(mapOf(event.currentTarget.value));
      }}
    />
  );
}
