import { notifications } from '@mantine/notifications';
import { useTranslation } from 'react-i18next';

type Kind = 'done' | 'failed';

/** Tells in a corner of the page how something went, without asking for anything. */
export function useNotify() {
  const { t } = useTranslation();
  return (kind: Kind, message: string) =>
    notifications.show({
      message,
      title: kind === 'failed' ? t('error.title') : undefined,
      color: kind === 'failed' ? 'red' : 'teal',
      closeButtonProps: { 'aria-label': t('common.close') },
    });
}
