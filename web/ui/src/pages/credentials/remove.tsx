import { Alert, Anchor, Button, Checkbox, Group, List, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { credentials } from '../../api/resources';
import type { Credential, Usage } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { useNotify } from '../../components/notify';

/** The usages that an answer 409 names. */
export function usagesOf(error: unknown): Usage[] {
  if (!(error instanceof ApiError) || error.status !== 409) return [];
  const { usages } = error.body;
  return Array.isArray(usages) ? (usages as Usage[]) : [];
}

/** Asks before a credential is deleted; one in use only goes when that is confirmed too. */
export function RemoveDialog({ credential, etag, onClose }: { credential: Credential; etag: string | null; onClose: () => void }) {
  const { t } = useTranslation();
  const notify = useNotify();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [sure, setSure] = useState(false);
  const remove = useMutation({
    mutationFn: () => credentials.remove(credential.id, etag, sure),
    onSuccess: async () => {
      notify('done', t('remove.done', { name: credential.name }));
      await navigate({ to: '/credentials' });
      client.removeQueries({ queryKey: ['credentials', credential.id] });
      await client.invalidateQueries({ queryKey: ['credentials', 'list'] });
    },
  });
  const refused = remove.error instanceof ApiError && remove.error.status === 409 ? remove.error : null;
  const used = refused !== null;
  return (
    <Modal
      opened
      onClose={onClose}
      title={t('remove.title', { name: credential.name })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        <Text size="sm">{t('remove.text')}</Text>
        {remove.isError && !used && <Failure error={remove.error} />}
        {refused && <Refusal error={refused} />}
        {used && (
          <Checkbox checked={sure} onChange={(event) => setSure(event.currentTarget.checked)} label={t('remove.force')} />
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button color="red" onClick={() => remove.mutate()} loading={remove.isPending} disabled={used && !sure}>
            {t('common.delete')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function Refusal({ error }: { error: Error }) {
  return (
    <Alert color="red" icon={<Icon name="alert" />} title={error.message} role="alert">
      <UsageList usages={usagesOf(error)} />
    </Alert>
  );
}

/** The places that name a credential. */
export function UsageList({ usages }: { usages: Usage[] }) {
  const { t } = useTranslation();
  return (
    <List size="sm" spacing={2}>
      {usages.map((usage) => (
        <List.Item key={`${usage.workflow} ${usage.node ?? ''} ${usage.trigger ?? ''}`}>
          <Anchor component={Link} to="/workflows/$id" params={{ id: usage.workflow } as never} size="sm">
            {usage.workflow}
          </Anchor>
          {usage.node && <Text span c="dimmed" size="sm">{` · ${t('usage.node', { name: usage.node })}`}</Text>}
          {usage.trigger && <Text span c="dimmed" size="sm">{` · ${t('usage.trigger', { name: usage.trigger })}`}</Text>}
        </List.Item>
      ))}
    </List>
  );
}
