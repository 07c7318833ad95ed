// Presets: what the form is filled with for a known provider.
import type { Blank, CredentialType, Preset } from '../../api/types';
import { draftFor, type Draft } from './draft';
import { optionsOf, type Options } from './options';

export type Blanks = Record<string, string>;

/** Whether a value has the form that its blank asks for. */
export function fits(blank: Blank, value: string): boolean {
  return new RegExp(`^(?:${blank.pattern})$`).test(value);
}

// A blank that is not filled in properly stays visible as <name>, which no server accepts.
function fillText(text: string, preset: Preset, blanks: Blanks): string {
  return text.replace(/<([a-z_]+)>/g, (whole, name: string) => {
    const blank = preset.blanks.find((each) => each.name === name);
    const value = blanks[name] ?? '';
    return blank && fits(blank, value) ? value : whole;
  });
}

function fillValue(value: unknown, preset: Preset, blanks: Blanks): unknown {
  if (typeof value === 'string') return fillText(value, preset, blanks);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fillValue(each, preset, blanks)]));
}

function presetOptions(preset: Preset): Pick<Options, 'limits' | 'rules'> {
  const { limits, rules } = optionsOf(preset);
  return { limits, rules };
}

/** The draft as the preset fills it. What a person has typed for other fields stays. */
export function fillDraft(draft: Draft, preset: Preset, type: CredentialType, blanks: Blanks): Draft {
  const filled = draft.type === type.id ? draft : draftFor(type, draft);
  const plain = { ...filled.plain };
  const secrets = { ...filled.secrets };
  for (const field of type.fields) {
    const value = preset.fields[field.name];
    if (value === undefined) continue;
    if (field.secret) secrets[field.name] = { mode: 'replace', value: String(value) };
    else plain[field.name] = fillValue(value, preset, blanks);
  }
  return {
    ...filled,
    name: draft.name || preset.name,
    id: draft.id || preset.id,
    plain,
    secrets,
    allowedHosts: preset.allowed_hosts.map((host) => fillText(host, preset, blanks)),
    testURL: fillText(preset.test_url, preset, blanks),
    options: { ...filled.options, ...presetOptions(preset) },
  };
}
