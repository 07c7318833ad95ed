import { Alert, Anchor, Button, FileButton, Group, Select, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { credentials } from '../../../api/resources';
import type { ImportResult } from '../../../api/types';
import { Failure, Reveal } from '../../../components/feedback';
import { Icon } from '../../../components/icons';
import { PageHead, Section } from '../../../components/layout';
import { useTrail } from '../trail';
import { formatOf } from './format';
import { Plan } from './plan';

/** Brings in credentials from a file: first what would happen, then all of it or nothing. */
export function ImportPage() {
  const { t } = useTranslation();
  const trail = useTrail(true);
  return (
    <>
      <PageHead
        trail={trail}
        title={t('import.title')}
        name={t('import.title')}
        below={
          <Text size="sm" c="dimmed">
            {t('import.help')}
          </Text>
        }
      />
      <Import />
    </>
  );
}

type Source = { text: string; mode: string; folder: string };
const empty: Source = { text: '', mode: 'upsert', folder: '' };

function Import() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [source, setSource] = useState(empty);
  const [done, setDone] = useState<ImportResult | null>(null);
  const send = (dryRun: boolean) => credentials.importText(source.text, { ...source, dryRun, format: formatOf(source.text) });
  const check = useMutation({ mutationFn: () => send(true) });
  const run = useMutation({
    mutationFn: () => send(false),
    onSuccess: (result) => {
      setDone(result);
      setSource(empty); // secrets do not stay on the screen
      check.reset();
      void client.invalidateQueries({ queryKey: ['credentials'] });
    },
  });
  const change = (next: Partial<Source>) => {
    setSource({ ...source, ...next });
    setDone(null);
    check.reset();
    run.reset();
  };
  const failure = run.error ?? check.error;
  return (
    <Stack gap="md" maw={960}>
      {done && <Done result={done} />}
      <SourceSection source={source} onChange={change} />
      {failure && (
        <Reveal key={check.submittedAt + run.submittedAt}>
          <Failure error={failure} title={t('import.refused')} />
        </Reveal>
      )}
      {check.data && <Plan result={check.data} />}
      <Group gap="xs">
        <Button
          size="sm"
          variant={check.data ? 'default' : 'filled'}
          disabled={source.text.trim() === ''}
          loading={check.isPending}
          onClick={() => check.mutate()}
        >
          {t('import.check')}
        </Button>
        {check.data && (
          <Button
            size="sm"
            disabled={check.data.created + check.data.updated === 0}
            loading={run.isPending}
            onClick={() => run.mutate()}
          >
            {t('import.run', { count: check.data.created + check.data.updated })}
          </Button>
        )}
      </Group>
    </Stack>
  );
}

function Done({ result }: { result: ImportResult }) {
  const { t } = useTranslation();
  return (
    <Alert color="teal" icon={<Icon name="check" />} title={t('import.done')} role="status">
      <Stack gap={4} align="flex-start">
        <Text size="sm">{t('import.counts', result)}</Text>
        <Anchor component={Link} to="/credentials" size="sm">
          {t('nav.credentials')}
        </Anchor>
      </Stack>
    </Alert>
  );
}

function SourceSection({ source, onChange }: { source: Source; onChange: (change: Partial<Source>) => void }) {
  const { t } = useTranslation();
  const read = (file: File | null) => void file?.text().then((text) => onChange({ text }));
  return (
    <Section title={t('import.source')} help={t('import.sourceHelp')}>
      <Stack gap="sm">
        <Group gap="sm" align="flex-end">
          <FileButton onChange={read} accept=".json,.csv,application/json,text/csv">
            {(props) => (
              <Button {...props} variant="default" size="sm">
                {t('import.file')}
              </Button>
            )}
          </FileButton>
          <Select
            label={t('import.mode')}
            w={320}
            data={[
              { value: 'upsert', label: t('import.modeUpsert') },
              { value: 'update', label: t('import.modeUpdate') },
            ]}
            value={source.mode}
            onChange={(mode) => mode && onChange({ mode })}
          />
        </Group>
        <Textarea
          label={t('import.text')}
          description={t('import.textHelp')}
          autosize
          minRows={6}
          maxRows={18}
          spellCheck={false}
          autoComplete="off"
          classNames={{ input: 'kf-mono' }}
          value={source.text}
          onChange={(event) => onChange({ text: event.currentTarget.value })}
        />
        <TextInput
          label={t('credentials.folder')}
          description={t('import.folderHelp')}
          w={480}
          maw="100%"
          spellCheck={false}
          value={source.folder}
          onChange={(event) => onChange({ folder: event.currentTarget.value })}
        />
      </Stack>
    </Section>
  );
}
