import { Button, Group, Modal, SegmentedControl, Select, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { parseJSON, stringify } from '../../api/json';
import { queries } from '../../api/queries';
import { workflows } from '../../api/resources';
import { Failure, Loading } from '../../components/feedback';
import { defaultsOf, fieldsOf, inputText, problemOf, valuesOf, type InputField } from './inputform';
import { JsonInput } from './jsoninput';
import { jsonProblem } from './jsontext';

type Props = {
  workflow: string;
  /** What the form begins with; without it, the defaults of the schema. */
  input?: unknown;
  onClose: () => void;
};

/** Starts a run by hand, with a form of the workflow's input or JSON, and goes to its page. */
export function RunDialog(props: Props) {
  const { t } = useTranslation();
  const flow = useQuery(queries.workflow(props.workflow));
  const schema = (flow.data?.definition as { input?: unknown } | undefined)?.input;
  return (
    <Modal
      opened
      onClose={props.onClose}
      size="lg"
      title={t('runDialog.title', { name: props.workflow })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      {flow.isPending && <Loading />}
      {flow.isError && <Failure error={flow.error} />}
      {flow.data && <RunForm {...props} schema={schema} />}
    </Modal>
  );
}

function RunForm({ workflow, input, schema, onClose }: Props & { schema: unknown }) {
  const { t } = useTranslation();
  const edit = useInput(schema, input);
  const start = useStart(workflow);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!edit.broken) start.mutate(edit.text);
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        {edit.fields.length > 0 && (
          <SegmentedControl
            aria-label={t('runDialog.mode')}
            size="xs"
            style={{ alignSelf: 'start' }}
            data={[
              { value: 'form', label: t('runDialog.asForm') },
              { value: 'json', label: t('runDialog.asJson') },
            ]}
            value={edit.mode}
            onChange={edit.setMode}
          />
        )}
        {edit.kept && (
          <Text size="xs" c="dimmed" role="status">
            {t('runDialog.kept')}
          </Text>
        )}
        {edit.mode === 'form' ? (
          edit.fields.map((field) => (
            <InputControl
              key={field.name}
              field={field}
              value={edit.values[field.name] ?? ''}
              refusal={start.error instanceof ApiError ? start.error.at(`/input/${field.name}`).join(' ') : ''}
              onChange={(value) => edit.setValue(field.name, value)}
            />
          ))
        ) : (
          <JsonInput label={t('runDialog.input')} description={t('runDialog.inputHelp')} minRows={8} text={edit.text} onChange={edit.setText} />
        )}
        {start.isError && <Failure error={start.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            {t('common.cancel')}
          </Button>
          <Button type="submit" loading={start.isPending} disabled={edit.broken}>
            {t('runDialog.start')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function useStart(workflow: string) {
  const navigate = useNavigate();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (text: string) => workflows.start(workflow, text),
    onSuccess: async (run) => {
      void client.invalidateQueries({ queryKey: ['runs', 'list'] });
      void client.invalidateQueries({ queryKey: ['runs', 'last'] });
      await navigate({ to: '/runs/$id', params: { id: run.id } });
    },
  });
}

// The input while it is written: as values of fields, or as text that need not fit them.
function useInput(schema: unknown, input: unknown) {
  const [fields] = useState(() => fieldsOf(schema));
  const first = input === undefined ? defaultsOf(schema) : input;
  const [values, setValues] = useState(() => valuesOf(fields, first) ?? {});
  const [json, setJson] = useState(() => stringify(first, 2) ?? 'null');
  const [mode, setMode] = useState(() => (fields.length > 0 && valuesOf(fields, first) ? 'form' : 'json'));
  const [kept, setKept] = useState(false);
  const text = mode === 'form' ? inputText(fields, values) : json;
  const change = (next: string) => {
    if (next === 'json') setJson(text);
    const read = next === 'form' && !jsonProblem(json) ? valuesOf(fields, parseJSON(json)) : null;
    if (read) setValues(read);
    setKept(next === 'form' && !read);
    if (next === 'json' || read) setMode(next);
  };
  const wrong = mode === 'form' && fields.some((field) => problemOf(field, values[field.name] ?? '') !== null);
  return {
    fields,
    values,
    text,
    mode,
    kept,
    broken: wrong || jsonProblem(text) !== null,
    setMode: change,
    setText: setJson,
    setValue: (name: string, value: string) => setValues((former) => ({ ...former, [name]: value })),
  };
}

type ControlProps = { field: InputField; value: string; refusal: string; onChange: (value: string) => void };

function InputControl({ field, value, refusal, onChange }: ControlProps) {
  const { t } = useTranslation();
  const problem = problemOf(field, value);
  const common = {
    label: field.title,
    description: field.help || undefined,
    withAsterisk: field.required,
    error: problem ? t(`runDialog.${problem}`) : refusal || undefined,
  };
  if (field.kind === 'choice' || field.kind === 'boolean') {
    const words = [
      { value: 'true', label: t('runDialog.yes') },
      { value: 'false', label: t('runDialog.no') },
    ];
    return (
      <Select
        {...common}
        clearable={!field.required}
        clearButtonProps={{ 'aria-label': t('common.clearFilters') }}
        placeholder={t('runDialog.unset')}
        data={field.kind === 'choice' ? field.choices : words}
        value={value || null}
        onChange={(next) => onChange(next ?? '')}
      />
    );
  }
  if (field.kind === 'json') {
    return (
      <Textarea {...common} className="kf-editor" autosize minRows={2} spellCheck={false} value={value} onChange={(event) => onChange(event.currentTarget.value)} />
    );
  }
  return (
    <TextInput
      {...common}
      inputMode={field.kind === 'number' ? 'decimal' : undefined}
      autoComplete="off"
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
