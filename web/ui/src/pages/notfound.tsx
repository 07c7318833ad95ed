import { Box, Button, Stack, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { PageHead } from '../components/layout';

export function NotFoundPage() {
  const { t } = useTranslation();
  return (
    <Box component="main" p="lg">
      <PageHead title={t('notFound.title')} name={t('notFound.title')} />
      <Stack align="flex-start">
        <Text size="sm">{t('notFound.text')}</Text>
        <Button component={Link} to="/credentials" variant="default">
          {t('notFound.back')}
        </Button>
      </Stack>
    </Box>
  );
}
