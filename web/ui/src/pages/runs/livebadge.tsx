import { ActionIcon, Badge, Group, Tooltip } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Icon } from '../../components/icons';
import type { LiveState } from './live';

const colors: Record<LiveState, string> = {
  connecting: 'gray.6',
  live: 'teal',
  reconnecting: 'orange',
  blocked: 'yellow',
  paused: 'gray.6',
};

/** Whether what is shown is what is: live, behind, or held by the reader. */
export function LiveBadge({ state, onPause }: { state: LiveState; onPause: (paused: boolean) => void }) {
  const { t } = useTranslation();
  const paused = state === 'paused';
  const name = t(paused ? 'live.resume' : 'live.pause');
  return (
    <Group gap={4} role="status">
      <Badge color={colors[state]} title={state === 'blocked' ? t('live.blockedHelp') : undefined}>
        {t(`live.${state}`)}
      </Badge>
      <Tooltip label={name} openDelay={300}>
        <ActionIcon size="sm" onClick={() => onPause(!paused)} aria-label={name}>
          <Icon name={paused ? 'play' : 'pause'} size={14} />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}
