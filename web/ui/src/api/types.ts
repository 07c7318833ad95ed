// The shapes of the HTTP contract (docs/reference/http-api.md), written by hand: one type per object, names
// as on the wire. Times are RFC 3339 UTC.

export type List<T> = { items: T[]; next_cursor?: string | null };

export type Problem = { path?: string; code?: string; message: string; line?: number; column?: number };

export type Session = {
  username: string;
  /** Where OAuth providers send the browser back, made from the public URL. */
  redirect_url?: string;
  rights?: string[];
  /** The folder that the rights are for, itself and below. */
  folder?: string;
};

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
  /** Where references in this field may lead: "env", "file", "vault"; empty when none is switched on. */
  sources?: string[] | null;
  /** The field applies only while each named field has the given value. */
  show_if?: Record<string, string>;
};

export type CredentialType = { id: string; name: string; summary?: string; fields: CredentialField[] };

export type SecretInfo = {
  set: boolean;
  updated_at: string | null;
  fingerprint?: string;
  /** Where the value is kept outside, such as "env:NAME"; absent for a value of our own. */
  ref?: string;
};

export type Limits = { requests?: number; per?: string; concurrency?: number };

export const ruleActions = ['renew', 'refuse', 'wait', 'quota'] as const;

/** Which answers of the upstream mean something for the credential, and what to do then. */
export type FailureRule = {
  status?: number[];
  headers?: Record<string, string>;
  body?: string;
  action: string;
  until?: string;
  not_executed?: boolean;
};

/** New values on their way: tested and promoted, or dropped. */
export type Candidate = {
  fields: Record<string, unknown>;
  secrets: Record<string, SecretInfo>;
  created_at: string;
  created_by: string;
  test: { ok: boolean; message: string; suggestion?: string; at: string } | null;
};

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
  rotatable_by?: string[];
  limits?: Limits | null;
  failure_rules?: FailureRule[];
  test_url?: string;
  expires_at?: string | null;
  rotate_every?: string;
  grace?: string;
  state: { status: CredentialStatus; message: string; since: string; until?: string };
  candidate?: Candidate | null;
  /** Armed at a promotion: the version that comes back when the new one fails. */
  fall_back?: { version: number; until: string | null } | null;
  /** The sooner of what its owner set: an end, or an age of its secrets. */
  expires?: { at: string; reason: 'expires_at' | 'rotate_every' } | null;
  /** How many workflows name it or used it. */
  used_by?: number;
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
  rotatable_by?: string[];
  limits?: Limits | null;
  failure_rules?: FailureRule[];
  expires_at?: string;
  rotate_every?: string;
  grace?: string;
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
  limits: Limits | null;
  failure_rules: FailureRule[];
  test_url: string;
  docs_url: string;
};

export type TestResult = {
  ok: boolean;
  status: string;
  message: string;
  suggestion?: string;
  trace?: TestTrace | null;
};

/** What a test sent and got, every secret in it replaced. */
export type TestTrace = {
  token_requests?: {
    method: string;
    url: string;
    headers?: Record<string, string> | null;
    params?: Record<string, string> | null;
    status?: number;
    date?: string;
    content_type?: string;
    answer?: unknown;
    lifetime?: string;
  }[];
  request?: { method: string; url: string; authentication?: string };
  answer?: { status: number; headers?: Record<string, unknown> | null; body?: unknown };
  rule?: string;
  clock_skew?: string;
};

export const versionOrigins = ['edit', 'promotion', 'rollback', 'fall_back', 'import', 'rotation'] as const;

export type CredentialVersion = {
  version: number;
  created_at: string;
  created_by: string;
  fields?: Record<string, unknown>;
  fingerprints?: Record<string, string>;
  current?: boolean;
  origin?: string;
};

/** A place that names a credential, or that used it at run time through a template. */
export type Usage = {
  workflow: string;
  node?: string;
  trigger?: string;
  literal?: boolean;
  last_used_at?: string | null;
  last_status?: number | null;
  last_error?: string;
};

/** One call that was made with a credential. */
export type CredentialUse = {
  run: string;
  workflow: string;
  node: string;
  index?: number | null;
  at: string;
  method: string;
  host: string;
  url: string;
  status: number;
  duration_ms: number;
  version: number;
  fingerprint: string;
};

export type ImportAction = 'create' | 'update' | 'unchanged';

export type ImportResult = {
  dry_run: boolean;
  created: number;
  updated: number;
  unchanged: number;
  items: { id: string; action: ImportAction; changed?: string[] | null }[];
};

// --- encryption keys ---

export type KeyStatus = {
  source: string;
  primary: number;
  /** A missing one sealed something, but the key source does not hold it. */
  keys: { id: number; primary: boolean; sealed: number; missing?: boolean }[];
  rotation: { running: boolean; pending: number; done: number; message: string };
};

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

/** Whether something may still happen in a run of this status. */
export function isUnfinished(status: RunStatus): boolean {
  return status === 'queued' || status === 'running' || status === 'waiting';
}

export type StepStatus = 'pending' | 'running' | 'waiting' | 'succeeded' | 'failed' | 'skipped' | 'canceled';

export type RunSummary = {
  id: string;
  workflow: string;
  version: number;
  status: RunStatus;
  trigger: { id: string; type: string };
  folder?: string;
  /** Of a queued run: "slot" while as many runs go on as are allowed at once. */
  waiting_for?: string;
  error?: { node?: string; code: string; message: string } | null;
  /** The ended run that this one repeats. */
  retry_of?: string | null;
  /** The step that started it and waits for its end; not in lists. */
  parent?: { run: string; node: string; index?: number };
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
  /** The credential that somebody must connect before a waiting step goes on. */
  waits_for?: string;
  attempts?: Attempt[] | null;
  request?: RequestSummary | null;
  output?: unknown;
  error?: StepError | null;
  calls?: Call[] | null;
  /** Of a step from a stream: its output is too long for it, and to be read with the run. */
  shortened?: boolean;
};

/** A change of a run that is followed: of the run itself or of one step. */
export type RunUpdate = { run: RunSummary & { output?: unknown } } | { step: Step };

/** What a person decided: the output of an approval. */
export type Decision = { approved: boolean; by: string | null; comment: string; at: string };

export type Run = RunSummary & {
  input?: unknown;
  output?: unknown;
  /** The first page of the steps, and further ones as they are loaded. */
  steps?: Step[] | null;
  /** How many steps have each status, loaded or not. */
  step_counts?: Partial<Record<StepStatus, number>>;
  /** Where the next page begins; null when all are loaded. */
  steps_cursor?: string | null;
};

// --- triggers ---

export type Trigger = {
  workflow: string;
  id: string;
  type: string;
  enabled?: boolean;
  folder?: string;
  schedule?: string;
  timezone?: string;
  next?: string[] | null;
  overlap?: string;
  /** Occurrences too old to be made up, and those that met a run under way. */
  missed?: number;
  skipped?: number;
  /** The occurrence that waits until the run before it has ended. */
  waiting?: string;
  from?: string;
  until?: string;
  /** The schedule has six fields, the first for seconds. */
  seconds?: boolean;
  path?: string;
  url?: string;
  methods?: string[] | null;
  credential?: string;
  /** Of an event trigger: the pattern of types, and the expression that must hold. */
  event?: string;
  filter?: string;
  /** Events whose filter failed, events that could not start the workflow, and why the last of them. */
  filter_errors?: number;
  refused?: number;
  last_problem?: string;
};

/** What became of an event that was sent. */
export type SentEvent = { id: string; run_ids: string[]; error?: Problem };
