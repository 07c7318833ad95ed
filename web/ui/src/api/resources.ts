// One function per operation of the API; pages call these, never `request` itself.
import { query, request } from './client';
import type {
  Applied,
  Credential,
  CredentialInput,
  CredentialType,
  Preset,
  CredentialUse,
  CredentialVersion,
  Decision,
  ImportResult,
  KeyStatus,
  List,
  Run,
  RunSummary,
  Step,
  SentEvent,
  Session,
  TestResult,
  Trigger,
  Usage,
  Validation,
  Workflow,
  WorkflowDetail,
  WorkflowVersion,
} from './types';

export const pageSize = 50;

/** An object with the revision it was read at. */
export type Revised<T> = T & { etag: string | null };

const id = encodeURIComponent;

async function revised<T extends object>(method: string, path: string, options = {}): Promise<Revised<T>> {
  const { data, etag } = await request<T>(method, path, options);
  return { ...data, etag };
}

export const session = {
  get: async () => (await request<Session>('GET', '/session')).data,
  signIn: async (username: string, password: string) => {
    await request('POST', '/session', { body: { username, password } });
  },
  signOut: async () => {
    await request('DELETE', '/session');
  },
  /** Whether set-up is still to be done: no administrator exists yet. */
  setUpOpen: async () => (await request<{ open: boolean }>('GET', '/setup')).data.open,
  setUp: async (body: { token: string; username: string; password: string }) => {
    await request('POST', '/setup', { body });
  },
};

export type CredentialFilter = {
  q?: string;
  type?: string;
  state?: string;
  folder?: string;
  unused?: string;
  attention?: string;
};

export type ImportOptions = { dryRun: boolean; mode: string; folder: string; format: 'json' | 'csv' };

export const credentials = {
  types: async () => (await request<List<CredentialType>>('GET', '/credential-types')).data.items,
  presets: async () => (await request<List<Preset>>('GET', '/credential-presets')).data.items,
  list: async (filter: CredentialFilter, cursor: string, limit = pageSize) =>
    (await request<List<Credential>>('GET', `/credentials${query({ ...filter, cursor, limit })}`)).data,
  get: (cred: string) => revised<Credential>('GET', `/credentials/${id(cred)}`),
  create: (body: CredentialInput) => revised<Credential>('POST', '/credentials', { body }),
  patch: (cred: string, body: unknown, etag: string | null) =>
    revised<Credential>('PATCH', `/credentials/${id(cred)}`, {
      body,
      ifMatch: etag,
      headers: { 'Content-Type': 'application/merge-patch+json' },
    }),
  remove: async (cred: string, etag: string | null, force: boolean) => {
    await request('DELETE', `/credentials/${id(cred)}${query({ force: force || undefined })}`, { ifMatch: etag });
  },
  test: async (cred: string) => (await request<TestResult>('POST', `/credentials/${id(cred)}/test`)).data,
  testCandidate: async (cred: string) =>
    (await request<TestResult>('POST', `/credentials/${id(cred)}/test`, { body: { candidate: true } })).data,
  stage: (cred: string, fields: Record<string, unknown>) =>
    revised<Credential>('PUT', `/credentials/${id(cred)}/candidate`, { body: { fields } }),
  unstage: (cred: string) => revised<Credential>('DELETE', `/credentials/${id(cred)}/candidate`),
  promote: (cred: string, body: { fall_back: boolean; force: boolean }) =>
    revised<Credential>('POST', `/credentials/${id(cred)}/promote`, { body }),
  /** Makes a new version with the fields of an earlier one; without a number, of the former one. */
  rollback: (cred: string, version?: number) =>
    revised<Credential>('POST', `/credentials/${id(cred)}/rollback`, { body: version === undefined ? {} : { version } }),
  refresh: (cred: string) => revised<Credential>('POST', `/credentials/${id(cred)}/refresh`),
  testInput: async (body: CredentialInput) => (await request<TestResult>('POST', '/credentials/test', { body })).data,
  connect: async (cred: string) =>
    (await request<{ authorization_url: string }>('POST', `/credentials/${id(cred)}/connect`)).data.authorization_url,
  disconnect: async (cred: string) => {
    await request('POST', `/credentials/${id(cred)}/disconnect`);
  },
  usages: async (cred: string) => (await request<List<Usage>>('GET', `/credentials/${id(cred)}/usages`)).data.items,
  versions: async (cred: string) =>
    (await request<List<CredentialVersion>>('GET', `/credentials/${id(cred)}/versions`)).data.items,
  uses: async (cred: string, cursor: string) =>
    (await request<List<CredentialUse>>('GET', `/credentials/${id(cred)}/uses${query({ cursor, limit: pageSize })}`)).data,
  /** Imports a text of JSON or CSV as it is; all of it or, with any problem, nothing. */
  importText: async (text: string, { dryRun, mode, folder, format }: ImportOptions) =>
    (
      await request<ImportResult>('POST', `/credentials/import${query({ dry_run: dryRun || undefined, mode, folder })}`, {
        body: text,
        headers: { 'Content-Type': format === 'csv' ? 'text/csv' : 'application/json' },
      })
    ).data,
};

