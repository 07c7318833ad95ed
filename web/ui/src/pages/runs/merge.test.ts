import { expect, it } from 'vitest';
import type { Run, Step } from '../../api/types';
import { byNode, merge } from './merge';

const step = (node: string, change: Partial<Step> = {}): Step => ({ node, status: 'running', ...change });
const summary = { id: '1', workflow: 'w', version: 1, trigger: { id: 'manual', type: 'manual' }, created_at: '' };
const run = (...steps: Step[]): Run => ({ ...summary, status: 'running', input: { kept: true }, steps });

it('replaces what changed, adds what is new, leaves the rest alone', () => {
  const before = run(step('a'), step('b', { index: 0 }), step('b', { index: 1 }));
  const after = merge(before, [
    { step: step('b', { index: 1, status: 'succeeded', output: 2 }) },
    { step: step('c') },
    { step: step('c', { status: 'failed' }) },
  ]);
  expect(after.steps?.map((each) => [each.node, each.index, each.status])).toEqual([
    ['a', undefined, 'running'],
    ['b', 0, 'running'],
    ['b', 1, 'succeeded'],
    ['c', undefined, 'failed'],
  ]);
  expect(after.steps?.[0]).toBe(before.steps?.[0]);
  expect(before.steps).toHaveLength(3);
});

it('counts by status what it knows, and leaves the count of other steps alone', () => {
  const some: Run = { ...run(step('a'), step('b')), step_counts: { running: 2, succeeded: 300 }, steps_cursor: 'b' };
  const after = merge(some, [{ step: step('a', { status: 'failed' }) }, { step: step('c', { index: 7, status: 'succeeded' }) }]);
  expect(after).toMatchObject({ step_counts: { running: 1, failed: 1, succeeded: 300 }, steps_cursor: 'b' });
  const all = merge(run(step('a')), [{ step: step('b', { status: 'succeeded' }) }]);
  expect(all).toMatchObject({ step_counts: { running: 1, succeeded: 1 }, steps_cursor: null });
});

it('has all steps once a stream has sent those that were not loaded', () => {
  const some: Run = { ...run(step('a')), step_counts: { running: 3 }, steps_cursor: 'a' };
  const after = merge(some, [{ step: step('b', { index: 0, status: 'succeeded' }) }, { step: step('b', { index: 1 }) }]);
  expect(after).toMatchObject({ step_counts: { running: 2, succeeded: 1 }, steps_cursor: null });
});

it('takes the end of the run and keeps its input', () => {
  const after = merge(run(), [{ run: { ...summary, status: 'succeeded', output: null } }]);
  expect(after).toMatchObject({ status: 'succeeded', input: { kept: true } });
});

it('knows which outputs were too long for the stream', () => {
  const after = merge(run(), [
    { step: step('a', { status: 'succeeded', output: null }) },
    { step: step('b', { status: 'succeeded', output: 0 }) },
    { step: step('c', { status: 'running', output: null }) },
  ]);
  expect(after.steps?.map((each) => each.shortened)).toEqual([true, false, false]);
});

it('puts elements below their node, in order', () => {
  const found = byNode([step('a', { index: 1 }), step('b'), step('a', { index: 0 }), step('a', { index: null })]);
  expect(found.map(({ node, step: own, elements }) => [node, own !== null, elements.map((each) => each.index)])).toEqual([
    ['a', true, [0, 1]],
    ['b', true, []],
  ]);
});
