import { Anchor, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

/** Admin / Automation & Productivity / Credentials: where the credentials' pages are. */
export function useTrail(linked: boolean): ReactNode[] {
  const { t } = useTranslation();
  return [
    <Text key="admin" span size="xs">
      {t('nav.admin')}
    </Text>,
    <Text key="productivity" span size="xs">
      {t('nav.productivity')}
    </Text>,
    linked ? (
      <Anchor key="credentials" component={Link} to="/credentials" size="xs">
        {t('nav.credentials')}
      </Anchor>
    ) : (
      <Text key="credentials" span size="xs">
        {t('nav.credentials')}
      </Text>
    ),
  ];
}
