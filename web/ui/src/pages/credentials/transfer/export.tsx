import { Button } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { allCredentials } from '../../../api/queries';
import { Icon } from '../../../components/icons';
import { useNotify } from '../../../components/notify';
import { saveAs } from '../../../saveas';
import { exportText } from './exporttext';

/** Saves all credentials as a file, without their secrets. */
export function ExportButton() {
  const { t } = useTranslation();
  const notify = useNotify();
  const run = useMutation({
    mutationFn: async () => {
      const { items } = await allCredentials({});
      saveAs('keyflow-credentials.json', exportText(items));
      return items.length;
    },
    onSuccess: (count) => notify('done', t('export.done', { count })),
    onError: (error) => notify('failed', error.message),
  });
  return (
    <Button
      variant="default"
      leftSection={<Icon name="download" size={14} />}
      title={t('export.help')}
      loading={run.isPending}
      onClick={() => run.mutate()}
    >
      {t('export.button')}
    </Button>
  );
}
