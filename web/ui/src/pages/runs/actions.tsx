// What can be done about a run: cancel it while it goes on, run it again when it has ended.
import { Button, Group, Menu, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { runs, type RetryFrom } from '../../api/resources';
import type { Run } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { RunDialog } from '../workflows/rundialog';

export function CancelButton({ id, onCanceled }: { id: string; onCanceled: () => void }) {
  const { t } = useTranslation();
  const [asking, setAsking] = useState(false);
  const cancel = useMutation({
    mutationFn: () => runs.cancel(id),
    onSuccess: () => setAsking(false),
    onSettled: onCanceled,
  });
  return (
    <>
      <Button variant="default" onClick={() => setAsking(true)} disabled={cancel.isSuccess}>
        {cancel.isSuccess ? t('runs.canceling') : t('runs.cancel')}
      </Button>
      <Modal
        opened={asking}
        onClose={() => setAsking(false)}
        title={t('runs.cancelTitle')}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        <Stack gap="sm">
          <Text size="sm">{t('runs.cancelText')}</Text>
          {cancel.isError && <Failure error={cancel.error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
              {t('runs.cancelKeep')}
            </Button>
            <Button color="red" onClick={() => cancel.mutate()} loading={cancel.isPending}>
              {t('runs.cancel')}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}

/** Starts an ended run again, and goes to the new one. */
export function AgainMenu({ run }: { run: Run }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [editing, setEditing] = useState(false);
  const retry = useMutation({
    mutationFn: (from: RetryFrom) => runs.retry(run.id, from),
    onSuccess: async ({ id }) => {
      void client.invalidateQueries({ queryKey: ['runs', 'list'] });
      await navigate({ to: '/runs/$id', params: { id } });
    },
  });
  const choices: { from: RetryFrom; help: string }[] = [
    { from: 'failed', help: t('again.failedHelp') },
    { from: 'start', help: t('again.startHelp', { n: run.version }) },
    { from: 'newest', help: t('again.newestHelp') },
  ];
  return (
    <>
      <Menu position="bottom-end" width={300}>
        <Menu.Target>
          <Button loading={retry.isPending} leftSection={<Icon name="refresh" size={14} />}>
            {t('again.menu')}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {choices
            .filter(({ from }) => from !== 'failed' || run.status !== 'succeeded')
            .map(({ from, help }) => (
              <Choice key={from} name={t(`again.${from}`)} help={help} onClick={() => retry.mutate(from)} />
            ))}
          <Choice name={t('again.edited')} help={t('again.editedHelp')} onClick={() => setEditing(true)} />
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={retry.isError}
        onClose={() => retry.reset()}
        title={t('again.refused')}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        <Failure error={retry.error} />
      </Modal>
      {editing && <RunDialog workflow={run.workflow} input={run.input} onClose={() => setEditing(false)} />}
    </>
  );
}

function Choice({ name, help, onClick }: { name: string; help: string; onClick: () => void }) {
  return (
    <Menu.Item onClick={onClick}>
      {name}
      <Text size="xs" c="dimmed">
        {help}
      </Text>
    </Menu.Item>
  );
}
