import { SimpleGrid, Stack, TagsInput, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { ApiError } from '../../../api/client';
import { Part } from '../../../components/layout';
import type { Options } from '../options';
import { RuleList } from './rules';

type Props = { options: Options; onChange: (options: Options) => void; problem?: ApiError };

export function OptionFields(props: Props) {
  return (
    <Stack gap="md">
      <LimitFields {...props} />
      <ReminderFields {...props} />
      <RuleList {...props} />
    </Stack>
  );
}

function LimitFields({ options, onChange, problem }: Props) {
  const { t } = useTranslation();
  const set = (change: Partial<Options['limits']>) => onChange({ ...options, limits: { ...options.limits, ...change } });
  const error = (name: string) => problem?.at(`/limits/${name}`).join(' ') || undefined;
  const own = problem?.problems.filter((each) => each.path === '/limits').map((each) => each.message);
  return (
    <Part title={t('options.limits')}>
      <SimpleGrid cols={{ base: 1, sm: 3 }} spacing="sm" style={{ alignItems: 'start' }}>
        <TextInput
          label={t('options.requests')}
          description={t('options.requestsHelp')}
          inputMode="numeric"
          autoComplete="off"
          value={options.limits.requests}
          error={error('requests') ?? (own?.join(' ') || undefined)}
          onChange={(event) => set({ requests: event.currentTarget.value })}
        />
        <TextInput
          label={t('options.per')}
          description={t('options.perHelp')}
          autoComplete="off"
          value={options.limits.per}
          error={error('per')}
          onChange={(event) => set({ per: event.currentTarget.value })}
        />
        <TextInput
          label={t('options.concurrency')}
          description={t('options.concurrencyHelp')}
          inputMode="numeric"
          autoComplete="off"
          value={options.limits.concurrency}
          error={error('concurrency')}
          onChange={(event) => set({ concurrency: event.currentTarget.value })}
        />
      </SimpleGrid>
    </Part>
  );
}

function ReminderFields({ options, onChange, problem }: Props) {
  const { t } = useTranslation();
  const error = (pointer: string) => problem?.at(pointer).join(' ') || undefined;
  return (
    <Part title={t('options.rotation')}>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm" style={{ alignItems: 'start' }}>
        <TextInput
          type="datetime-local"
          label={t('options.expiresAt')}
          description={t('options.expiresAtHelp')}
          value={options.expiresAt}
          error={error('/expires_at')}
          onChange={(event) => onChange({ ...options, expiresAt: event.currentTarget.value })}
        />
        <TextInput
          label={t('options.rotateEvery')}
          description={t('options.rotateEveryHelp')}
          placeholder="90d"
          autoComplete="off"
          value={options.rotateEvery}
          error={error('/rotate_every')}
          onChange={(event) => onChange({ ...options, rotateEvery: event.currentTarget.value })}
        />
        <TextInput
          label={t('options.grace')}
          description={t('options.graceHelp')}
          placeholder="7d"
          autoComplete="off"
          value={options.grace}
          error={error('/grace')}
          onChange={(event) => onChange({ ...options, grace: event.currentTarget.value })}
        />
        <TagsInput
          label={t('options.rotatableBy')}
          description={t('options.rotatableByHelp')}
          acceptValueOnBlur
          splitChars={[',', ' ', ';']}
          value={options.rotatableBy}
          error={error('/rotatable_by')}
          onChange={(rotatableBy) => onChange({ ...options, rotatableBy })}
        />
      </SimpleGrid>
    </Part>
  );
}
