import { Button, Group, Modal, Stack, Textarea } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { workflows } from '../../api/resources';
import { Failure } from '../../components/feedback';
import { jsonProblem } from './jsontext';

/** Starts a run by hand with a JSON input, and goes to its page. */
export function RunDialog({ workflow, onClose }: { workflow: string; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [text, setText] = useState('{}');
  const problem = jsonProblem(text);
  const start = useMutation({
    mutationFn: () => workflows.start(workflow, text),
    onSuccess: async (run) => {
      void client.invalidateQueries({ queryKey: ['runs'] });
      await navigate({ to: '/runs/$id', params: { id: run.id } });
    },
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!problem) start.mutate();
  };
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t('runDialog.title', { name: workflow })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Textarea
            className="kf-editor"
            label={t('runDialog.input')}
            description={t('runDialog.inputHelp')}
            autosize
            minRows={8}
            maxRows={20}
            spellCheck={false}
            data-autofocus
            value={text}
            error={problem && t('editor.notJson', { line: problem.line, column: problem.column })}
            onChange={(event) => setText(event.currentTarget.value)}
          />
          {start.isError && <Failure error={start.error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              {t('common.cancel')}
            </Button>
            <Button type="submit" loading={start.isPending} disabled={problem !== null}>
              {t('runDialog.start')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
