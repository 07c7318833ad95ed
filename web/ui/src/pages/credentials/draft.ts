// A credential while a person edits it, and what of it is sent to the server. Secrets are
// write-only: a draft never holds a stored one, only what to do with it.
import type { Credential, CredentialField, CredentialInput, CredentialType } from '../../api/types';
import { mapOf } from './maps';
import { inputOptions, optionsOf, patchOptions, type Options } from './options';

/** What saving does to one secret: nothing, a new value, a place outside that has it, or none any more. */
export type SecretDraft =
  | { mode: 'keep' }
  | { mode: 'replace'; value: string }
  | { mode: 'refer'; ref: string }
  | { mode: 'clear' };

export type Draft = {
  id: string;
  name: string;
  description: string;
  folder: string;
  type: string;
  plain: Record<string, unknown>;
  secrets: Record<string, SecretDraft>;
  allowedHosts: string[];
  allowedWorkflows: string[];
  testURL: string;
  options: Options;
};

const idPattern = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Whether a text can be a credential's or workflow's id. */
export function isID(text: string): boolean {
  return idPattern.test(text);
}

/** An id made from a name: "Acme ERP (test)" gives "acme-erp-test"; "" when no letter of it can be used. */
export function proposeID(name: string): string {
  return name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, 63)
    .replace(/[-_]+$/, '');
}

/** The value a field starts with. */
export function defaultOf(field: CredentialField): unknown {
  switch (field.kind) {
    case 'boolean':
      return field.default === 'true';
    case 'map':
      return {};
    case 'choice':
      return field.default || (field.required ? (field.choices?.[0] ?? '') : '');
    default:
      return field.default ?? '';
  }
}

/** A new draft of the given type; texts about the credential itself are kept from the former one. */
export function draftFor(type: CredentialType, former?: Draft): Draft {
  const plain: Record<string, unknown> = {};
  for (const field of type.fields) {
    if (!field.secret) plain[field.name] = defaultOf(field);
  }
  return {
    id: '',
    name: '',
    description: '',
    folder: '/',
    allowedHosts: [],
    allowedWorkflows: [],
    testURL: '',
    ...former,
    type: type.id,
    plain,
    secrets: {},
    // Limits and failure rules belong to the former type's provider.
    options: { ...(former?.options ?? optionsOf()), limits: optionsOf().limits, rules: [] },
  };
}

/** The draft that changes nothing about a stored credential. */
export function draftOf(credential: Credential, type: CredentialType): Draft {
  const draft = draftFor(type);
  for (const field of type.fields) {
    const stored = credential.fields[field.name];
    if (!isSecret(field, credential) && stored !== undefined && stored !== null) draft.plain[field.name] = stored;
  }
  return {
    ...draft,
    id: credential.id,
    name: credential.name,
    description: credential.description ?? '',
    folder: credential.folder,
    allowedHosts: credential.allowed_hosts,
    allowedWorkflows: credential.allowed_workflows,
    testURL: credential.test_url ?? '',
    options: optionsOf(credential),
  };
}

/** Whether a field is write-only: by its type, or because this record seals it (a sealed username). */
export function isSecret(field: CredentialField, credential?: Credential): boolean {
  return field.secret === true || credential?.secrets[field.name]?.set === true;
}

/** Whether a field belongs to the form while the others have these values. */
export function applies(field: CredentialField, plain: Record<string, unknown>): boolean {
  return Object.entries(field.show_if ?? {}).every(([name, value]) => String(plain[name] ?? '') === value);
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    (typeof value === 'object' && Object.keys(value).length === 0)
  );
}

function same(a: unknown, b: unknown): boolean {
  return (isEmpty(a) && isEmpty(b)) || JSON.stringify(a) === JSON.stringify(b);
}

// An emptied text whose default is something else ("Bearer ") is meant empty, not left out.
function isClearedDefault(field: CredentialField, value: unknown): boolean {
  return value === '' && Boolean(field.default);
}

/** The new value of a secret, or undefined when it stays as it is. A blank replacement keeps. */
function secretChange(field: CredentialField, draft: SecretDraft | undefined) {
  if (draft?.mode === 'clear') return null;
  if (draft?.mode === 'refer') return draft.ref.trim() === '' ? undefined : { ref: draft.ref.trim() };
  if (draft?.mode !== 'replace' || draft.value === '') return undefined;
  return field.kind === 'map' ? mapOf(draft.value) : draft.value;
}

