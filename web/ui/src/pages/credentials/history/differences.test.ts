import { expect, it } from 'vitest';
import { valuesOf } from './differences';

const version = (n: number, fields: Record<string, unknown>, fingerprints: Record<string, string>) => ({
  version: n,
  created_at: '',
  created_by: '',
  fields,
  fingerprints,
});

it('tells what differs from the current version, that first', () => {
  const current = version(3, { username: 'a', scope: { x: 1 } }, { password: 'ffff', key: '1111' });
  const earlier = version(1, { username: 'b', scope: { x: 1 } }, { password: 'aaaa', key: '1111' });
  expect(valuesOf(earlier, current)).toEqual([
    { name: 'password', text: 'aaaa', secret: true, differs: true },
    { name: 'username', text: 'b', secret: false, differs: true },
    { name: 'key', text: '1111', secret: true, differs: false },
    { name: 'scope', text: '{"x":1}', secret: false, differs: false },
  ]);
  expect(valuesOf(current, undefined).some((value) => value.differs)).toBe(false);
});

it('stands what an older server leaves out', () => {
  expect(valuesOf({ version: 1, created_at: '', created_by: '' }, undefined)).toEqual([]);
});
