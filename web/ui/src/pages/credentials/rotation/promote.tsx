import { Alert, Button, Checkbox, Group, List, Stack, Switch } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { credentials, type Revised } from '../../../api/resources';
import type { Credential } from '../../../api/types';
import { Failure, Reveal } from '../../../components/feedback';
import { Icon } from '../../../components/icons';
import { Section } from '../../../components/layout';

type Props = {
  credential: Credential;
  onBack: () => void;
  onValues: () => void;
  onPromoted: (next: Revised<Credential>) => void;
};

/** Whether it can be found out without a person that the former values still work. */
export function canFallBack(credential: Credential): boolean {
  if (credential.type === 'oauth2') return credential.fields.grant_type !== 'authorization_code';
  return Boolean(credential.test_url);
}

/** Makes the staged values the current ones; untested ones only when that is agreed to. */
export function PromoteStep({ credential, onBack, onValues, onPromoted }: Props) {
  const { t } = useTranslation();
  const [fallBack, setFallBack] = useState(false);
  const [force, setForce] = useState(false);
  const tested = credential.candidate?.test?.ok === true;
  const possible = canFallBack(credential);
  const promote = useMutation({
    mutationFn: () => credentials.promote(credential.id, { fall_back: fallBack, force: force && !tested }),
    onSuccess: onPromoted,
  });
  return (
    <Section title={t('rotation.step_promote')}>
      <Stack gap="md">
        <List size="sm" spacing={4}>
          <List.Item>{t('rotation.effect', { count: credential.used_by ?? 0 })}</List.Item>
          {tested && <List.Item>{t('rotation.testedFirst')}</List.Item>}
          <List.Item>
            {credential.grace ? t('rotation.keptGrace', { grace: credential.grace }) : t('rotation.kept')}
          </List.Item>
        </List>
        <Switch
          label={t('rotation.fallBack')}
          description={possible ? t('rotation.fallBackHelp') : t('rotation.noFallBack')}
          disabled={!possible}
          checked={fallBack}
          onChange={(event) => setFallBack(event.currentTarget.checked)}
        />
        {!tested && (
          <Alert color="orange" icon={<Icon name="alert" />} title={t('rotation.untested')}>
            <Checkbox
              label={t('rotation.force')}
              checked={force}
              onChange={(event) => setForce(event.currentTarget.checked)}
            />
          </Alert>
        )}
        {promote.isError && (
          <Reveal key={promote.submittedAt}>
            <Failure error={promote.error} title={t('rotation.notPromoted')} />
          </Reveal>
        )}
        <Group gap="xs">
          <Button size="sm" onClick={() => promote.mutate()} loading={promote.isPending} disabled={!tested && !force}>
            {t('rotation.promote')}
          </Button>
          <Button size="sm" variant="default" onClick={onBack}>
            {t('rotation.back')}
          </Button>
          {promote.isError && (
            <Button size="sm" variant="default" onClick={onValues}>
              {t('rotation.changeValues')}
            </Button>
          )}
        </Group>
      </Stack>
    </Section>
  );
}
