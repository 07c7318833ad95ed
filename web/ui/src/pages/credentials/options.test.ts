import { describe, expect, it } from 'vitest';
import type { FailureRule } from '../../api/types';
import { basicAuth, credential } from '../../testing/records';
import { draftOf, patchOf, reachesWorkflows } from './draft';
import { countOptions, inputOptions, newRule, optionsOf, patchOptions } from './options';

const rules: FailureRule[] = [
  { status: [200], headers: { 'X-Error': '' }, body: 'response.body.success == false', action: 'renew' },
  { status: [429], action: 'wait', until: '20s', not_executed: true },
];
const stored = {
  limits: { requests: 50, per: '20s', concurrency: 5 },
  failure_rules: rules,
  expires_at: '2026-12-31T09:00:30Z',
  rotate_every: '90d',
  grace: '7d',
  rotatable_by: ['/ops/**'],
};

describe('options', () => {
  it('come back as they were stored', () => {
    expect(inputOptions(optionsOf(stored))).toEqual({ ...stored, expires_at: '2026-12-31T09:00:00.000Z' });
  });

  it('change nothing when nothing was changed', () => {
    expect(patchOptions(optionsOf(stored), optionsOf(stored))).toEqual({});
    expect(inputOptions(optionsOf())).toEqual({});
  });

  it('are removed by null, lists by an empty one', () => {
    expect(patchOptions(optionsOf(), optionsOf(stored))).toEqual({
      limits: null,
      failure_rules: [],
      expires_at: null,
      rotate_every: null,
      grace: null,
      rotatable_by: [],
    });
  });

  it('name a limit that is gone, because objects merge', () => {
    const options = { ...optionsOf(stored), limits: { requests: '', per: '', concurrency: '3' } };
    expect(patchOptions(options, optionsOf(stored))).toEqual({ limits: { requests: null, per: null, concurrency: 3 } });
  });

  it('leave what is no number or time for the server to refuse', () => {
    const options = { ...optionsOf(), limits: { requests: 'many', per: '', concurrency: '-1' }, expiresAt: 'soon' };
    expect(inputOptions(options)).toEqual({ limits: { requests: 'many', concurrency: '-1' }, expires_at: 'soon' });
    const rule = { ...newRule, status: ['40x'], body: '  ' };
    expect(inputOptions({ ...optionsOf(), rules: [rule] })).toEqual({ failure_rules: [{ status: ['40x'], action: 'refuse' }] });
  });

  it('are counted', () => {
    expect(countOptions(optionsOf())).toBe(0);
    expect(countOptions(optionsOf(stored))).toBe(6);
    expect(countOptions(optionsOf({ limits: { requests: 1, per: '1s' } }))).toBe(1);
  });
});

describe('a change', () => {
  const record = credential(basicAuth);
  it.each([
    ['name', false],
    ['description', false],
    ['folder', true],
    ['testURL', true],
  ])('of %s reaches workflows: %s', (part, reaches) => {
    expect(reachesWorkflows(patchOf({ ...draftOf(record, basicAuth), [part]: '/changed' }, record, basicAuth))).toBe(reaches);
  });

  it('of a secret reaches workflows, and its reference is sent as one', () => {
    const draft = draftOf(record, basicAuth);
    draft.secrets.password = { mode: 'refer', ref: ' env:ERP_PASSWORD ' };
    const patch = patchOf(draft, record, basicAuth);
    expect(patch).toEqual({ fields: { password: { ref: 'env:ERP_PASSWORD' } } });
    expect(reachesWorkflows(patch)).toBe(true);
    draft.secrets.password = { mode: 'refer', ref: ' ' };
    expect(patchOf(draft, record, basicAuth)).toEqual({});
  });
});
