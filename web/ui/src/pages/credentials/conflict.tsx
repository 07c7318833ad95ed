import { Button, Group, Modal, Stack, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Credential, CredentialType } from '../../api/types';
import { When } from '../../components/when';
import { changesOf, type Patch } from './draft';

type Props = {
  /** The record as it is on the server now. */
  latest: Credential;
  patch: Patch;
  type: CredentialType;
  saving: boolean;
  onDiscard: () => void;
  onOverwrite: () => void;
  onClose: () => void;
};

/** Someone else saved first: shows both sides of what this form changes and asks. */
export function ConflictDialog({ latest, patch, type, saving, onDiscard, onOverwrite, onClose }: Props) {
  const { t } = useTranslation();
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t('conflict.title')}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="md">
        <Text size="sm">
          {t('conflict.text', { name: latest.updated_by })} (<When time={latest.updated_at} />)
        </Text>
        <Table className="kf-table" aria-label={t('conflict.title')}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('conflict.field')}</Table.Th>
              <Table.Th>{t('conflict.mine')}</Table.Th>
              <Table.Th>{t('conflict.theirs')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {changesOf(patch, latest, type).map((change) => (
              <Table.Tr key={change.pointer}>
                <Table.Td className="kf-mono">{change.pointer}</Table.Td>
                <Table.Td className="kf-mono">{change.secret ? t('conflict.hidden') : show(change.mine)}</Table.Td>
                <Table.Td className="kf-mono">{change.secret ? t('conflict.hidden') : show(change.theirs)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onDiscard} data-autofocus>
            {t('conflict.discard')}
          </Button>
          <Button onClick={onOverwrite} loading={saving}>
            {t('conflict.overwrite')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function show(value: unknown): string {
  if (value === undefined || value === null || value === '') return '–';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
