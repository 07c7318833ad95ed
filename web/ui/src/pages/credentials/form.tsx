// The form of a credential: what it is called, how it authenticates, where and for whom.
import { Group, Radio, SimpleGrid, Stack, TagsInput, Text, Textarea, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { ApiError } from '../../api/client';
import type { Credential, CredentialType } from '../../api/types';
import { Section } from '../../components/layout';
import { useTypeText } from '../../i18n/fields';
import { draftFor, isID, proposeID, type Draft } from './draft';
import { TypeFields } from './fields';
import { MoreSection } from './more';

type Props = {
  types: CredentialType[];
  draft: Draft;
  onChange: (draft: Draft) => void;
  /** The stored credential; undefined while it does not exist. */
  credential?: Credential;
  problem?: ApiError;
};

export function CredentialForm(props: Props) {
  const { types, draft, credential, onChange, problem } = props;
  const type = types.find((each) => each.id === draft.type);
  return (
    <Stack gap="md">
      <NameSection {...props} />
      {!credential && <TypeSection {...props} />}
      {type && <FieldsSection {...props} type={type} />}
      <AccessSection {...props} />
      <MoreSection options={draft.options} onChange={(options) => onChange({ ...draft, options })} problem={problem} />
    </Stack>
  );
}

function at(problem: ApiError | undefined, pointer: string): string | undefined {
  return problem?.at(pointer).join(' ') || undefined;
}

function NameSection({ draft, onChange, credential, problem }: Props) {
  const { t } = useTranslation();
  const rename = (name: string) => {
    const follows = !credential && (draft.id === '' || draft.id === proposeID(draft.name));
    onChange({ ...draft, name, id: follows ? proposeID(name) : draft.id });
  };
  const idError = draft.id !== '' && !isID(draft.id) ? t('form.idPattern') : at(problem, '/id');
  return (
    <Section title={t('form.nameSection')}>
      <Stack gap="sm">
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm" style={{ alignItems: 'start' }}>
          <TextInput
            label={t('form.name')}
            description={t('form.nameHelp')}
            required
            autoComplete="off"
            autoFocus={!credential}
            value={draft.name}
            error={at(problem, '/name')}
            onChange={(event) => rename(event.currentTarget.value)}
          />
          <TextInput
            label={t('form.id')}
            description={credential ? t('form.idFixed') : t('form.idHelp')}
            required
            readOnly={credential !== undefined}
            variant={credential ? 'filled' : 'default'}
            autoComplete="off"
            spellCheck={false}
            classNames={{ input: 'kf-mono' }}
            value={draft.id}
            error={idError}
            onChange={(event) => onChange({ ...draft, id: event.currentTarget.value })}
          />
          <TextInput
            label={t('form.folder')}
            description={t('form.folderHelp')}
            autoComplete="off"
            spellCheck={false}
            value={draft.folder}
            error={at(problem, '/folder')}
            onChange={(event) => onChange({ ...draft, folder: event.currentTarget.value })}
          />
          <Textarea
            label={t('form.description')}
            description={t('form.descriptionHelp')}
            autosize
            minRows={1}
            value={draft.description}
            error={at(problem, '/description')}
            onChange={(event) => onChange({ ...draft, description: event.currentTarget.value })}
          />
        </SimpleGrid>
      </Stack>
    </Section>
  );
}

function TypeSection({ types, draft, onChange, problem }: Props) {
  const { t } = useTranslation();
  const words = useTypeText();
  const choose = (id: string) => {
    const type = types.find((each) => each.id === id);
    if (type) onChange(draftFor(type, draft));
  };
  return (
    <Section title={t('form.type')}>
      <Radio.Group value={draft.type} onChange={choose} error={at(problem, '/type')} aria-label={t('form.type')}>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
          {types.map((type) => {
            const text = words(type, type.id);
            return (
              <Radio.Card key={type.id} value={type.id} p="sm" radius="sm" aria-label={text.label} className="kf-choice">
                <Group wrap="nowrap" align="flex-start" gap="sm">
                  <Radio.Indicator mt={2} />
                  <div>
                    <Text size="sm" fw={550}>
                      {text.label}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {text.summary}
                    </Text>
                  </div>
                </Group>
              </Radio.Card>
            );
          })}
        </SimpleGrid>
      </Radio.Group>
    </Section>
  );
}

function FieldsSection({ type, ...props }: Props & { type: CredentialType }) {
  const { label, summary } = useTypeText()(type, type.id);
  return (
    <Section title={label} help={summary}>
      <TypeFields key={type.id} type={type} {...props} />
    </Section>
  );
}

function AccessSection({ draft, onChange, problem }: Props) {
  const { t } = useTranslation();
  const ownFolder = `${draft.folder.replace(/\/+$/, '')}/**`;
  const optional = draft.type === 'no_auth' || draft.type === 'signing';
  return (
    <Section title={t('form.access')} help={t('form.accessHelp')}>
      <Stack gap="sm">
        <TagsInput
          label={t('form.hosts')}
          description={t('form.hostsHelp')}
          placeholder={draft.allowedHosts.length === 0 ? t('form.hostsPlaceholder') : undefined}
          withAsterisk={!optional}
          acceptValueOnBlur
          splitChars={[',', ' ', ';']}
          value={draft.allowedHosts}
          error={at(problem, '/allowed_hosts') ?? (draft.allowedHosts.includes('*') ? t('form.hostsAny') : undefined)}
          onChange={(allowedHosts) => onChange({ ...draft, allowedHosts })}
        />
        <TagsInput
          label={t('form.workflows')}
          description={t('form.workflowsHelp')}
          placeholder={draft.allowedWorkflows.length === 0 ? t('form.workflowsDefault', { pattern: ownFolder }) : undefined}
          acceptValueOnBlur
          splitChars={[',', ' ', ';']}
          value={draft.allowedWorkflows}
          error={at(problem, '/allowed_workflows')}
          onChange={(allowedWorkflows) => onChange({ ...draft, allowedWorkflows })}
        />
        <TextInput
          label={t('form.testUrl')}
          description={t('form.testUrlHelp')}
          type="url"
          autoComplete="off"
          spellCheck={false}
          value={draft.testURL}
          error={at(problem, '/test_url')}
          onChange={(event) => onChange({ ...draft, testURL: event.currentTarget.value })}
        />
      </Stack>
    </Section>
  );
}
