// What a page shows when there is nothing else to show: loading, empty, failed.
import { Alert, Button, Center, Code, Group, List, Loader, Stack, Text, Title } from '@mantine/core';
import { useEffect, useRef, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api/client';
import { Icon } from './icons';

export function Loading() {
  const { t } = useTranslation();
  return (
    <Center p="xl" role="status" aria-label={t('common.loading')}>
      <Loader size="sm" />
    </Center>
  );
}

/** An empty list: says what belongs here and what to do next. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <Stack align="center" gap="xs" p="xl" ta="center">
      <Title order={2}>{title}</Title>
      {children && <Text size="sm" c="dimmed" maw={520}>{children}</Text>}
      {action && <Group mt="xs" justify="center">{action}</Group>}
    </Stack>
  );
}

/** Brings its content into view when it appears: an outcome below a long form is not missed. */
export function Reveal({ children }: { children: ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  return (
    <div ref={box} className="kf-reveal">
      {children}
    </div>
  );
}

/** A failed request in words: the server's detail, each problem, the request id for the log. */
export function Failure({ error, retry, title }: { error: unknown; retry?: () => void; title?: string }) {
  const { t } = useTranslation();
  const heading = title ?? failureTitle(error, t('error.title'), t('error.unreachable'));
  return (
    <Alert color="red" title={heading} icon={<Icon name="alert" />} role="alert">
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{failureDetail(error, t('error.unreachableDetail'), t('error.unexpected'))}</Text>
        {error instanceof ApiError && error.problems.length > 0 && (
          <List size="sm" spacing={2}>
            {error.problems.map((p) => (
              <List.Item key={`${p.path ?? ''} ${p.message}`}>
                {p.path && <Code mr={6}>{p.path}</Code>}
                {p.message}
              </List.Item>
            ))}
          </List>
        )}
        {error instanceof ApiError && error.requestID && (
          <Text size="xs" c="dimmed">
            {t('error.requestId')} <span className="kf-mono">{error.requestID}</span>
          </Text>
        )}
        {retry && (
          <Button variant="default" onClick={retry} leftSection={<Icon name="refresh" size={14} />}>
            {t('common.retry')}
          </Button>
        )}
      </Stack>
    </Alert>
  );
}

function failureTitle(error: unknown, title: string, unreachable: string): string {
  if (!(error instanceof ApiError)) return title;
  if (error.status === 0) return unreachable;
  return error.detail ? error.title : title;
}

function failureDetail(error: unknown, unreachable: string, unexpected: string): string {
  if (!(error instanceof ApiError)) return unexpected;
  return error.status === 0 ? unreachable : error.detail || error.title;
}
