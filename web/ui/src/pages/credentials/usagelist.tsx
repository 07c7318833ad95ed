import { Anchor, List, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import type { Usage } from '../../api/types';

// How many places a dialog lists before it only counts them.
const listed = 20;

/** The places that use a credential, in short: for dialogs. */
export function UsageList({ usages }: { usages: Usage[] }) {
  const { t } = useTranslation();
  return (
    <List size="sm" spacing={2}>
      {usages.slice(0, listed).map((usage) => (
        <List.Item key={`${usage.workflow} ${usage.node ?? ''} ${usage.trigger ?? ''}`}>
          <Anchor component={Link} to="/workflows/$id" params={{ id: usage.workflow } as never} size="sm">
            {usage.workflow}
          </Anchor>
          <Text span c="dimmed" size="sm">
            {usage.node && ` · ${t('usage.node', { name: usage.node })}`}
            {usage.trigger && ` · ${t('usage.trigger', { name: usage.trigger })}`}
            {usage.literal === false && ` · ${t('history.atRunTime')}`}
          </Text>
        </List.Item>
      ))}
      {usages.length > listed && <List.Item>{t('usage.more', { count: usages.length - listed })}</List.Item>}
    </List>
  );
}
