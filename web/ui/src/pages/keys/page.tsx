import { Alert, Badge, Button, Group, List, Modal, Stack, Table, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { keys } from '../../api/resources';
import type { KeyStatus } from '../../api/types';
import { Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { Facts, PageHead, Section } from '../../components/layout';

/** The keys that seal the stored secrets: which there are, and how to change them. */
export function KeysPage() {
  const { t } = useTranslation();
  const [asking, setAsking] = useState(false);
  const status = useQuery(queries.keys());
  return (
    <>
      <PageHead
        title={t('keys.title')}
        name={t('keys.title')}
        below={
          <Text size="sm" c="dimmed">
            {t('keys.help')}
          </Text>
        }
        actions={
          status.data && (
            <Button variant="default" onClick={() => setAsking(true)} disabled={status.data.rotation.running}>
              {t('keys.rotate')}
            </Button>
          )
        }
      />
      {status.isPending && <Loading />}
      {status.isError && <Failure error={status.error} retry={() => void status.refetch()} />}
      {status.data && (
        <Stack gap="md" maw={860}>
          <RotationState rotation={status.data.rotation} />
          <KeyTable status={status.data} />
        </Stack>
      )}
      {asking && <RotateDialog onClose={() => setAsking(false)} />}
    </>
  );
}

function RotationState({ rotation }: { rotation: KeyStatus['rotation'] }) {
  const { t } = useTranslation();
  const { running, pending, done, message } = rotation;
  if (!running && message === '' && pending === 0) return null;
  const total = pending + done;
  const title = running ? t('keys.running') : pending > 0 ? t('keys.notFinished') : t('keys.next');
  return (
    <Alert color={pending > 0 && !running ? 'orange' : 'blue'} title={title} role="status">
      <Stack gap="xs">
        {message && <Text size="sm">{message}</Text>}
        {pending + done > 0 && <Text size="sm">{t('keys.progress', { done, total })}</Text>}
        {running && <progress className="kf-bar" max={total} value={done} aria-label={t('keys.running')} />}
      </Stack>
    </Alert>
  );
}

function KeyTable({ status }: { status: KeyStatus }) {
  const { t } = useTranslation();
  const sources: Record<string, string> = { file: t('keys.sourceFile'), environment: t('keys.sourceEnvironment') };
  return (
    <Section title={t('keys.list')}>
      <Stack gap="md">
        <Facts items={[[t('keys.source'), sources[status.source] ?? status.source]]} />
        <Table className="kf-table" aria-label={t('keys.list')}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('keys.key')}</Table.Th>
              <Table.Th>{t('keys.use')}</Table.Th>
              <Table.Th>{t('keys.sealed')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {status.keys.map((key) => (
              <Table.Tr key={key.id}>
                <Table.Td className="kf-mono">{key.id}</Table.Td>
                <Table.Td>
                  <KeyUse {...key} />
                </Table.Td>
                <Table.Td>{key.sealed}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Stack>
    </Section>
  );
}

function KeyUse({ primary, missing }: KeyStatus['keys'][number]) {
  const { t } = useTranslation();
  if (missing) return <Badge color="red">{t('keys.missing')}</Badge>;
  return <Badge color={primary ? 'teal' : 'gray.6'}>{primary ? t('keys.primary') : t('keys.former')}</Badge>;
}

function RotateDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const rotate = useMutation({
    mutationFn: keys.rotate,
    onSuccess: (status) => {
      client.setQueryData(queries.keys().queryKey, status);
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={t('keys.rotateTitle')} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <Stack gap="sm">
        <List size="sm" spacing={4}>
          <List.Item>{t('keys.rotateNew')}</List.Item>
          <List.Item>{t('keys.rotateOnline')}</List.Item>
        </List>
        <Alert color="orange" icon={<Icon name="alert" />}>
          {t('keys.rotateBackup')}
        </Alert>
        {rotate.isError && <Failure error={rotate.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button onClick={() => rotate.mutate()} loading={rotate.isPending}>
            {t('keys.rotate')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
