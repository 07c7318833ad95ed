import { Button, Checkbox, Group, Select, SimpleGrid, Stack, TagsInput, Text, Textarea, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { ApiError } from '../../../api/client';
import { ruleActions } from '../../../api/types';
import { Icon } from '../../../components/icons';
import { Part } from '../../../components/layout';
import { newRule, type Options, type RuleDraft } from '../options';

type Props = { options: Options; onChange: (options: Options) => void; problem?: ApiError };

/** The failure rules in their order: the first that holds counts. */
export function RuleList({ options, onChange, problem }: Props) {
  const { t } = useTranslation();
  const { rules } = options;
  const set = (next: RuleDraft[]) => onChange({ ...options, rules: next });
  return (
    <Part title={t('options.rules')}>
      <Stack gap="sm">
        <Text size="xs" c="dimmed">
          {t('options.rulesHelp')}
        </Text>
        {rules.map((rule, position) => (
          // Rules have no name of their own: their place is their identity.
          <RuleCard
            key={position}
            rule={rule}
            number={position + 1}
            problem={problem}
            onChange={(changed) => set(rules.with(position, changed))}
            onRemove={() => set(rules.toSpliced(position, 1))}
          />
        ))}
        <Button
          variant="default"
          leftSection={<Icon name="plus" size={14} />}
          onClick={() => set([...rules, newRule])}
          style={{ alignSelf: 'flex-start' }}
        >
          {t('options.addRule')}
        </Button>
      </Stack>
    </Part>
  );
}

type CardProps = {
  rule: RuleDraft;
  number: number;
  problem?: ApiError;
  onChange: (rule: RuleDraft) => void;
  onRemove: () => void;
};

function RuleCard({ rule, number, problem, onChange, onRemove }: CardProps) {
  const { t } = useTranslation();
  const pointer = `/failure_rules/${String(number - 1)}`;
  const own = problem?.problems.filter((each) => each.path === pointer).map((each) => each.message) ?? [];
  const name = t('options.rule', { n: number });
  return (
    <Stack gap="sm" p="sm" className="kf-card" role="group" aria-label={name}>
      <Group justify="space-between">
        <Text size="sm" fw={550}>
          {name}
        </Text>
        <Button variant="subtle" size="compact-sm" onClick={onRemove} aria-label={t('options.removeRule', { n: number })}>
          {t('options.remove')}
        </Button>
      </Group>
      {own.length > 0 && (
        <Text size="xs" c="var(--mantine-color-error)">
          {own.join(' ')}
        </Text>
      )}
      <RuleConditions rule={rule} pointer={pointer} problem={problem} onChange={onChange} />
      <RuleConsequence rule={rule} pointer={pointer} problem={problem} onChange={onChange} />
    </Stack>
  );
}

type PartProps = { rule: RuleDraft; pointer: string; problem?: ApiError; onChange: (rule: RuleDraft) => void };

function RuleConditions({ rule, pointer, problem, onChange }: PartProps) {
  const { t } = useTranslation();
  const error = (name: string) => problem?.at(`${pointer}/${name}`).join(' ') || undefined;
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm" style={{ alignItems: 'start' }}>
      <TagsInput
        label={t('options.status')}
        description={t('options.statusHelp')}
        acceptValueOnBlur
        splitChars={[',', ' ', ';']}
        value={rule.status}
        error={error('status')}
        onChange={(status) => onChange({ ...rule, status })}
      />
      <Textarea
        label={t('options.headers')}
        description={t('options.headersHelp')}
        autosize
        minRows={1}
        spellCheck={false}
        classNames={{ input: 'kf-mono' }}
        value={rule.headers}
        error={error('headers')}
        onChange={(event) => onChange({ ...rule, headers: event.currentTarget.value })}
      />
      <Textarea
        label={t('options.body')}
        description={t('options.bodyHelp')}
        placeholder="response.body.success == false"
        autosize
        minRows={1}
        spellCheck={false}
        classNames={{ input: 'kf-mono', root: 'kf-wide' }}
        value={rule.body}
        error={error('body')}
        onChange={(event) => onChange({ ...rule, body: event.currentTarget.value })}
      />
    </SimpleGrid>
  );
}

function lasts(action: string): boolean {
  return action === 'wait' || action === 'quota';
}

function RuleConsequence({ rule, pointer, problem, onChange }: PartProps) {
  const { t } = useTranslation();
  const error = (name: string) => problem?.at(`${pointer}/${name}`).join(' ') || undefined;
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm" style={{ alignItems: 'start' }}>
      <Select
        label={t('options.action')}
        data={ruleActions.map((action) => ({ value: action, label: t(`options.action_${action}`) }))}
        value={rule.action}
        error={error('action')}
        onChange={(action) => action && onChange({ ...rule, action, until: lasts(action) ? rule.until : '' })}
      />
      {lasts(rule.action) && (
        <TextInput
          label={t('options.until')}
          description={t('options.untilHelp')}
          placeholder="00:00 America/Chicago"
          autoComplete="off"
          value={rule.until}
          error={error('until')}
          onChange={(event) => onChange({ ...rule, until: event.currentTarget.value })}
        />
      )}
      <Checkbox
        label={t('options.notExecuted')}
        description={t('options.notExecutedHelp')}
        checked={rule.notExecuted}
        error={error('not_executed')}
        onChange={(event) => onChange({ ...rule, notExecuted: event.currentTarget.checked })}
      />
    </SimpleGrid>
  );
}
