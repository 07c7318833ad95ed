// Records as the server sends them, for tests.
import type { Credential, CredentialType } from '../api/types';

export const basicAuth: CredentialType = {
  id: 'basic_auth',
  name: 'Basic Auth',
  summary: 'User name and password.',
  fields: [
    { name: 'username', label: 'Username', kind: 'text', required: true },
    { name: 'password', label: 'Password', kind: 'text', secret: true },
    { name: 'username_secret', label: 'Username is secret', kind: 'boolean', default: 'false' },
  ],
};

export const apiKey: CredentialType = {
  id: 'api_key',
  name: 'API Key',
  fields: [
    { name: 'key', label: 'Key', kind: 'text', required: true },
    { name: 'value', label: 'Value', kind: 'text', secret: true, required: true },
    { name: 'in', label: 'Add to', kind: 'choice', choices: ['header', 'query', 'cookie'], default: 'header' },
  ],
};

const connect = { grant_type: 'authorization_code' };

export const oauth2: CredentialType = {
  id: 'oauth2',
  name: 'OAuth 2.0',
  fields: [
    {
      name: 'grant_type',
      label: 'Grant Type',
      kind: 'choice',
      required: true,
      choices: ['authorization_code', 'client_credentials'],
    },
    { name: 'authorization_url', label: 'Authorization URL', kind: 'text', required: true, show_if: connect },
    { name: 'access_token_url', label: 'Access Token URL', kind: 'text', required: true },
    { name: 'client_id', label: 'Client ID', kind: 'text', required: true },
    { name: 'client_secret', label: 'Client Secret', kind: 'text', secret: true },
    { name: 'scope', label: 'Scope', kind: 'text' },
    {
      name: 'client_authentication',
      label: 'Client Authentication',
      kind: 'choice',
      choices: ['header', 'body'],
      default: 'header',
    },
    { name: 'pkce', label: 'PKCE', kind: 'boolean', default: 'true', show_if: connect },
    { name: 'token_params', label: 'Token parameters', kind: 'map' },
    { name: 'prefix', label: 'Prefix', kind: 'text', default: 'Bearer ' },
  ],
};

/** A stored credential of a type with its declared defaults. */
export function credential(type: CredentialType, change: Partial<Credential> = {}): Credential {
  const defaults: Record<string, unknown> = {};
  for (const field of type.fields) {
    if (field.default !== undefined) defaults[field.name] = field.kind === 'boolean' ? field.default === 'true' : field.default;
  }
  return {
    id: 'erp',
    name: 'ERP',
    description: '',
    folder: '/',
    type: type.id,
    allowed_hosts: ['erp.acme.kr'],
    allowed_workflows: ['/**'],
    state: { status: 'untested', message: '', since: '2026-11-01T00:00:00Z' },
    version: 1,
    created_at: '2026-11-01T00:00:00Z',
    created_by: 'admin',
    updated_at: '2026-11-01T00:00:00Z',
    updated_by: 'admin',
    last_used_at: null,
    secrets: {},
    ...change,
    fields: { ...defaults, ...change.fields },
  };
}
