import { Box, Button, Group, Input, PasswordInput, Text, Textarea, TextInput } from '@mantine/core';
import { useId, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { CredentialField, SecretInfo } from '../../api/types';
import { When } from '../../components/when';
import type { SecretDraft } from './draft';

type Props = {
  label: string;
  help?: string;
  required?: boolean;
  error?: string;
  /** The kinds of places outside that may hold the value: "env", "file", "vault"; none by default. */
  sources?: string[];
  /** Keys and maps have several lines. */
  kind?: CredentialField['kind'];
  /** What is stored; undefined for a credential that does not exist yet. */
  stored?: SecretInfo;
  draft: SecretDraft;
  onChange: (draft: SecretDraft) => void;
};

/** A write-only value: what is stored is told about, never shown and never stood in for. */
export function SecretField(props: Props) {
  const { stored, draft } = props;
  if (draft.mode === 'refer') return <Reference {...props} />;
  if (stored?.set && draft.mode !== 'replace') return <StoredSecret {...props} stored={stored} />;
  return <NewSecret {...props} />;
}

/** Puts buttons beside an input, level with it whatever stands above and below. */
function beside(buttons: ReactNode) {
  return function Beside(input: ReactNode) {
    return (
      <Group gap="xs" wrap="nowrap" align="flex-end">
        <Box flex={1}>{input}</Box>
        {buttons}
      </Group>
    );
  };
}

const examples: Record<string, string> = { env: 'env:NAME', file: 'file:/run/secrets/name', vault: 'vault:path#key' };

/** Where the value is kept outside, in place of the value. */
function Reference({ label, required, error, sources = [], draft, onChange }: Props) {
  const { t } = useTranslation();
  const possible = sources.map((source) => examples[source] ?? `${source}:`);
  return (
    <TextInput
      label={`${label}: ${t('secret.reference')}`}
      description={t('secret.referenceHelp', { sources: possible.join(', ') })}
      placeholder={possible[0]}
      required={required}
      error={error}
      autoComplete="off"
      spellCheck={false}
      classNames={{ input: 'kf-mono' }}
      value={draft.mode === 'refer' ? draft.ref : ''}
      onChange={(event) => onChange({ mode: 'refer', ref: event.currentTarget.value })}
      inputContainer={beside(
        <Button variant="default" size="sm" onClick={() => onChange({ mode: 'keep' })}>
          {t('secret.enterValue')}
        </Button>,
      )}
    />
  );
}

function NewSecret({ label, help, required, error, kind, sources = [], stored, draft, onChange }: Props) {
  const { t } = useTranslation();
  const value = draft.mode === 'replace' ? draft.value : '';
  const buttons = (
    <>
      {stored?.set && (
        <Button variant="default" size="sm" onClick={() => onChange({ mode: 'keep' })}>
          {t('secret.keep')}
        </Button>
      )}
      {sources.length > 0 && (
        <Button
          variant="default"
          size="sm"
          aria-label={`${t('secret.refer')}: ${label}`}
          onClick={() => onChange({ mode: 'refer', ref: stored?.ref ?? '' })}
        >
          {t('secret.refer')}
        </Button>
      )}
    </>
  );
  const common = {
    inputContainer: beside(buttons),
    label,
    description: stored?.set ? t('secret.replaceHelp') : help,
    required: required && !stored?.set,
    error,
    value,
    spellCheck: false,
  };
  return kind === 'lines' || kind === 'map' ? (
    <Textarea
      {...common}
      autosize
      minRows={2}
      maxRows={12}
      autoComplete="off"
      placeholder={kind === 'map' ? t('form.mapPlaceholder') : undefined}
      classNames={{ input: 'kf-mono' }}
      onChange={(event) => onChange({ mode: 'replace', value: event.currentTarget.value })}
    />
  ) : (
    <PasswordInput
      {...common}
      autoComplete="new-password"
      visibilityToggleButtonProps={{ 'aria-label': t('secret.show'), tabIndex: 0 }}
      onChange={(event) => onChange({ mode: 'replace', value: event.currentTarget.value })}
    />
  );
}

function StoredSecret({ label, help, error, stored, draft, onChange }: Props & { stored: SecretInfo }) {
  const { t } = useTranslation();
  const id = useId();
  const clearing = draft.mode === 'clear';
  return (
    <div role="group" aria-labelledby={id}>
      <Input.Label id={id} labelElement="div">
        {label}
      </Input.Label>
      {help && <Input.Description mb={4}>{help}</Input.Description>}
      <Group gap="xs" className="kf-secret" justify="space-between">
        <Text size="sm" c={clearing ? 'var(--mantine-color-error)' : undefined}>
          {clearing ? t('secret.willClear') : stored.ref ? t('secret.refersTo', { ref: stored.ref }) : t('secret.set')}
          {!clearing && stored.updated_at && (
            <Text span c="dimmed" size="sm">
              {' · '}
              <When time={stored.updated_at} words={(time) => t('secret.changed', { time })} />
            </Text>
          )}
        </Text>
        <Group gap={6}>
          {clearing ? (
            <Button variant="default" size="compact-sm" onClick={() => onChange({ mode: 'keep' })}>
              {t('secret.undo')}
            </Button>
          ) : (
            <>
              <Button
                variant="default"
                size="compact-sm"
                aria-label={`${t('secret.replace')}: ${label}`}
                onClick={() => onChange({ mode: 'replace', value: '' })}
              >
                {t('secret.replace')}
              </Button>
              <Button
                variant="default"
                size="compact-sm"
                aria-label={`${t('secret.clear')}: ${label}`}
                onClick={() => onChange({ mode: 'clear' })}
              >
                {t('secret.clear')}
              </Button>
            </>
          )}
        </Group>
      </Group>
      {error && <Input.Error mt={4}>{error}</Input.Error>}
    </div>
  );
}