/** The whole credential as written: for creation, and for a test of values not yet saved. */
export function inputOf(draft: Draft, type: CredentialType, credential?: Credential): CredentialInput {
  const fields: Record<string, unknown> = {};
  for (const field of type.fields) {
    if (!applies(field, draft.plain)) continue;
    const value = isSecret(field, credential) ? secretChange(field, draft.secrets[field.name]) : draft.plain[field.name];
    if (value === null || !isEmpty(value) || isClearedDefault(field, value)) fields[field.name] = value;
  }
  return {
    id: draft.id,
    name: draft.name.trim(),
    description: draft.description,
    folder: draft.folder || '/',
    type: draft.type,
    fields,
    allowed_hosts: draft.allowedHosts,
    ...(draft.allowedWorkflows.length > 0 && { allowed_workflows: draft.allowedWorkflows }),
    ...(draft.testURL !== '' && { test_url: draft.testURL }),
    ...inputOptions(draft.options),
  };
}

/** A JSON merge patch: what the draft changes about the stored credential. */
export type Patch = Record<string, unknown> & { fields?: Record<string, unknown> };

/** The changes of a draft; an absent secret keeps its value, null clears it. {} changes nothing. */
export function patchOf(draft: Draft, credential: Credential, type: CredentialType): Patch {
  const stored = draftOf(credential, type);
  const patch: Patch = {};
  if (draft.name.trim() !== stored.name) patch.name = draft.name.trim();
  if (draft.description !== stored.description) patch.description = draft.description;
  if (draft.folder !== stored.folder) patch.folder = draft.folder || '/';
  if (draft.testURL !== stored.testURL) patch.test_url = draft.testURL === '' ? null : draft.testURL;
  if (!same(draft.allowedHosts, stored.allowedHosts)) patch.allowed_hosts = draft.allowedHosts;
  if (!same(draft.allowedWorkflows, stored.allowedWorkflows)) {
    patch.allowed_workflows = draft.allowedWorkflows.length > 0 ? draft.allowedWorkflows : null;
  }
  Object.assign(patch, patchOptions(draft.options, stored.options));

  const fields: Record<string, unknown> = {};
  for (const field of type.fields) {
    if (isSecret(field, credential)) {
      const change = secretChange(field, draft.secrets[field.name]);
      if (change !== undefined) fields[field.name] = change;
      continue;
    }
    const wanted = applies(field, draft.plain) ? draft.plain[field.name] : undefined;
    const had = applies(field, stored.plain) ? stored.plain[field.name] : credential.fields[field.name];
    if (same(wanted, had)) continue;
    fields[field.name] = isEmpty(wanted) && !isClearedDefault(field, wanted) ? null : mapPatch(wanted, had);
  }
  if (Object.keys(fields).length > 0) patch.fields = fields;
  return patch;
}

// In a merge patch an object merges: entries taken out of a map have to be named as null.
function mapPatch(wanted: unknown, had: unknown): unknown {
  if (typeof wanted !== 'object' || wanted === null || typeof had !== 'object' || had === null) return wanted;
  const removed = Object.keys(had).filter((key) => !(key in wanted));
  return { ...wanted, ...Object.fromEntries(removed.map((key) => [key, null])) };
}

/** Whether a patch changes how or where a credential works, not only what people call it. */
export function reachesWorkflows(patch: Patch): boolean {
  return Object.keys(patch).some((key) => key !== 'name' && key !== 'description');
}

/** One changed place of a patch: JSON pointer, and the new value unless it is a secret. */
export type Change = { pointer: string; secret: boolean; mine: unknown; theirs: unknown };

/** What a patch changes, beside what the stored credential says now. */
export function changesOf(patch: Patch, credential: Credential, type: CredentialType): Change[] {
  const { fields, ...own } = patch;
  const record = credential as unknown as Record<string, unknown>;
  const changes: Change[] = Object.entries(own).map(([key, mine]) => ({
    pointer: `/${key}`,
    secret: false,
    mine,
    theirs: record[key],
  }));
  for (const [name, mine] of Object.entries(fields ?? {})) {
    const field = type.fields.find((each) => each.name === name);
    const secret = field !== undefined && isSecret(field, credential);
    changes.push({ pointer: `/fields/${name}`, secret, mine: secret ? null : mine, theirs: credential.fields[name] });
  }
  return changes;
}
