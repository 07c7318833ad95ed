import { expect, it } from 'vitest';
import { duration, elapsed, relativeTime } from './time';

const now = Date.parse('2026-11-22T12:00:00Z');

it.each([
  ['2026-11-22T11:59:30Z', 'en', 'now'],
  ['2026-11-22T11:55:00Z', 'en', '5 minutes ago'],
  ['2026-11-22T14:10:00Z', 'en', 'in 2 hours'],
  ['2026-11-19T11:00:00Z', 'en', '3 days ago'],
  ['2026-11-19T11:00:00Z', 'ko', '3일 전'],
  ['2024-01-01T00:00:00Z', 'en', '2 years ago'],
])('says %s in %s as %s', (time, language, want) => {
  expect(relativeTime(time, now, language)).toBe(want);
});

it.each([
  [0.4, '0ms'],
  [-5, '0ms'],
  [999, '999ms'],
  [3_450, '3.5s'],
  [125_000, '2m 5s'],
  [4_320_000, '1h 12m'],
])('says %d milliseconds as %s', (milliseconds, want) => {
  expect(duration(milliseconds, 'en')).toBe(want);
});

it('measures to now while something goes on', () => {
  expect(elapsed('2026-11-22T11:59:58Z', null, now)).toBe(2_000);
  expect(elapsed('2026-11-22T11:59:58Z', '2026-11-22T11:59:59Z', now)).toBe(1_000);
  expect(elapsed(null, null, now)).toBeNull();
});
