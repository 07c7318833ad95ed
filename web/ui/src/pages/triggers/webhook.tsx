import { Grid, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { queries } from '../../api/queries';
import type { Trigger } from '../../api/types';
import { Copy } from '../../components/copy';
import { Facts } from '../../components/layout';
import { useDeclared } from './declared';
import { Recent } from './recent';
import { authOf, curlSample } from './sample';

export function WebhookDetails({ trigger, url }: { trigger: Trigger; url: string }) {
  const { t } = useTranslation();
  const { respond, respond_timeout, dedupe } = useDeclared(trigger);
  const caller = trigger.credential ? t('triggers.verified', { id: trigger.credential }) : t('triggers.public');
  return (
    <Grid gap="md" pb="xs">
      <Grid.Col span={{ base: 12, md: 7 }}>
        <Stack gap="sm">
          <Facts
            items={[
              [t('triggers.caller'), caller],
              [
                t('triggers.respond'),
                respond === 'on_finish' ? t('triggers.respond_on_finish', { time: respond_timeout ?? '30s' }) : t('triggers.respond_on_accept'),
              ],
              [t('triggers.dedupe'), dedupe ? <span key="d" className="kf-mono">{dedupe}</span> : t('triggers.noDedupe')],
            ]}
          />
          <Sample trigger={trigger} url={url} dedupe={dedupe} />
        </Stack>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Recent trigger={trigger} title={t('triggers.deliveries')} />
      </Grid.Col>
    </Grid>
  );
}

function Sample({ trigger, url, dedupe }: { trigger: Trigger; url: string; dedupe?: string }) {
  const { t } = useTranslation();
  const id = trigger.credential ?? '';
  const credential = useQuery({ ...queries.credential(id), enabled: id !== '', retry: false });
  const sample = curlSample({ trigger, url, dedupe, credential: credential.data });
  const name = `${t('triggers.sample')}: ${trigger.workflow} ${trigger.id}`;
  return (
    <div>
      <Title order={3} mb={4}>
        {t('triggers.sample')}
      </Title>
      {id !== '' && (
        <Text size="xs" c="dimmed" mb={4}>
          {t(`triggers.sampleAuth_${authOf(credential.data)}`)}
        </Text>
      )}
      <div className="kf-json">
        <div className="kf-json-tools">
          <Copy value={sample} name={name} />
        </div>
        <pre className="kf-code" tabIndex={0} role="group" aria-label={name}>
          {sample}
        </pre>
      </div>
    </div>
  );
}
