import { describe, expect, it } from 'vitest';
import type { Preset } from '../../api/types';
import { basicAuth, oauth2 } from '../../testing/records';
import { draftFor, inputOf } from './draft';
import { fillDraft, fits } from './preset';

const marketo: Preset = {
  id: 'marketo',
  name: 'Adobe Marketo',
  summary: 's',
  note: 'n',
  type: 'oauth2',
  blanks: [{ name: 'tenant', label: 'T', help: 'h', pattern: '[0-9]{3}-[A-Za-z]{3}-[0-9]{3}', example: '123-ABC-456' }],
  fields: {
    grant_type: 'client_credentials',
    access_token_url: 'https://<tenant>.mktorest.com/identity/oauth/token',
    token_params: { account: '<tenant>' },
  },
  allowed_hosts: ['<tenant>.mktorest.com'],
  limits: { requests: 50, per: '20s', concurrency: 5 },
  failure_rules: [{ status: [200], action: 'renew' }],
  test_url: '',
  docs_url: 'https://docs.example',
};

describe('a preset', () => {
  it('fills the form and keeps what was typed', () => {
    const draft = { ...draftFor(basicAuth), name: 'Leads', folder: '/marketing' };
    const filled = fillDraft(draft, marketo, oauth2, { tenant: '123-abc-456' });
    filled.secrets.client_secret = { mode: 'replace', value: 'typed' };
    filled.plain.client_id = 'c1';
    const again = fillDraft(filled, marketo, oauth2, { tenant: '999-abc-456' });
    expect(inputOf(again, oauth2)).toMatchObject({
      name: 'Leads',
      id: 'marketo',
      folder: '/marketing',
      type: 'oauth2',
      fields: {
        grant_type: 'client_credentials',
        access_token_url: 'https://999-abc-456.mktorest.com/identity/oauth/token',
        token_params: { account: '999-abc-456' },
        client_id: 'c1',
        client_secret: 'typed',
      },
      allowed_hosts: ['999-abc-456.mktorest.com'],
      limits: { requests: 50 },
      failure_rules: [{ action: 'renew' }],
    });
  });

  it.each(['', 'x', 'evil.example/', '123-abc-456.evil'])('leaves the blank visible for %j', (tenant) => {
    const filled = fillDraft(draftFor(oauth2), marketo, oauth2, { tenant });
    expect(filled.allowedHosts).toEqual(['<tenant>.mktorest.com']);
    expect(marketo.blanks[0] && fits(marketo.blanks[0], tenant)).toBe(false);
  });

  it('leaves nothing behind when another type is chosen', () => {
    const filled = fillDraft(draftFor(oauth2), marketo, oauth2, { tenant: '123-abc-456' });
    const other = inputOf(draftFor(basicAuth, filled), basicAuth);
    expect(other).not.toHaveProperty('limits');
    expect(other).not.toHaveProperty('failure_rules');
  });

  it('seals what the preset says about a secret field', () => {
    const preset = { ...marketo, type: 'basic_auth', fields: { username_secret: true, password: 'x' } };
    const filled = fillDraft(draftFor(basicAuth), preset, basicAuth, {});
    expect(filled.secrets.password).toEqual({ mode: 'replace', value: 'x' });
    expect(filled.plain).not.toHaveProperty('password');
  });
});
