import { describe, expect, it } from 'vitest';
import { ApiError } from '../../api/client';
import { hasConnected, readMessage } from './connect';
import { differs } from './redirect';
import { usagesOf } from './remove';

const state = (status: 'ok' | 'needs_connect', since: string) => ({ state: { status, message: '', since } });

it.each([
  ['becomes ok', state('needs_connect', '1'), state('ok', '2'), true],
  ['is still unconnected', state('needs_connect', '1'), state('needs_connect', '1'), false],
  ['was ok and nothing happened', state('ok', '1'), state('ok', '1'), false],
  ['was ok and is anew', state('ok', '1'), state('ok', '2'), true],
])('knows that a credential %s', (_name, before, now, want) => {
  expect(hasConnected(before, now)).toBe(want);
});

describe('the message of the result page', () => {
  it.each([
    [{ id: 'erp', ok: true }, true],
    [{ id: 'erp', ok: false }, false],
    [{ id: '', ok: false }, false],
    [{ id: '', ok: true }, undefined],
    [{ id: 'other', ok: true }, undefined],
    ['erp', undefined],
    [null, undefined],
  ])('%j means %j', (data, want) => {
    expect(readMessage(data, 'erp')).toBe(want);
  });
});

it('tells origins apart', () => {
  expect(differs('https://keyflow.acme.kr/api', 'https://keyflow.acme.kr')).toBe(false);
  expect(differs('https://keyflow.acme.kr/api', 'http://keyflow.acme.kr')).toBe(true);
  expect(differs('https://keyflow.acme.kr:8443/api', 'https://keyflow.acme.kr')).toBe(true);
  expect(differs('', 'https://keyflow.acme.kr')).toBe(false);
});

it('reads usages from a refused deletion only', () => {
  const body = { usages: [{ workflow: 'sync', node: 'fetch' }] };
  expect(usagesOf(new ApiError(409, '', '', '', [], body))).toEqual(body.usages);
  expect(usagesOf(new ApiError(409, '', '', '', []))).toEqual([]);
  expect(usagesOf(new ApiError(500, '', '', '', [], body))).toEqual([]);
});
