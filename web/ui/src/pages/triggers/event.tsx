import { Alert, Anchor, Button, Grid, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { triggers } from '../../api/resources';
import type { SentEvent, Trigger } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Facts } from '../../components/layout';
import { shortID } from '../runs/waiting';
import { JsonInput } from '../workflows/jsoninput';
import { jsonProblem } from '../workflows/jsontext';
import { eventText, typeFor } from './eventtext';
import { Recent } from './recent';

export function EventDetails({ trigger, onTest }: { trigger: Trigger; onTest: (type: string) => void }) {
  const { t } = useTranslation();
  return (
    <Grid gap="md" pb="xs">
      <Grid.Col span={{ base: 12, md: 7 }}>
        <Stack gap="sm" align="flex-start">
          <Facts
            items={[
              [t('triggers.event'), <span key="e" className="kf-mono">{trigger.event}</span>],
              [t('triggers.filter'), trigger.filter ? <span key="f" className="kf-mono">{trigger.filter}</span> : t('triggers.noFilter')],
              [t('triggers.filterErrors'), String(trigger.filter_errors ?? 0)],
              [t('triggers.notStarted'), String(trigger.refused ?? 0)],
            ]}
          />
          {trigger.last_problem && (
            <Alert color="orange" title={t('triggers.lastProblem')}>
              {trigger.last_problem}
            </Alert>
          )}
          <Button variant="default" onClick={() => onTest(typeFor(trigger.event ?? ''))}>
            {t('triggers.test')}
          </Button>
        </Stack>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Recent trigger={trigger} title={t('triggers.recent')} />
      </Grid.Col>
    </Grid>
  );
}

/** Sends an event by hand, as one from outside, and says what it started. */
export function EventDialog({ type: first, onClose }: { type: string; onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [type, setType] = useState(first);
  const [source, setSource] = useState('/keyflow/test');
  const [data, setData] = useState('{\n  "priority": "high"\n}');
  const problem = jsonProblem(data);
  const send = useMutation({
    mutationFn: () => triggers.send(eventText({ id: `test-${String(Date.now())}`, type, source, data })),
    onSuccess: () => void client.invalidateQueries({ queryKey: ['runs'] }),
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!problem) send.mutate();
  };
  return (
    <Modal opened onClose={onClose} size="lg" title={t('triggers.test')} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Text size="sm" c="dimmed">
            {t('triggers.testText')}
          </Text>
          <TextInput label={t('triggers.type')} required autoComplete="off" classNames={{ input: 'kf-mono' }} value={type} onChange={(event) => setType(event.currentTarget.value)} />
          <TextInput label={t('triggers.source')} required autoComplete="off" classNames={{ input: 'kf-mono' }} value={source} onChange={(event) => setSource(event.currentTarget.value)} />
          <JsonInput label={t('triggers.data')} minRows={5} text={data} onChange={setData} />
          {send.isError && <Failure error={send.error} title={t('triggers.refused')} />}
          {send.data?.map((sent) => <Outcome key={sent.id} sent={sent} />)}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              {t('common.close')}
            </Button>
            <Button type="submit" loading={send.isPending} disabled={problem !== null}>
              {t('triggers.send')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Outcome({ sent }: { sent: SentEvent }) {
  const { t } = useTranslation();
  const { run_ids, error } = sent;
  return (
    <Alert color={error ? 'red' : run_ids.length > 0 ? 'teal' : 'orange'} role="status" title={error ? t('triggers.refused') : t('triggers.sent')}>
      {error?.message ?? (run_ids.length === 0 ? t('triggers.sentNone') : t('triggers.sentRuns', { count: run_ids.length }))}{' '}
      {run_ids.map((id) => (
        <Anchor key={id} component={Link} to="/runs/$id" params={{ id } as never} size="sm" underline="always" mr={6}>
          {shortID(id)}
        </Anchor>
      ))}
    </Alert>
  );
}
