import { Alert, Anchor, Select, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { CredentialType, Preset } from '../../api/types';
import { Section } from '../../components/layout';
import { usePresetText } from '../../i18n/presets';
import { draftFor, type Draft } from './draft';
import { fillDraft, fits, type Blanks } from './preset';

type Props = { presets: Preset[]; types: CredentialType[]; draft: Draft; onChange: (draft: Draft) => void };

/** Fills the form for a known provider; everything stays open to change. */
export function PresetSection({ presets, types, draft, onChange }: Props) {
  const { t } = useTranslation();
  const words = usePresetText();
  const [chosen, setChosen] = useState<Preset | null>(null);
  const [blanks, setBlanks] = useState<Blanks>({});

  const fill = (preset: Preset, values: Blanks, from: Draft) => {
    const type = types.find((each) => each.id === preset.type);
    if (type) onChange(fillDraft(from, preset, type, values));
  };
  const choose = (id: string | null) => {
    const preset = presets.find((each) => each.id === id) ?? null;
    setChosen(preset);
    setBlanks({});
    const type = types.find((each) => each.id === (preset?.type ?? draft.type));
    const own = chosen && draft.name === chosen.name ? { ...draft, name: '', id: '' } : draft;
    if (!type) return;
    if (preset) fill(preset, {}, draftFor(type, own));
    else onChange(draftFor(type, { ...own, allowedHosts: [], testURL: '' }));
  };
  const write = (name: string, value: string) => {
    const next = { ...blanks, [name]: value };
    setBlanks(next);
    if (chosen) fill(chosen, next, draft);
  };
  const text = chosen && words(chosen);
  return (
    <Section title={t('preset.title')} help={t('preset.help')}>
      <Stack gap="sm">
        <Select
          aria-label={t('preset.title')}
          placeholder={t('preset.none')}
          searchable
          clearable
          nothingFoundMessage={t('preset.unknown')}
          data={presets.map((preset) => ({ value: preset.id, label: preset.name }))}
          value={chosen?.id ?? null}
          onChange={choose}
        />
        {chosen && text && (
          <>
            <Alert color="gray">
              <Text size="sm">{text.summary}</Text>
              <Text size="sm">{text.note}</Text>
              <Anchor size="sm" href={chosen.docs_url} target="_blank" rel="noreferrer noopener">
                {t('preset.docs')}
              </Anchor>
            </Alert>
            <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
              {chosen.blanks.map((blank) => {
                const value = blanks[blank.name] ?? '';
                const label = text.blank(blank);
                return (
                  <TextInput
                    key={blank.name}
                    label={label.label}
                    description={label.help}
                    placeholder={blank.example}
                    required
                    autoComplete="off"
                    spellCheck={false}
                    value={value}
                    error={value !== '' && !fits(blank, value) ? t('preset.pattern', { example: blank.example }) : undefined}
                    onChange={(event) => write(blank.name, event.currentTarget.value)}
                  />
                );
              })}
            </SimpleGrid>
          </>
        )}
      </Stack>
    </Section>
  );
}
