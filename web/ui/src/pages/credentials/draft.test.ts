import { describe, expect, it } from 'vitest';
import { apiKey, basicAuth, credential, oauth2 } from '../../testing/records';
import { applies, changesOf, draftFor, draftOf, inputOf, isID, isSecret, patchOf, proposeID } from './draft';

describe('proposeID', () => {
  it.each([
    ['ERP', 'erp'],
    ['Acme ERP (test)', 'acme-erp-test'],
    ['Café Zürich', 'cafe-zurich'],
    ['  -- x_1 --', 'x_1'],
    ['HR 포털 Login', 'hr-login'],
    ['자격 증명', ''],
    ['a'.repeat(80), 'a'.repeat(63)],
  ])('makes of %j the id %j', (name, want) => {
    expect(proposeID(name)).toBe(want);
    expect(want === '' || isID(want)).toBe(true);
  });
});

describe('isID', () => {
  it.each(['', '-a', 'A', 'a b', 'a'.repeat(64), 'é'])('refuses %j', (text) => {
    expect(isID(text)).toBe(false);
  });
});

describe('a new credential', () => {
  it('sends plain and secret fields together and leaves out what is empty', () => {
    const draft = draftFor(basicAuth);
    draft.id = 'erp';
    draft.name = ' ERP ';
    draft.plain.username = 'it@acme.kr';
    draft.secrets.password = { mode: 'replace', value: 's3cret' };
    draft.allowedHosts = ['erp.acme.kr'];
    expect(inputOf(draft, basicAuth)).toEqual({
      id: 'erp',
      name: 'ERP',
      description: '',
      folder: '/',
      type: 'basic_auth',
      fields: { username: 'it@acme.kr', password: 's3cret', username_secret: false },
      allowed_hosts: ['erp.acme.kr'],
    });
  });

  it('starts with the declared defaults, and a required choice with its first one', () => {
    expect(draftFor(oauth2).plain).toMatchObject({
      grant_type: 'authorization_code',
      client_authentication: 'header',
      pkce: true,
      prefix: 'Bearer ',
      token_params: {},
    });
  });

  it('leaves out fields that do not apply to the chosen grant', () => {
    const draft = draftFor(oauth2);
    draft.plain = { ...draft.plain, grant_type: 'client_credentials', authorization_url: 'https://a.example' };
    const { fields } = inputOf(draft, oauth2);
    expect(fields).not.toHaveProperty('authorization_url');
    expect(fields).not.toHaveProperty('pkce');
  });

  it('sends an emptied text whose default is not empty', () => {
    const draft = draftFor(oauth2);
    draft.plain.prefix = '';
    expect(inputOf(draft, oauth2).fields.prefix).toBe('');
  });

  it('keeps name, hosts and folder when the type changes, but no field values', () => {
    const first = draftFor(basicAuth);
    first.name = 'ERP';
    first.allowedHosts = ['erp.acme.kr'];
    first.secrets.password = { mode: 'replace', value: 's3cret' };
    const second = draftFor(apiKey, first);
    expect(second).toMatchObject({ name: 'ERP', allowedHosts: ['erp.acme.kr'], type: 'api_key', secrets: {} });
    expect(JSON.stringify(second)).not.toContain('s3cret');
  });
});

describe('editing', () => {
  const stored = credential(basicAuth, { fields: { username: 'it' }, secrets: { password: { set: true, updated_at: null } } });

  it('changes nothing when nothing was changed', () => {
    expect(patchOf(draftOf(stored, basicAuth), stored, basicAuth)).toEqual({});
  });

  it.each([
    ['keep', { mode: 'keep' } as const, {}],
    ['blank replacement', { mode: 'replace', value: '' } as const, {}],
    ['replacement', { mode: 'replace', value: 'new' } as const, { fields: { password: 'new' } }],
    ['clear', { mode: 'clear' } as const, { fields: { password: null } }],
  ])('writes a secret with %s', (_name, secret, want) => {
    const draft = draftOf(stored, basicAuth);
    draft.secrets.password = secret;
    expect(patchOf(draft, stored, basicAuth)).toEqual(want);
  });

  it('sends only what changed', () => {
    const draft = draftOf(stored, basicAuth);
    draft.name = 'Other';
    draft.plain.username = 'kim';
    draft.allowedHosts = ['a.example', 'b.example'];
    expect(patchOf(draft, stored, basicAuth)).toEqual({
      name: 'Other',
      allowed_hosts: ['a.example', 'b.example'],
      fields: { username: 'kim' },
    });
  });

  it('takes removed map entries out with null', () => {
    const record = credential(oauth2, { fields: { grant_type: 'authorization_code', token_params: { a: '1', b: '2' } } });
    const draft = draftOf(record, oauth2);
    draft.plain.token_params = { b: '3' };
    expect(patchOf(draft, record, oauth2)).toEqual({ fields: { token_params: { a: null, b: '3' } } });
    draft.plain.token_params = {};
    expect(patchOf(draft, record, oauth2)).toEqual({ fields: { token_params: null } });
  });

  it('clears stored fields that no longer apply', () => {
    const record = credential(oauth2, {
      fields: { grant_type: 'authorization_code', authorization_url: 'https://a.example', pkce: true },
    });
    const draft = draftOf(record, oauth2);
    draft.plain.grant_type = 'client_credentials';
    expect(patchOf(draft, record, oauth2)).toEqual({
      fields: { grant_type: 'client_credentials', authorization_url: null, pkce: null },
    });
  });

  it('treats a sealed plain field as a secret', () => {
    const sealed = credential(basicAuth, {
      fields: { username_secret: true },
      secrets: { username: { set: true, updated_at: null }, password: { set: true, updated_at: null } },
    });
    const field = basicAuth.fields[0];
    if (!field) throw new Error('basic_auth has no field');
    expect(isSecret(field, sealed)).toBe(true);
    expect(patchOf(draftOf(sealed, basicAuth), sealed, basicAuth)).toEqual({});
  });
});

describe('a conflict', () => {
  it('shows both sides and never a secret', () => {
    const stored = credential(basicAuth, { name: 'Theirs', secrets: { password: { set: true, updated_at: null } } });
    const changes = changesOf({ name: 'Mine', fields: { password: 'canary' } }, stored, basicAuth);
    expect(changes).toEqual([
      { pointer: '/name', secret: false, mine: 'Mine', theirs: 'Theirs' },
      { pointer: '/fields/password', secret: true, mine: null, theirs: undefined },
    ]);
  });
});

describe('applies', () => {
  it('needs every named value', () => {
    const field = { name: 'x', label: 'X', show_if: { a: '1', b: 'true' } };
    expect(applies(field, { a: '1', b: true })).toBe(true);
    expect(applies(field, { a: '1', b: false })).toBe(false);
    expect(applies(field, {})).toBe(false);
  });
});
