import { Code, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { TestTrace } from '../../../api/types';
import { Json } from '../../../components/json';
import { Facts } from '../../../components/layout';

/** A test's trace in the order in which things happened. */
export function Trace({ trace }: { trace: TestTrace }) {
  const { t } = useTranslation();
  const { request, answer } = trace;
  return (
    <Stack gap="md">
      {(trace.token_requests ?? []).map((each, position) => (
        <Exchange
          key={position}
          title={t('trace.token')}
          facts={[
            [t('trace.sent'), <Code key="sent">{`${each.method} ${each.url}`}</Code>],
            [t('trace.parameters'), each.params && <Pairs key="params" pairs={each.params} />],
            [t('trace.headers'), each.headers && <Pairs key="headers" pairs={each.headers} />],
            [t('trace.status'), each.status ? String(each.status) : t('trace.noAnswer')],
            [t('trace.lifetime'), each.lifetime],
            [t('trace.clock'), each.date],
          ]}
          body={each.answer}
        />
      ))}
      {request && (
        <Exchange
          title={t('trace.request')}
          facts={[
            [t('trace.sent'), <Code key="sent">{`${request.method} ${request.url}`}</Code>],
            [t('trace.authentication'), request.authentication],
            [t('trace.status'), answer?.status ? String(answer.status) : t('trace.noAnswer')],
            [t('trace.rule'), trace.rule],
          ]}
          body={answer && { headers: answer.headers, body: answer.body }}
        />
      )}
      {trace.clock_skew && <Facts items={[[t('trace.skew'), trace.clock_skew]]} />}
    </Stack>
  );
}

type ExchangeProps = { title: string; facts: [string, ReactNode][]; body: unknown };

function Exchange({ title, facts, body }: ExchangeProps) {
  const { t } = useTranslation();
  const known = facts.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return (
    <Stack gap="xs">
      <Title order={3}>{title}</Title>
      <Facts items={known} />
      {body !== undefined && body !== null && <Json value={body} name={`${title}: ${t('trace.answer')}`} />}
    </Stack>
  );
}

function Pairs({ pairs }: { pairs: Record<string, string> }) {
  return (
    <>
      {Object.entries(pairs).map(([name, value]) => (
        <Text key={name} size="xs" className="kf-mono">
          {name}: {value}
        </Text>
      ))}
    </>
  );
}
