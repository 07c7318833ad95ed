import { Alert, Button, Group, Stack, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Credential } from '../../../api/types';
import { Icon } from '../../../components/icons';
import { Section } from '../../../components/layout';
import { When } from '../../../components/when';
import { RollbackDialog } from '../rollback';

/** The rotation is over: what is in use now, and the way back. */
export function DoneStep({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  const [promoted] = useState(credential.version);
  const [rollingBack, setRollingBack] = useState(false);
  const { fall_back: fallBack } = credential;
  const back = credential.version === promoted;
  return (
    <Section title={t('rotation.step_done')}>
      <Stack gap="md">
        <Alert
          color="teal"
          icon={<Icon name="check" />}
          title={back ? t('rotation.inUse', { n: promoted }) : t('rotation.rolledBack', { n: credential.version })}
          role="status"
        >
          <Text size="sm">{back ? t('rotation.inUseText') : t('rotation.rolledBackText')}</Text>
          {fallBack && (
            <Text size="sm">
              {t('rotation.armed', { n: fallBack.version })}
              {fallBack.until && (
                <>
                  {' '}
                  <When time={fallBack.until} words={(time) => t('rotation.armedUntil', { time })} />
                </>
              )}
            </Text>
          )}
        </Alert>
        {credential.expires?.reason === 'expires_at' && (
          <Text size="sm">
            <When time={credential.expires.at} words={(time) => t('rotation.stillExpires', { time })} />
          </Text>
        )}
        <Group gap="xs">
          <Button size="sm" component={Link} to="/credentials/$id" params={{ id: credential.id } as never}>
            {t('rotation.toCredential')}
          </Button>
          {back && promoted > 1 && (
            <Button size="sm" variant="default" onClick={() => setRollingBack(true)}>
              {t('rollback.confirm')}
            </Button>
          )}
        </Group>
      </Stack>
      {rollingBack && (
        <RollbackDialog credential={credential} version={promoted - 1} onClose={() => setRollingBack(false)} />
      )}
    </Section>
  );
}
