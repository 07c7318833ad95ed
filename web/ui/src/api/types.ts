// The shapes of the HTTP contract (docs/api.md), written by hand: one type per object, names
// as on the wire. Times are RFC 3339 UTC.

export type List<T> = { items: T[]; next_cursor?: string | null };

export type Problem = { path?: string; code?: string; message: string; line?: number; column?: number };

export type Session = { username: string; /** Where OAuth providers send the browser back, made from the public URL. */ redirect_url?: string };

// --- credentials ---

export type FieldKind = 'text' | 'lines' | 'boolean' | 'choice' | 'map';

export type CredentialField = {
  name: string;
  label: string;
  help?: string;
  secret?: boolean;
  required?: boolean;
  kind?: FieldKind;
  choices?: string[];
  default?: string;
  pattern?: string;
  /** The field applies only while each named field has the given value. */
  show_if?: Record<string, string>;
};

export type CredentialType = { id: string; name: string; summary?: string; fields: CredentialField[] };

export type SecretInfo = { set: boolean; updated_at: string | null; fingerprint?: string };

export const credentialStatuses = [
  'ok',
  'untested',
  'needs_connect',
  'needs_reconnect',
  'refused',
  'quota',
  'expiring',
  'expired',
] as const;
export type CredentialStatus = (typeof credentialStatuses)[number];

export type Credential = {
  id: string;
  name: string;
  description?: string;
  folder: string;
  type: string;
  fields: Record<string, unknown>;
  secrets: Record<string, SecretInfo>;
  allowed_hosts: string[];
  allowed_workflows: string[];
  test_url?: string;
  state: { status: CredentialStatus; message: string; since: string };
  version: number;
  created_at: string;
  created_by: string;
  updated_at: string;
  updated_by: string;
  last_used_at: string | null;
  redirect_url?: string;
  warnings?: string[];
};

/** What is sent on creation and for a test of unsaved values; secrets are among the fields. */
export type CredentialInput = {
  id: string;
  name: string;
  description: string;
  folder: string;
  type: string;
  fields: Record<string, unknown>;
  allowed_hosts: string[];
  allowed_workflows?: string[];
  test_url?: string;
  limits?: Preset['limits'];
  failure_rules?: Preset['failure_rules'];
};

export type Blank = { name: string; label: string; help: string; pattern: string; example: string };

/** A credential for a known provider that lacks its blanks, written <name>, and its secrets. */
export type Preset = {
  id: string;
  name: string;
  summary: string;
  note: string;
  type: string;
  blanks: Blank[];
  fields: Record<string, unknown>;
  allowed_hosts: string[];
  limits: Record<string, unknown> | null;
  failure_rules: Record<string, unknown>[];
  test_url: string;
  docs_url: string;
};

export type TestResult = {
  ok: boolean;
  status: string;
  message: string;
  suggestion?: string;
  trace?: unknown;
};

export type CredentialVersion = { version: number; created_at: string; created_by: string };

export type Usage = { workflow: string; node?: string; trigger?: string };

// --- workflows ---

export type Workflow = {
  id: string;
  name?: string;
  folder?: string;
  version: number;
  enabled: boolean;
  created_at: string;
  updated_at: string;
  updated_by?: string;
};

export type WorkflowDetail = Workflow & { definition: unknown };

export type WorkflowVersion = { version: number; created_at: string; created_by?: string };

export type Validation = { valid: boolean; errors?: Problem[] | null; warnings?: Problem[] | null };

export type Applied = { id: string; version: number; warnings?: Problem[] | null };

// --- runs ---

export const runStatuses = ['queued', 'running', 'waiting', 'succeeded', 'failed', 'canceled'] as const;
export type RunStatus = (typeof runStatuses)[number];

export type StepStatus = 'pending' | 'running' | 'waiting' | 'succeeded' | 'failed' | 'skipped' | 'canceled';

export type RunSummary = {
  id: string;
  workflow: string;
  version: number;
  status: RunStatus;
  trigger: { id: string; type: string };
  error?: { node?: string; code: string; message: string } | null;
  created_at: string;
  started_at?: string | null;
  finished_at?: string | null;
};

export type StepError = { code: string; message: string; attempt?: number; response?: unknown };

export type RequestSummary = { method: string; url: string; status: number; duration_ms: number };

export type Attempt = {
  attempt: number;
  started_at: string;
  finished_at?: string | null;
  error?: StepError | null;
  request?: RequestSummary | null;
};

/** One use of a credential on the wire; the URL is redacted. */
export type Call = {
  credential: string;
  version: number;
  fingerprint: string;
  host: string;
  method: string;
  url: string;
  status: number;
  duration_ms: number;
};

export type Step = {
  node: string;
  index?: number | null;
  attempt?: number;
  status: StepStatus;
  started_at?: string | null;
  finished_at?: string | null;
  due_at?: string | null;
  attempts?: Attempt[] | null;
  request?: RequestSummary | null;
  output?: unknown;
  error?: StepError | null;
  calls?: Call[] | null;
};

export type Run = RunSummary & { input?: unknown; output?: unknown; steps?: Step[] | null };

// --- triggers ---

export type Trigger = {
  workflow: string;
  id: string;
  type: string;
  enabled?: boolean;
  schedule?: string;
  timezone?: string;
  next?: string[] | null;
  path?: string;
  url?: string;
  methods?: string[] | null;
  credential?: string;
  event?: string;
};
