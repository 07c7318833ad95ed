import { expect, it } from 'vitest';
import { tokenFrom } from './setup';
import { safeNext } from './signin';

it.each([
  ['abc', '', 'abc'],
  [undefined, '#abc', 'abc'],
  [undefined, '#token=abc', 'abc'],
  [undefined, '#other=abc', ''],
  [undefined, '', ''],
])('reads the set-up token of ?token=%s and %s', (search, hash, want) => {
  expect(tokenFrom(search, hash)).toBe(want);
});

it.each([
  ['/runs?status=failed', '/runs?status=failed'],
  [undefined, '/credentials'],
  ['https://evil.example', '/credentials'],
  ['//evil.example', '/credentials'],
  ['/\\evil.example', '/credentials'],
  ['javascript:alert(1)', '/credentials'],
])('goes after sign-in for %s to %s', (next, want) => {
  expect(safeNext(next)).toBe(want);
});
