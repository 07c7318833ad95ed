// One action on many runs: each is asked for by itself, what is refused is told.
import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { runs as api } from '../../api/resources';
import { isUnfinished, type RunSummary } from '../../api/types';
import { useNotify } from '../../components/notify';

type Action = 'cancel' | 'retry';

/** How many requests are under way at once. */
const atOnce = 4;

/** Does something for each; gives the messages of those that were refused. */
export async function forEach<T>(items: T[], act: (item: T) => Promise<unknown>): Promise<string[]> {
  const refused: string[] = [];
  const left = [...items];
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      try {
        await act(item);
      } catch (error) {
        refused.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return refused;
}

export function BulkActions({ runs, onDone }: { runs: RunSummary[]; onDone: () => void }) {
  const { t } = useTranslation();
  const [asking, setAsking] = useState<Action | null>(null);
  const meant = {
    cancel: runs.filter(({ status }) => isUnfinished(status)),
    retry: runs.filter(({ status }) => status === 'failed' || status === 'canceled'),
  };
  if (runs.length === 0) return null;
  return (
    <Group gap="xs" px="sm" pb="xs">
      <Text size="sm" role="status">
        {t('runs.selected', { count: runs.length })}
      </Text>
      <Button variant="default" disabled={meant.cancel.length === 0} onClick={() => setAsking('cancel')}>
        {t('runs.cancelMany', { count: meant.cancel.length })}
      </Button>
      <Button variant="default" disabled={meant.retry.length === 0} onClick={() => setAsking('retry')}>
        {t('runs.retryMany', { count: meant.retry.length })}
      </Button>
      {asking && <Confirm action={asking} runs={meant[asking]} onDone={onDone} onClose={() => setAsking(null)} />}
    </Group>
  );
}

type ConfirmProps = { action: Action; runs: RunSummary[]; onDone: () => void; onClose: () => void };

function Confirm({ action, runs, onDone, onClose }: ConfirmProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const count = runs.length;
  const work = useMutation({
    mutationFn: () => forEach(runs, ({ id }) => (action === 'cancel' ? api.cancel(id) : api.retry(id, 'failed'))),
    onSuccess: (refused) => {
      const done = count - refused.length;
      if (done > 0) notify('done', t('runs.bulkDone', { count: done }));
      if (refused.length > 0) notify('failed', t('runs.bulkRefused', { count: refused.length, message: refused[0] }));
      onClose();
      onDone();
    },
    onSettled: () => client.invalidateQueries({ queryKey: ['runs', 'list'] }),
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={t(action === 'cancel' ? 'runs.cancelManyTitle' : 'runs.retryManyTitle', { count })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        <Text size="sm">{t(action === 'cancel' ? 'runs.cancelText' : 'runs.retryManyText')}</Text>
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.close')}
          </Button>
          <Button color={action === 'cancel' ? 'red' : undefined} onClick={() => work.mutate()} loading={work.isPending}>
            {t(action === 'cancel' ? 'runs.cancelMany' : 'runs.retryMany', { count })}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
