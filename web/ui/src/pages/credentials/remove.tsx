import { Alert, Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { Credential, Usage } from '../../api/types';
import { Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { useNotify } from '../../components/notify';
import { UsageList } from './usagelist';

/** The usages that an answer 409 names. */
export function usagesOf(error: unknown): Usage[] {
  if (!(error instanceof ApiError) || error.status !== 409) return [];
  const { usages } = error.body;
  return Array.isArray(usages) ? (usages as Usage[]) : [];
}

type Props = { credential: Credential; etag: string | null; onClose: () => void };

/** Asks before a credential is deleted; one in use only goes when its id is typed. */
export function RemoveDialog({ credential, etag, onClose }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState('');
  const usages = useQuery({ ...queries.usages(credential.id), staleTime: 0 });
  const remove = useRemove(credential, etag);
  const refused = usagesOf(remove.error);
  const places = refused.length > 0 ? refused : (usages.data ?? []);
  const used = places.length > 0;
  const sure = typed === credential.id;
  return (
    <Modal
      opened
      onClose={onClose}
      size={used ? 'lg' : 'md'}
      title={t('remove.title', { name: credential.name })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        {usages.isPending && <Loading />}
        {usages.isError && <Failure error={usages.error} />}
        {used ? <InUse usages={places} /> : <Text size="sm">{t('remove.text')}</Text>}
        {used && (
          <TextInput
            label={t('remove.type', { id: credential.id })}
            description={t('remove.text')}
            autoComplete="off"
            spellCheck={false}
            classNames={{ input: 'kf-mono' }}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
        )}
        {remove.isError && refused.length === 0 && <Failure error={remove.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button
            color="red"
            onClick={() => remove.mutate(used)}
            loading={remove.isPending}
            disabled={usages.isPending || (used && !sure)}
          >
            {used ? t('remove.anyway') : t('common.delete')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function useRemove(credential: Credential, etag: string | null) {
  const { t } = useTranslation();
  const notify = useNotify();
  const navigate = useNavigate();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (force: boolean) => credentials.remove(credential.id, etag, force),
    onSuccess: async () => {
      notify('done', t('remove.done', { name: credential.name }));
      await navigate({ to: '/credentials' });
      client.removeQueries({ queryKey: ['credentials', credential.id] });
      await client.invalidateQueries({ queryKey: ['credentials', 'list'] });
    },
  });
}

function InUse({ usages }: { usages: Usage[] }) {
  const { t } = useTranslation();
  const workflows = new Set(usages.map((usage) => usage.workflow)).size;
  return (
    <Alert color="red" icon={<Icon name="alert" />} title={t('remove.used', { count: workflows })} role="alert">
      <Stack gap="xs">
        <UsageList usages={usages} />
        <Text size="sm">{t('remove.replace')}</Text>
      </Stack>
    </Alert>
  );
}
