import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Credential } from '../../api/types';
import { When } from '../../components/when';

/** Whether Keyflow gets new tokens for the credential without anybody doing anything. */
export function renewsItself(credential: Credential): boolean {
  const { status } = credential.state;
  return credential.type === 'oauth2' && status !== 'needs_connect' && status !== 'needs_reconnect';
}

/** The server's words for a state; "" for the ends, whose time is told in the page's own language. */
export function reasonOf({ status, message }: Credential['state']): string {
  return status === 'expiring' || status === 'expired' ? '' : message;
}

/** When a credential stops working or is due for new secrets, as far as anybody said. */
export function Expires({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  const { expires } = credential;
  if (!expires) return renewsItself(credential) ? <>{t('credentials.renewsItself')}</> : <>–</>;
  return (
    <>
      <When time={expires.at} />
      {expires.reason === 'rotate_every' && (
        <Text size="xs" c="dimmed">
          {t('credentials.rotationDue')}
        </Text>
      )}
    </>
  );
}
