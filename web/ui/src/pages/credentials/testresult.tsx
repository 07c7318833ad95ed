import { Accordion, Alert, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { TestResult } from '../../api/types';
import { Icon } from '../../components/icons';
import { Trace } from './advanced/trace';

/** What a test found: result, advice, and the redacted trace on demand. */
export function TestOutcome({ result }: { result: Pick<TestResult, 'ok' | 'message' | 'suggestion' | 'trace'> }) {
  const { t } = useTranslation();
  return (
    <Alert
      color={result.ok ? 'teal' : 'red'}
      icon={<Icon name={result.ok ? 'check' : 'alert'} />}
      title={result.ok ? t('test.ok') : t('test.failed')}
      role="status"
    >
      <Stack gap="xs">
        {result.message && <Text size="sm">{result.message}</Text>}
        {result.suggestion && (
          <Text size="sm" fw={550}>
            {result.suggestion}
          </Text>
        )}
        {result.trace && Object.keys(result.trace).length > 0 && (
          <Accordion variant="default" chevronPosition="left">
            <Accordion.Item value="trace" style={{ border: 0 }}>
              <Accordion.Control px={0}>{t('test.trace')}</Accordion.Control>
              <Accordion.Panel>
                <Trace trace={result.trace} />
              </Accordion.Panel>
            </Accordion.Item>
          </Accordion>
        )}
      </Stack>
    </Alert>
  );
}
