import { Button, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { queries } from '../../../api/queries';
import { credentials } from '../../../api/resources';
import type { Credential } from '../../../api/types';
import { Failure } from '../../../components/feedback';
import { Section } from '../../../components/layout';
import { When } from '../../../components/when';
import { TestOutcome } from '../testresult';

type Props = { credential: Credential; onBack: () => void; onNext: () => void };

/** Tries the staged values; nothing that runs notices. */
export function TestStep({ credential, onBack, onNext }: Props) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const test = useMutation({
    mutationFn: () => credentials.testCandidate(credential.id),
    onSettled: () => client.invalidateQueries({ queryKey: queries.credential(credential.id).queryKey, exact: true }),
  });
  const remembered = credential.candidate?.test ?? null;
  const result = test.data ?? remembered;
  const passed = result?.ok === true;
  return (
    <Section title={t('rotation.step_test')} help={t('rotation.testHelp')}>
      <Stack gap="md">
        {result && <TestOutcome key={test.submittedAt} result={result} />}
        {!test.data && remembered && (
          <Text size="xs" c="dimmed">
            <When time={remembered.at} words={(time) => t('rotation.tested', { time })} />
          </Text>
        )}
        {test.isError && <Failure error={test.error} title={t('test.notRun')} />}
        <Group gap="xs">
          {passed && (
            <Button size="sm" onClick={onNext}>
              {t('rotation.toPromote')}
            </Button>
          )}
          {result?.ok === false && (
            <Button size="sm" onClick={onBack}>
              {t('rotation.changeValues')}
            </Button>
          )}
          <Button size="sm" variant={result ? 'default' : 'filled'} onClick={() => test.mutate()} loading={test.isPending}>
            {result ? t('rotation.testAgain') : t('rotation.runTest')}
          </Button>
          {result?.ok !== false && (
            <Button size="sm" variant="default" onClick={onBack}>
              {t('rotation.changeValues')}
            </Button>
          )}
          {!passed && (
            <Button size="sm" variant="subtle" onClick={onNext}>
              {t('rotation.skipTest')}
            </Button>
          )}
        </Group>
      </Stack>
    </Section>
  );
}
