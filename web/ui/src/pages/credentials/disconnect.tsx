import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { Credential } from '../../api/types';
import { Failure } from '../../components/feedback';
import { useNotify } from '../../components/notify';
import { UsageList } from './usagelist';

/** Asks before the provider's token is forgotten: whatever uses the credential stops. */
export function DisconnectDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const usages = useQuery(queries.usages(credential.id));
  const disconnect = useMutation({
    mutationFn: () => credentials.disconnect(credential.id),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ['credentials'] });
      notify('done', t('disconnect.done', { name: credential.name }));
      onClose();
    },
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={t('disconnect.title', { name: credential.name })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        <Text size="sm">{t('disconnect.text')}</Text>
        {usages.data && usages.data.length > 0 && (
          <>
            <Text size="sm">{t('disconnect.affected')}</Text>
            <UsageList usages={usages.data} />
          </>
        )}
        {disconnect.isError && <Failure error={disconnect.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button color="red" onClick={() => disconnect.mutate()} loading={disconnect.isPending}>
            {t('connect.disconnect')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
