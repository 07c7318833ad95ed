import { expect, it } from 'vitest';
import { apiKey, basicAuth, credential } from '../../../testing/records';
import { patchOf } from '../draft';
import { replacementDraft } from './values';

const set = { set: true, updated_at: '2026-11-01T00:00:00Z', fingerprint: '3f9a0c11d2e4' };

it('opens the secrets for their replacement and keeps the other fields', () => {
  const stored = credential(apiKey, { fields: { key: 'X-Key', in: 'query' }, secrets: { value: set } });
  const draft = replacementDraft(stored, apiKey);
  expect(patchOf(draft, stored, apiKey)).toEqual({});
  draft.secrets.value = { mode: 'replace', value: 'new' };
  expect(patchOf(draft, stored, apiKey)).toEqual({ fields: { value: 'new' } });
});

it('begins with the fields of a candidate, and never with its secrets', () => {
  const candidate = { fields: { username: 'next' }, secrets: { password: set }, created_at: '', created_by: '', test: null };
  const stored = credential(basicAuth, { fields: { username: 'now' }, secrets: { password: set }, candidate });
  const draft = replacementDraft(stored, basicAuth);
  expect(draft.plain.username).toBe('next');
  expect(draft.secrets.password).toEqual({ mode: 'replace', value: '' });
});
