import { expect, it } from 'vitest';
import type { Step } from '../../api/types';
import { byNode } from './merge';
import { barsOf, marksOf } from './timeline';

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
const step = (node: string, change: Partial<Step> = {}): Step => ({ node, status: 'succeeded', ...change });
const bars = (...steps: Step[]) => barsOf(byNode(steps), [], Date.parse(at(0)), Date.parse(at(60)));

it('draws what ended, what goes on, what waits, and nothing for what has not begun', () => {
  const found = bars(
    step('done', { started_at: at(1), finished_at: at(3), attempts: [{ attempt: 1, started_at: at(1), finished_at: at(3) }] }),
    step('going', { status: 'running', started_at: at(10), attempts: [{ attempt: 1, started_at: at(10) }] }),
    step('retried', {
      status: 'waiting',
      started_at: at(20),
      attempts: [{ attempt: 1, started_at: at(20), finished_at: at(22) }],
    }),
    step('pending', { status: 'pending' }),
  );
  expect(found.map(({ node, from, to, parts }) => [node, from, to, parts])).toEqual([
    ['done', 1000, 3000, [[1000, 3000]]],
    ['going', 10_000, 60_000, [[10_000, 60_000]]],
    ['retried', 20_000, 60_000, [[20_000, 22_000]]],
  ]);
});

it('takes the first element when the node itself has not been told yet', () => {
  expect(bars(step('each', { index: 0, started_at: at(5), finished_at: at(6) }))).toMatchObject([{ node: 'each', from: 5000 }]);
});

it.each([
  [1, [0, 1]],
  [4_300, [0, 1_000, 2_000, 3_000, 4_000]],
  [60_000, [0, 20_000, 40_000, 60_000]],
])('marks an axis of %i ms', (length, marks) => {
  expect(marksOf(length)).toEqual(marks);
});

it('begins when the needs had ended, so that a wait shows', () => {
  const graph = ['a', 'b', 'wait'].map((id) => ({ id, type: '', needs: id === 'wait' ? ['a', 'b'] : [] }));
  const steps = [
    step('a', { started_at: at(1), finished_at: at(3) }),
    step('b', { started_at: at(1), finished_at: at(5) }),
    step('wait', { status: 'waiting' }),
  ];
  const found = barsOf(byNode(steps), graph, Date.parse(at(0)), Date.parse(at(60)));
  expect(found.map(({ node, from, to }) => [node, from, to])).toEqual([
    ['a', 0, 3000],
    ['b', 0, 5000],
    ['wait', 5000, 60_000],
  ]);
});

it('draws a wait as part of its step, and the attempt that ended it', () => {
  const attempts = [{ attempt: 1, started_at: at(8), finished_at: at(9) }];
  const graph = ['a', 'done', 'held'].map((id) => ({ id, type: '', needs: id === 'a' ? [] : ['a'] }));
  const steps = [
    step('a', { started_at: at(0), finished_at: at(2) }),
    step('done', { started_at: at(3), finished_at: at(9), attempts }),
    step('held', { status: 'waiting', started_at: at(3), attempts: [] }),
  ];
  const found = barsOf(byNode(steps), graph, Date.parse(at(0)), Date.parse(at(60)));
  expect(found.slice(1).map(({ node, from, to, parts }) => [node, from, to, parts])).toEqual([
    ['done', 2000, 9000, [[8000, 9000]]],
    ['held', 2000, 60_000, []],
  ]);
});

it('puts steps that a retry kept at its beginning', () => {
  expect(bars(step('kept', { started_at: at(-500), finished_at: at(-400) }))).toMatchObject([{ from: 0, to: 0 }]);
});
