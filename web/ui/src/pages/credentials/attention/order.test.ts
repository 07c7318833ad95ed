import { expect, it } from 'vitest';
import type { Credential, CredentialStatus } from '../../../api/types';
import { basicAuth, credential } from '../../../testing/records';
import { concernOf, inOrder } from './order';

type Change = { since?: string; expires?: Credential['expires'] };

const record = (id: string, status: CredentialStatus, { since = '2026-11-01T00:00:00Z', expires = null }: Change = {}) =>
  credential(basicAuth, { id, state: { status, message: '', since }, expires });
const end = (at: string): Credential['expires'] => ({ at, reason: 'expires_at' });
const age = (at: string): Credential['expires'] => ({ at, reason: 'rotate_every' });

it.each<[CredentialStatus, Credential['expires'], string, boolean]>([
  ['needs_connect', null, 'connect', true],
  ['needs_reconnect', end('2026-12-01T00:00:00Z'), 'reconnect', true],
  ['refused', null, 'newSecret', true],
  ['quota', null, 'wait', true],
  ['expired', end('2026-11-02T00:00:00Z'), 'extend', true],
  ['expired', age('2026-11-02T00:00:00Z'), 'rotate', false],
  ['expiring', end('2026-12-01T00:00:00Z'), 'extend', false],
  ['ok', age('2026-12-01T00:00:00Z'), 'rotate', false],
  ['ok', null, 'look', false],
])('knows what to do about %s with %j: %s', (status, expires, remedy, stopped) => {
  expect(concernOf(record('a', status, { expires }))).toMatchObject({ remedy, stopped });
});

it('puts first what has stopped for the longest, then what stops soonest', () => {
  const items = [
    record('soon', 'expiring', { expires: end('2026-11-25T00:00:00Z') }),
    record('later', 'ok', { expires: end('2026-12-20T00:00:00Z') }),
    record('today', 'refused', { since: '2026-11-22T00:00:00Z' }),
    record('ended', 'expired', { expires: end('2026-11-10T00:00:00Z') }),
    record('due', 'expired', { expires: age('2026-11-01T00:00:00Z') }),
  ];
  expect(inOrder(items).map((concern) => concern.credential.id)).toEqual(['ended', 'today', 'due', 'soon', 'later']);
});
