import { Button, Group, List, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { Credential } from '../../api/types';
import { Failure } from '../../components/feedback';
import { useNotify } from '../../components/notify';

type Props = { credential: Credential; version: number; onClose: () => void };

/** Says what rolling back does and does it. */
export function RollbackDialog({ credential, version, onClose }: Props) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const rollback = useMutation({
    mutationFn: () => credentials.rollback(credential.id, version),
    onSuccess: (changed) => {
      client.setQueryData(queries.credential(credential.id).queryKey, changed);
      void client.invalidateQueries({ queryKey: ['credentials'] });
      notify('done', t('rollback.done', { n: version }));
      onClose();
    },
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={t('rollback.title', { name: credential.name, n: version })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        <List size="sm" spacing={4}>
          <List.Item>{t('rollback.makes', { next: credential.version + 1, n: version })}</List.Item>
          <List.Item>{t('rollback.takesEffect')}</List.Item>
          {credential.type === 'oauth2' && <List.Item>{t('rollback.token')}</List.Item>}
          {credential.fall_back && <List.Item>{t('rollback.fallBackOff')}</List.Item>}
        </List>
        <Text size="sm">{t('rollback.keeps')}</Text>
        {rollback.isError && <Failure error={rollback.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button onClick={() => rollback.mutate()} loading={rollback.isPending}>
            {t('rollback.confirm')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
