import { Alert, Anchor, Button, Group, Loader, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Credential } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { useConnect } from './connect';

type Props = { credential: Credential; dirty: boolean; focused: boolean };

/** Connect and everything that can come of it; for OAuth 2.0 with an authorization code. */
export function ConnectPanel({ credential, dirty, focused }: Props) {
  const { t } = useTranslation();
  const { phase, error, start, startHere, cancel } = useConnect(credential);
  const { status } = credential.state;
  const unconnected = status === 'needs_connect' || status === 'needs_reconnect';
  return (
    <Stack gap="sm">
      {phase === 'waiting' ? (
        <Alert color="blue" icon={<Loader size={16} aria-hidden />} title={t('connect.waiting')} role="status">
          <Stack gap="xs" align="flex-start">
            <Text size="sm">{t('connect.waitingText')}</Text>
            <Group gap="xs">
              <Button variant="default" onClick={cancel}>
                {t('common.cancel')}
              </Button>
              <Anchor component="button" type="button" size="sm" onClick={startHere}>
                {t('connect.here')}
              </Anchor>
            </Group>
          </Stack>
        </Alert>
      ) : (
        <Group gap="xs">
          <Button
            onClick={start}
            autoFocus={focused}
            loading={phase === 'starting'}
            disabled={dirty}
            variant={unconnected ? 'filled' : 'default'}
            leftSection={<Icon name="external" size={14} />}
          >
            {unconnected ? t('connect.connect') : t('connect.reconnect')}
          </Button>
          <Button variant="subtle" onClick={startHere} disabled={dirty}>
            {t('connect.here')}
          </Button>
        </Group>
      )}
      {dirty && (
        <Text size="xs" c="dimmed">
          {t('connect.saveFirst')}
        </Text>
      )}
      {phase === 'connected' && (
        <Alert color="teal" icon={<Icon name="check" />} title={t('connect.connected')} role="status" />
      )}
      {phase === 'refused' && (
        <Alert color="red" icon={<Icon name="alert" />} title={t('connect.refused')} role="alert">
          {t('connect.refusedText')}
        </Alert>
      )}
      {phase === 'timeout' && <Alert color="orange" title={t('connect.timeout')} role="alert" />}
      {phase === 'blocked' && (
        <Alert color="orange" title={t('connect.blocked')} role="alert">
          {t('connect.blockedText')}
        </Alert>
      )}
      {error !== null && <Failure error={error} />}
    </Stack>
  );
}
