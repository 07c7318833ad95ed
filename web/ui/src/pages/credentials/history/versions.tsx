import { Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { queries } from '../../../api/queries';
import { versionOrigins, type Credential, type CredentialVersion } from '../../../api/types';
import { Failure, Loading } from '../../../components/feedback';
import { Section } from '../../../components/layout';
import { When } from '../../../components/when';
import { RollbackDialog } from '../rollback';
import { valuesOf } from './differences';

/** The versions of the fields, newest first; an earlier one can be made the current one again. */
export function VersionsPanel({ credential }: { credential: Credential }) {
  const { t } = useTranslation();
  const versions = useQuery(queries.credentialVersions(credential.id));
  const [chosen, setChosen] = useState<number | null>(null);
  return (
    <Section title={t('credentials.versions')} help={t('history.versionsHelp')}>
      {versions.isPending && <Loading />}
      {versions.isError && <Failure error={versions.error} retry={() => void versions.refetch()} />}
      {versions.data && <VersionTable credential={credential} versions={versions.data} onRollback={setChosen} />}
      {chosen !== null && <RollbackDialog credential={credential} version={chosen} onClose={() => setChosen(null)} />}
    </Section>
  );
}

type TableProps = { credential: Credential; versions: CredentialVersion[]; onRollback: (version: number) => void };

function VersionTable({ credential, versions, onRollback }: TableProps) {
  const { t } = useTranslation();
  const current = versions.find((each) => each.version === credential.version);
  return (
    <Table.ScrollContainer minWidth={720}>
      <Table className="kf-table" aria-label={t('credentials.versions')} highlightOnHover={false}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('credentials.version')}</Table.Th>
            <Table.Th>{t('history.made')}</Table.Th>
            <Table.Th>{t('history.values')}</Table.Th>
            <Table.Th>{t('history.actions')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {versions.map((each) => (
            <Table.Tr key={each.version} style={{ verticalAlign: 'top' }}>
              <Table.Td className="kf-nowrap">{t('credentials.versionN', { n: each.version })}</Table.Td>
              <Table.Td>
                <Made version={each} />
              </Table.Td>
              <Table.Td>
                <Values version={each} other={each === current ? undefined : current} />
              </Table.Td>
              <Table.Td className="kf-nowrap">
                {each.version === credential.version ? (
                  <Badge color="teal">{t('history.current')}</Badge>
                ) : (
                  <Button
                    variant="default"
                    size="compact-sm"
                    aria-label={t('rollback.toName', { n: each.version })}
                    onClick={() => onRollback(each.version)}
                  >
                    {t('rollback.to')}
                  </Button>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Made({ version }: { version: CredentialVersion }) {
  const { t } = useTranslation();
  const origin = versionOrigins.find((each) => each === version.origin);
  return (
    <>
      <When time={version.created_at} by={version.created_by} />
      {origin && (
        <Text size="xs" c="dimmed">
          {t(`history.origin_${origin}`)}
        </Text>
      )}
    </>
  );
}

function Values({ version, other }: { version: CredentialVersion; other: CredentialVersion | undefined }) {
  const { t } = useTranslation();
  const values = valuesOf(version, other);
  if (values.length === 0) return <>–</>;
  return (
    <Stack gap={2}>
      {values.map((value) => (
        <Group key={value.name} gap={6} wrap="wrap">
          <Text size="xs" c={value.differs ? undefined : 'dimmed'} fw={value.differs ? 600 : undefined}>
            {value.name}
          </Text>
          <Text size="xs" className="kf-mono" c={value.differs ? undefined : 'dimmed'} lineClamp={2}>
            {value.secret ? t('history.fingerprint', { fingerprint: value.text }) : value.text}
          </Text>
          {value.differs && (
            <Badge size="xs" color="yellow">
              {t('history.differs')}
            </Badge>
          )}
        </Group>
      ))}
    </Stack>
  );
}
