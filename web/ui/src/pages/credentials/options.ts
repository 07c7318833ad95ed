// The parts of a credential that most people leave alone: limits, failure rules, reminders,
// rotation. As typed in the form, and as sent: what is no number goes as it is, so that the
// server says what is wrong with it.
import type { Credential, CredentialInput, FailureRule, Limits } from '../../api/types';
import { localTime, timeOf } from '../../time';
import { linesOf, mapOf } from './maps';

export type RuleDraft = {
  status: string[];
  /** Lines "name=value"; a name alone asks only for the header's presence. */
  headers: string;
  body: string;
  action: string;
  until: string;
  notExecuted: boolean;
};

export type Options = {
  limits: { requests: string; per: string; concurrency: string };
  rules: RuleDraft[];
  /** Local time as a datetime-local input has it: "2026-12-31T09:00"; "" is never. */
  expiresAt: string;
  rotateEvery: string;
  grace: string;
  rotatableBy: string[];
};

type Stored = Pick<Partial<Credential>, 'limits' | 'failure_rules' | 'expires_at' | 'rotate_every' | 'grace' | 'rotatable_by'>;

export const newRule: RuleDraft = { status: [], headers: '', body: '', action: 'refuse', until: '', notExecuted: false };

/** The options of a stored credential or of a preset, as the form shows them. */
export function optionsOf(stored: Stored = {}): Options {
  const { limits } = stored;
  return {
    limits: {
      requests: limits?.requests ? String(limits.requests) : '',
      per: limits?.per ?? '',
      concurrency: limits?.concurrency ? String(limits.concurrency) : '',
    },
    rules: (stored.failure_rules ?? []).map(ruleDraftOf),
    expiresAt: stored.expires_at ? localTime(stored.expires_at) : '',
    rotateEvery: stored.rotate_every ?? '',
    grace: stored.grace ?? '',
    rotatableBy: stored.rotatable_by ?? [],
  };
}

/** How many of the options are set. */
export function countOptions(options: Options): number {
  const { limits, rules, rotatableBy, ...texts } = options;
  const given = [Object.values(limits).some(Boolean), rules.length > 0, rotatableBy.length > 0, ...Object.values(texts)];
  return given.filter(Boolean).length;
}

function ruleDraftOf(rule: FailureRule): RuleDraft {
  return {
    status: (rule.status ?? []).map(String),
    headers: linesOf(rule.headers),
    body: rule.body ?? '',
    action: rule.action,
    until: rule.until ?? '',
    notExecuted: rule.not_executed ?? false,
  };
}

function ruleOf(draft: RuleDraft): FailureRule {
  const headers = mapOf(draft.headers);
  return {
    ...(draft.status.length > 0 && { status: draft.status.map(numberOf) as number[] }),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(draft.body.trim() !== '' && { body: draft.body.trim() }),
    action: draft.action,
    ...(draft.until.trim() !== '' && { until: draft.until.trim() }),
    ...(draft.notExecuted && { not_executed: true }),
  };
}

function numberOf(text: string): number | string {
  return /^\d+$/.test(text.trim()) ? Number(text) : text.trim();
}

function limitsOf({ requests, per, concurrency }: Options['limits']): Limits | undefined {
  const limits = {
    ...(requests.trim() !== '' && { requests: numberOf(requests) }),
    ...(per.trim() !== '' && { per: per.trim() }),
    ...(concurrency.trim() !== '' && { concurrency: numberOf(concurrency) }),
  };
  return Object.keys(limits).length > 0 ? (limits as Limits) : undefined;
}

/** The options that are set, for a credential written as a whole. */
export function inputOptions(options: Options): Partial<CredentialInput> {
  const limits = limitsOf(options.limits);
  return {
    ...(limits && { limits }),
    ...(options.rules.length > 0 && { failure_rules: options.rules.map(ruleOf) }),
    ...(options.expiresAt !== '' && { expires_at: timeOf(options.expiresAt) }),
    ...(options.rotateEvery !== '' && { rotate_every: options.rotateEvery }),
    ...(options.grace !== '' && { grace: options.grace }),
    ...(options.rotatableBy.length > 0 && { rotatable_by: options.rotatableBy }),
  };
}

function differ(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}

/** What the form changes about the stored options, as part of a merge patch. */
export function patchOptions(options: Options, stored: Options): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  const limits = limitsOf(options.limits);
  if (differ(limits, limitsOf(stored.limits))) {
    // Objects merge in a merge patch: a limit that is gone has to be named as null.
    patch.limits = limits ? { requests: null, per: null, concurrency: null, ...limits } : null;
  }
  const rules = options.rules.map(ruleOf);
  if (differ(rules, stored.rules.map(ruleOf))) patch.failure_rules = rules;
  if (options.expiresAt !== stored.expiresAt) patch.expires_at = options.expiresAt === '' ? null : timeOf(options.expiresAt);
  if (options.rotateEvery !== stored.rotateEvery) patch.rotate_every = options.rotateEvery || null;
  if (options.grace !== stored.grace) patch.grace = options.grace || null;
  if (differ(options.rotatableBy, stored.rotatableBy)) patch.rotatable_by = options.rotatableBy;
  return patch;
}
