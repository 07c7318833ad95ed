import { Alert, Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../../api/queries';
import { credentials, type Revised } from '../../../api/resources';
import type { Candidate, Credential, CredentialType } from '../../../api/types';
import { StateBadge } from '../../../components/badges';
import { Failure, Loading } from '../../../components/feedback';
import { PageHead } from '../../../components/layout';
import { When } from '../../../components/when';
import { useTrail } from '../trail';
import { DoneStep } from './done';
import { PromoteStep } from './promote';
import { Progress, type Step } from './progress';
import { TestStep } from './test';
import { ValuesStep } from './values';

const route = getRouteApi('/shell/credentials/$id/rotate');

/** Replaces the secrets of a credential without a gap: enter, test, promote. */
export function RotationPage() {
  const { id } = route.useParams();
  const { t } = useTranslation();
  const credential = useQuery(queries.credential(id));
  const types = useQuery(queries.credentialTypes());
  const type = types.data?.find((each) => each.id === credential.data?.type);
  const failure = credential.error ?? types.error;
  const name = credential.data?.name ?? id;
  const trail = [
    ...useTrail(true),
    <Anchor key="credential" component={Link} to="/credentials/$id" params={{ id } as never} size="xs">
      {name}
    </Anchor>,
  ];
  return (
    <>
      <PageHead
        trail={trail}
        name={`${t('rotation.title')} · ${name}`}
        title={
          <Group gap="sm">
            {t('rotation.titleName', { name })}
            {credential.data && <StateBadge state={credential.data.state} />}
          </Group>
        }
      />
      {failure && <Failure error={failure} retry={() => void credential.refetch()} />}
      {!failure && (credential.isPending || types.isPending) && <Loading />}
      {credential.data && type && <Wizard key={id} credential={credential.data} type={type} />}
    </>
  );
}

type WizardProps = { credential: Revised<Credential>; type: CredentialType };

function Wizard({ credential, type }: WizardProps) {
  const client = useQueryClient();
  const [step, setStep] = useState<Step>(credential.candidate ? 'test' : 'values');
  // A candidate that was here before this page: its maker may be somebody else.
  const [found, setFound] = useState(credential.candidate ?? null);
  const store = (next: Revised<Credential>) => {
    client.setQueryData(queries.credential(credential.id).queryKey, next);
    void client.invalidateQueries({ queryKey: ['credentials'] });
  };
  const staged = (next: Revised<Credential>) => {
    setFound(null);
    store(next);
    setStep('test');
  };
  const discarded = (next: Revised<Credential>) => {
    setFound(null);
    store(next);
    setStep('values');
  };
  const promoted = (next: Revised<Credential>) => {
    store(next);
    setStep('done');
  };
  const back = () => setStep('values');
  return (
    <Stack gap="md" maw={860}>
      <Progress step={step} />
      {found && step !== 'done' && <Found credential={credential} candidate={found} onDiscarded={discarded} />}
      {step === 'values' && <ValuesStep credential={credential} type={type} onStaged={staged} />}
      {step === 'test' && <TestStep credential={credential} onBack={back} onNext={() => setStep('promote')} />}
      {step === 'promote' && (
        <PromoteStep credential={credential} onBack={() => setStep('test')} onValues={back} onPromoted={promoted} />
      )}
      {step === 'done' && <DoneStep credential={credential} />}
    </Stack>
  );
}

type FoundProps = { credential: Credential; candidate: Candidate; onDiscarded: (next: Revised<Credential>) => void };

function Found({ credential, candidate, onDiscarded }: FoundProps) {
  const { t } = useTranslation();
  const discard = useMutation({ mutationFn: () => credentials.unstage(credential.id), onSuccess: onDiscarded });
  return (
    <Alert color="blue" title={t('rotation.found')}>
      <Stack gap="xs" align="flex-start">
        <Text size="sm">
          <When time={candidate.created_at} by={candidate.created_by} />
        </Text>
        <Text size="sm">{t('rotation.foundText')}</Text>
        {discard.isError && <Failure error={discard.error} />}
        <Button variant="default" onClick={() => discard.mutate()} loading={discard.isPending}>
          {t('rotation.discard')}
        </Button>
      </Stack>
    </Alert>
  );
}
