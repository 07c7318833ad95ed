import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Usage } from '../../api/types';
import { UsageList } from './usagelist';

type Props = { usages: Usage[]; saving: boolean; onConfirm: () => void; onClose: () => void };

/** Shows before a save which workflows it reaches, and asks. */
export function AffectedDialog({ usages, saving, onConfirm, onClose }: Props) {
  const { t } = useTranslation();
  const workflows = new Set(usages.map((usage) => usage.workflow)).size;
  return (
    <Modal
      opened
      onClose={onClose}
      title={t('affected.title', { count: workflows })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        <Text size="sm">{t('affected.text')}</Text>
        <UsageList usages={usages} />
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            {t('common.cancel')}
          </Button>
          <Button onClick={onConfirm} loading={saving} data-autofocus>
            {t('affected.save')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
