import { expect, it } from 'vitest';
import { addSteps, stepTotal } from './steps';
import type { Run, Step } from './types';

const step = (node: string, change: Partial<Step> = {}): Step => ({ node, status: 'succeeded', finished_at: 'now', ...change });
const element = (index: number, change: Partial<Step> = {}) => step('each', { index, ...change });
const run = (change: Partial<Run>): Run => ({
  id: '1', workflow: 'w', version: 1, trigger: { id: 'manual', type: 'manual' }, created_at: '', status: 'succeeded', ...change,
});

it('keeps what a stream said after the page was written', () => {
  const before = run({ steps: [element(0), element(1, { status: 'running', attempt: 2, finished_at: null })], steps_cursor: 'each.0' });
  const page = { items: [element(1, { status: 'running', attempt: 1, finished_at: null }), element(2)], next_cursor: null };
  const after = addSteps(before, page);
  expect(after.steps?.map(({ index, attempt }) => [index, attempt])).toEqual([[0, undefined], [1, 2], [2, undefined]]);
  expect(after.steps_cursor).toBeNull();
});

it('counts steps that are not loaded', () => {
  expect(stepTotal(run({ step_counts: { succeeded: 450, failed: 2 }, steps: [step('a')] }))).toBe(452);
  expect(stepTotal(run({ steps: [step('a')] }))).toBe(1);
});
