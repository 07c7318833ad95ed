// What is known about a stored credential besides its form: state, use, history.
import { Alert, Button, Stack, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { Credential } from '../../api/types';
import { StateBadge } from '../../components/badges';
import { Failure, Loading } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { Facts, Section } from '../../components/layout';
import { When } from '../../components/when';
import { ConnectPanel } from './connectpanel';
import { UsageList } from './remove';
import { TestOutcome } from './testresult';

const route = getRouteApi('/shell/credentials/$id');

export function CredentialAside({ credential, dirty }: { credential: Credential; dirty: boolean }) {
  return (
    <Stack gap="md">
      <StateSection credential={credential} dirty={dirty} />
      <FactsSection credential={credential} />
      <UsagesSection id={credential.id} />
      <VersionsSection credential={credential} />
    </Stack>
  );
}

function StateSection({ credential, dirty }: { credential: Credential; dirty: boolean }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { connect } = route.useSearch();
  const test = useMutation({
    mutationFn: () => credentials.test(credential.id),
    onSettled: () => client.invalidateQueries({ queryKey: queries.credential(credential.id).queryKey, exact: true }),
  });
  const { state } = credential;
  const connectable = credential.type === 'oauth2' && credential.fields.grant_type === 'authorization_code';
  return (
    <Section title={t('credentials.state')}>
      <Stack gap="sm" align="stretch">
        <div>
          <StateBadge state={{ status: state.status, message: '' }} />
          <Text span size="xs" c="dimmed" ml="xs">
            <When time={state.since} words={(time) => t('credentials.since', { time })} />
          </Text>
        </div>
        {state.message && <Text size="sm">{state.message}</Text>}
        {(credential.warnings ?? []).map((warning) => (
          <Alert key={warning} color="orange" icon={<Icon name="alert" />}>
            {warning}
          </Alert>
        ))}
        {connectable && <ConnectPanel credential={credential} dirty={dirty} focused={connect !== undefined} />}
        <Button variant="default" onClick={() => test.mutate()} loading={test.isPending} style={{ alignSelf: 'flex-start' }}>
          {t('test.stored')}
        </Button>
        {test.data && <TestOutcome result={test.data} />}
        {test.isError && <Failure error={test.error} title={t('test.notRun')} />}
      </Stack>
    </Section>
  );
}

function FactsSection({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  return (
    <Section title={t('credentials.facts')}>
      <Facts
        items={[
          [t('credentials.lastUsed'), <When key="used" time={credential.last_used_at} fallback={t('credentials.neverUsed')} />],
          [t('credentials.version'), String(credential.version)],
          [t('credentials.updated'), <When key="updated" time={credential.updated_at} by={credential.updated_by} />],
          [t('credentials.created'), <When key="created" time={credential.created_at} by={credential.created_by} />],
        ]}
      />
    </Section>
  );
}

function UsagesSection({ id }: { id: string }) {
  const { t } = useTranslation();
  const usages = useQuery(queries.usages(id));
  return (
    <Section title={t('credentials.usages')} help={t('credentials.usagesHelp')}>
      {usages.isPending && <Loading />}
      {usages.isError && <Failure error={usages.error} retry={() => void usages.refetch()} />}
      {usages.data?.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('credentials.unused')}
        </Text>
      )}
      {usages.data && usages.data.length > 0 && <UsageList usages={usages.data} />}
    </Section>
  );
}

function VersionsSection({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  const versions = useQuery(queries.credentialVersions(credential.id));
  return (
    <Section title={t('credentials.versions')}>
      {versions.isPending && <Loading />}
      {versions.isError && <Failure error={versions.error} retry={() => void versions.refetch()} />}
      {versions.data && (
        <Facts
          items={versions.data.map((each) => [
            t('credentials.versionN', { n: each.version }),
            <When key={each.version} time={each.created_at} by={each.created_by} />,
          ])}
        />
      )}
    </Section>
  );
}
