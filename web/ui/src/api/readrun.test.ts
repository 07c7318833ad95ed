import { afterEach, expect, it, vi } from 'vitest';
import { readRun } from './readrun';
import type { Run, Step } from './types';

afterEach(() => vi.unstubAllGlobals());

const step = (node: string, change: Partial<Step> = {}): Step => ({ node, status: 'succeeded', finished_at: 'now', ...change });
const element = (index: number, change: Partial<Step> = {}) => step('each', { index, ...change });
const run = (change: Partial<Run>): Run => ({
  id: '1', workflow: 'w', version: 1, trigger: { id: 'manual', type: 'manual' }, created_at: '', status: 'succeeded', ...change,
});

/** Answers GET /runs/1 and its pages, and gives the paths that were asked for. */
function serve(answers: Record<string, unknown>): string[] {
  const asked: string[] = [];
  vi.stubGlobal('fetch', (url: string) => {
    const path = url.slice(url.indexOf('/api/v1') + 7);
    asked.push(path);
    return Promise.resolve(new Response(JSON.stringify(answers[path])));
  });
  return asked;
}

it('reads the steps of all nodes, and leaves elements for later', async () => {
  const asked = serve({
    '/runs/1': run({ steps: [step('a'), step('b')], steps_cursor: 'b' }),
    '/runs/1/steps?cursor=b&limit=200': { items: [step('c'), element(0)], next_cursor: 'each.0' },
  });
  const read = await readRun('1');
  expect(read.steps?.map(({ node }) => node)).toEqual(['a', 'b', 'c', 'each']);
  expect(read.steps_cursor).toBe('each.0');
  expect(asked).toHaveLength(2);
});

it('reads as many steps again as were shown', async () => {
  const asked = serve({
    '/runs/1': run({ steps: [step('each'), element(0)], steps_cursor: 'each.0' }),
    '/runs/1/steps?cursor=each.0&limit=200': { items: [element(1)], next_cursor: 'each.1' },
    '/runs/1/steps?cursor=each.1&limit=200': { items: [element(2)], next_cursor: null },
  });
  expect((await readRun('1', 3)).steps).toHaveLength(3);
  expect(asked).toHaveLength(2);
  expect(await readRun('1', 9)).toMatchObject({ steps_cursor: null, steps: { length: 4 } });
});
