// A plain editor of a definition: text, the server's findings with line and column, save.
import { Alert, Anchor, Button, Code, Group, List, Stack, Text, Textarea } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { stringify } from '../../api/json';
import { workflows, type Revised } from '../../api/resources';
import type { Applied, Problem, WorkflowDetail } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Section } from '../../components/layout';
import { useNotify } from '../../components/notify';
import { LeaveGuard } from '../leaveguard';
import { jsonProblem } from './jsontext';

type TextProps = { text: string; onChange: (text: string) => void; problems: Problem[]; warnings: Problem[]; valid: boolean };

/** The text of a definition with what the server found in it; a finding leads to its line. */
export function DefinitionText({ text, onChange, problems, warnings, valid }: TextProps) {
  const { t } = useTranslation();
  const area = useRef<HTMLTextAreaElement>(null);
  const broken = jsonProblem(text);
  const goTo = (line: number, column: number) => {
    const offset = text.split('\n').slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
    area.current?.focus();
    area.current?.setSelectionRange(offset, offset);
  };
  return (
    <Stack gap="sm">
      <Textarea
        ref={area}
        className="kf-editor"
        aria-label={t('workflows.definition')}
        autosize
        minRows={16}
        maxRows={34}
        spellCheck={false}
        value={text}
        error={broken && t('editor.notJson', { line: broken.line, column: broken.column })}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      {problems.length > 0 && <Findings title={t('editor.problems')} color="red" items={problems} goTo={goTo} />}
      {warnings.length > 0 && <Findings title={t('editor.warnings')} color="orange" items={warnings} goTo={goTo} />}
      {valid && (
        <Alert color="teal" role="status">
          {t('editor.valid')}
        </Alert>
      )}
    </Stack>
  );
}

type FindingsProps = { title: string; color: string; items: Problem[]; goTo: (line: number, column: number) => void };

function Findings({ title, color, items, goTo }: FindingsProps) {
  const { t } = useTranslation();
  return (
    <Alert color={color} title={title} role="alert">
      <List size="sm" spacing={4}>
        {items.map(({ path, message, line, column = 1 }) => (
          <List.Item key={`${path ?? ''} ${message}`}>
            {line !== undefined && line > 0 && (
              <Anchor component="button" type="button" size="sm" mr={6} onClick={() => goTo(line, column)}>
                {t('editor.place', { line, column })}
              </Anchor>
            )}
            {path && <Code mr={6}>{path}</Code>}
            {message}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}

/** Checking and saving a definition's text. */
export function useDefinition(initial: string, save: (text: string) => Promise<Applied>, onSaved: (applied: Applied) => unknown) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const [text, setText] = useState(initial);
  const check = useMutation({ mutationFn: () => workflows.validate(text) });
  const put = useMutation({
    mutationFn: () => save(text),
    onSuccess: async (applied) => {
      await client.invalidateQueries({ queryKey: ['workflows'] });
      notify('done', t('editor.saved', { n: applied.version }));
      await onSaved(applied);
    },
  });
  const refused = put.error instanceof ApiError && put.error.status === 422 ? put.error.problems : [];
  return {
    text,
    dirty: text !== initial && !put.isSuccess && !put.isPending,
    broken: jsonProblem(text) !== null,
    problems: check.data?.errors ?? refused,
    warnings: check.data?.warnings ?? [],
    valid: check.data?.valid === true,
    failure: check.error ?? (refused.length > 0 ? null : put.error),
    check,
    put,
    change: (next: string) => {
      setText(next);
      check.reset();
      put.reset();
    },
  };
}

/** Edits the current version of a workflow in place. */
export function DefinitionEditor({ workflow, onDone }: { workflow: Revised<WorkflowDetail>; onDone: () => void }) {
  const { t } = useTranslation();
  const [etag] = useState(workflow.etag);
  const [initial] = useState(() => stringify(workflow.definition, 2) ?? '');
  const edit = useDefinition(initial, (text) => workflows.put(workflow.id, text, etag, false), onDone);
  const stale = edit.put.error instanceof ApiError && edit.put.error.status === 412;
  return (
    <Section title={t('editor.title')} help={t('editor.help')}>
      <LeaveGuard dirty={edit.dirty} />
      <Stack gap="sm">
        <DefinitionText {...edit} onChange={edit.change} />
        {stale && (
          <Alert color="orange" title={t('conflict.title')} role="alert">
            {t('editor.stale')}
          </Alert>
        )}
        {edit.failure && !stale && <Failure error={edit.failure} />}
        <EditorButtons edit={edit} onCancel={onDone} />
      </Stack>
    </Section>
  );
}

type Buttons = { edit: ReturnType<typeof useDefinition>; onCancel: () => void };

export function EditorButtons({ edit, onCancel }: Buttons) {
  const { t } = useTranslation();
  return (
    <Group gap="xs">
      <Button size="sm" onClick={() => edit.put.mutate()} loading={edit.put.isPending} disabled={edit.broken}>
        {t('common.save')}
      </Button>
      <Button size="sm" variant="default" onClick={() => edit.check.mutate()} loading={edit.check.isPending}>
        {t('editor.check')}
      </Button>
      <Button size="sm" variant="subtle" onClick={onCancel}>
        {t('common.cancel')}
      </Button>
      <Text size="xs" c="dimmed">
        {t('editor.versionHint')}
      </Text>
    </Group>
  );
}
