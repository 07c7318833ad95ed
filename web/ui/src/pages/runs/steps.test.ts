import { expect, it } from 'vitest';
import type { Step } from '../../api/types';
import { stepName } from './merge';
import { attemptsOf, lastRequest } from './steps';
import { triggerName } from './trigger';

const step = (change: Partial<Step> = {}): Step => ({ node: 'fetch', status: 'succeeded', ...change });
const request = { method: 'GET', url: 'https://a.example', status: 200, duration_ms: 5 };

it('names the elements of for_each by their number', () => {
  expect(stepName(step())).toBe('fetch');
  expect(stepName(step({ index: null }))).toBe('fetch');
  expect(stepName(step({ index: -1 }))).toBe('fetch');
  expect(stepName(step({ index: 0 }))).toBe('fetch[0]');
});

it('counts attempts', () => {
  expect(attemptsOf(step())).toBe(0);
  expect(attemptsOf(step({ attempt: 2 }))).toBe(2);
  expect(attemptsOf(step({ attempts: [{ attempt: 1, started_at: '' }] }))).toBe(1);
});

it('finds the last request', () => {
  expect(lastRequest(step())).toBeNull();
  expect(lastRequest(step({ attempts: [{ attempt: 1, started_at: '', request }, { attempt: 2, started_at: '' }] }))).toBe(request);
});

it('leaves out a trigger id that repeats the kind', () => {
  expect(triggerName({ id: 'manual', type: 'manual' })).toEqual({ kind: 'manual', type: 'manual', id: '' });
  expect(triggerName({ id: 'nightly', type: 'cron' })).toMatchObject({ kind: 'cron', id: 'nightly' });
  expect(triggerName({ id: 'x', type: 'new' })).toMatchObject({ kind: null, type: 'new' });
});