export const keys = {
  status: async () => (await request<KeyStatus>('GET', '/keys')).data,
  rotate: async () => (await request<KeyStatus>('POST', '/keys/rotate')).data,
};

export type WorkflowFilter = { q?: string; folder?: string };

export const workflows = {
  list: async (filter: WorkflowFilter, cursor: string) =>
    (await request<List<Workflow>>('GET', `/workflows${query({ ...filter, cursor, limit: pageSize })}`)).data,
  get: (flow: string) => revised<WorkflowDetail>('GET', `/workflows/${id(flow)}`),
  put: (flow: string, source: string, etag: string | null, create: boolean) =>
    revised<Applied>('PUT', `/workflows/${id(flow)}`, {
      body: source,
      ifMatch: etag,
      headers: create ? { 'If-None-Match': '*' } : {},
    }),
  validate: async (source: string) => (await request<Validation>('POST', '/workflows/validate', { body: source })).data,
  setEnabled: async (flow: string, enabled: boolean) => {
    await request('POST', `/workflows/${id(flow)}/${enabled ? 'enable' : 'disable'}`);
  },
  remove: async (flow: string) => {
    await request('DELETE', `/workflows/${id(flow)}`);
  },
  versions: async (flow: string) =>
    (await request<List<WorkflowVersion>>('GET', `/workflows/${id(flow)}/versions`)).data.items,
  version: async (flow: string, n: number) =>
    (await request<WorkflowVersion & { definition: unknown }>('GET', `/workflows/${id(flow)}/versions/${String(n)}`)).data,
  /** Starts a run; the input is JSON text and goes as it is, so that no number changes. */
  start: async (flow: string, input: string) =>
    (await request<{ id: string; status: string }>('POST', `/workflows/${id(flow)}/runs`, { body: `{"input":${input}}` })).data,
};

export type RunFilter = {
  workflow?: string;
  status?: string;
  trigger?: string;
  folder?: string;
  since?: string;
  until?: string;
};

/** What a retry begins with: what failed, the start, or the start of the newest version. */
export type RetryFrom = 'failed' | 'start' | 'newest';

export const runs = {
  list: async (filter: RunFilter, cursor: string, limit = pageSize) =>
    (await request<List<RunSummary>>('GET', `/runs${query({ ...filter, cursor, limit })}`)).data,
  get: async (run: string) => (await request<Run>('GET', `/runs/${id(run)}`)).data,
  steps: async (run: string, cursor: string) =>
    (await request<List<Step>>('GET', `/runs/${id(run)}/steps${query({ cursor, limit: 200 })}`)).data,
  cancel: async (run: string) => {
    await request('POST', `/runs/${id(run)}/cancel`);
  },
  retry: async (run: string, from: RetryFrom) =>
    (
      await request<{ id: string }>('POST', `/runs/${id(run)}/retry`, {
        body: from === 'newest' ? { from: 'start', version: 'newest' } : { from },
      })
    ).data,
  decide: async (run: string, node: string, approve: boolean, comment: string) =>
    (
      await request<Decision>('POST', `/runs/${id(run)}/steps/${id(node)}/${approve ? 'approve' : 'reject'}`, {
        body: { comment },
      })
    ).data,
};

export const triggers = {
  list: async (cursor: string) =>
    (await request<List<Trigger>>('GET', `/triggers${query({ cursor, limit: pageSize })}`)).data,
  /** Sends one CloudEvent, written as JSON, and gives what it started. */
  send: async (event: string) =>
    (
      await request<List<SentEvent>>('POST', '/events', {
        body: event,
        headers: { 'Content-Type': 'application/cloudevents+json' },
      })
    ).data.items,
};
