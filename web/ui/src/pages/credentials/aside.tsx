// What is known about a stored credential besides its form: state, what can be done, facts.
import { Alert, Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { Credential } from '../../api/types';
import { StateBadge } from '../../components/badges';
import { Failure } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { Facts, Section } from '../../components/layout';
import { useNotify } from '../../components/notify';
import { When } from '../../components/when';
import { ConnectPanel } from './connectpanel';
import { DisconnectDialog } from './disconnect';
import { Expires, reasonOf } from './expires';
import { TestOutcome } from './testresult';

const route = getRouteApi('/shell/credentials/$id');

export function CredentialAside({ credential, dirty }: { credential: Credential; dirty: boolean }) {
  return (
    <Stack gap="md">
      <StateSection credential={credential} dirty={dirty} />
      <FactsSection credential={credential} />
    </Stack>
  );
}

/** Whether a person connects the credential at its provider. */
export function isConnectable(credential: Credential): boolean {
  return credential.type === 'oauth2' && credential.fields.grant_type === 'authorization_code';
}

function StateSection({ credential, dirty }: { credential: Credential; dirty: boolean }) {
  const { t } = useTranslation();
  const { connect } = route.useSearch();
  const { state } = credential;
  return (
    <Section title={t('credentials.state')}>
      <Stack gap="sm" align="stretch">
        <div>
          <StateBadge state={{ status: state.status, message: '' }} />
          <Text span size="xs" c="dimmed" ml="xs">
            <When time={state.since} words={(time) => t('credentials.since', { time })} />
          </Text>
        </div>
        <Text size="sm" component="div">
          {reasonOf(state) || (state.message && <Expires credential={credential} />)}
        </Text>
        {(credential.warnings ?? []).map((warning) => (
          <Alert key={warning} color="orange" icon={<Icon name="alert" />}>
            {warning}
          </Alert>
        ))}
        <CandidateHint credential={credential} />
        {isConnectable(credential) && <ConnectPanel credential={credential} dirty={dirty} focused={connect !== undefined} />}
        <Actions credential={credential} />
      </Stack>
    </Section>
  );
}

/** New values that wait to be promoted, and a former version that may come back. */
function CandidateHint({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  const { candidate, fall_back: fallBack } = credential;
  return (
    <>
      {candidate && (
        <Alert color="blue" title={t('rotation.waiting')}>
          <Stack gap={4} align="flex-start">
            <Text size="sm">
              <When time={candidate.created_at} by={candidate.created_by} />
            </Text>
            <Anchor component={Link} to="/credentials/$id/rotate" params={{ id: credential.id } as never} size="sm">
              {t('rotation.goOn')}
            </Anchor>
          </Stack>
        </Alert>
      )}
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
    </>
  );
}

function Actions({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  const notify = useNotify();
  const client = useQueryClient();
  const [disconnecting, setDisconnecting] = useState(false);
  const reload = () => client.invalidateQueries({ queryKey: queries.credential(credential.id).queryKey, exact: true });
  const test = useMutation({ mutationFn: () => credentials.test(credential.id), onSettled: reload });
  const refresh = useMutation({
    mutationFn: () => credentials.refresh(credential.id),
    onSuccess: () => notify('done', t('connect.refreshed')),
    onSettled: reload,
  });
  const hasToken = credential.type === 'oauth2' && credential.state.status !== 'needs_connect';
  return (
    <>
      <Group gap="xs">
        <Button variant="default" onClick={() => test.mutate()} loading={test.isPending}>
          {t('test.stored')}
        </Button>
        {hasToken && (
          <Button variant="default" onClick={() => refresh.mutate()} loading={refresh.isPending}>
            {t('connect.refresh')}
          </Button>
        )}
        {hasToken && isConnectable(credential) && (
          <Button variant="default" className="kf-danger" onClick={() => setDisconnecting(true)}>
            {t('connect.disconnect')}
          </Button>
        )}
      </Group>
      {test.data && <TestOutcome result={test.data} />}
      {test.isError && <Failure error={test.error} title={t('test.notRun')} />}
      {refresh.isError && <Failure error={refresh.error} title={t('connect.notRefreshed')} />}
      {disconnecting && <DisconnectDialog credential={credential} onClose={() => setDisconnecting(false)} />}
    </>
  );
}

function FactsSection({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  return (
    <Section title={t('credentials.facts')}>
      <Facts
        items={[
          [t('credentials.usedBy'), credential.used_by === undefined ? '–' : t('credentials.usedByCount', { count: credential.used_by })],
          [t('credentials.lastUsed'), <When key="used" time={credential.last_used_at} fallback={t('credentials.neverUsed')} />],
          [t('credentials.expires'), <Expires key="expires" credential={credential} />],
          [t('credentials.version'), String(credential.version)],
          [t('credentials.updated'), <When key="updated" time={credential.updated_at} by={credential.updated_by} />],
          [t('credentials.created'), <When key="created" time={credential.created_at} by={credential.created_by} />],
        ]}
      />
    </Section>
  );
}
