import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { Empty } from '../components/feedback';

export function NotFoundPage() {
  const { t } = useTranslation();
  return (
    <Empty
      title={t('notFound.title')}
      action={
        <Button component={Link} to="/credentials" variant="default">
          {t('notFound.back')}
        </Button>
      }
    >
      {t('notFound.text')}
    </Empty>
  );
}
