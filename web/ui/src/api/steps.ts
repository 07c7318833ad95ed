// The steps of a run come in pages: first those of nodes, then the elements of for_each.
import type { Run, Step } from './types';

/** What tells a step from the others of its run. */
export function stepKey({ node, index }: Step): string {
  return `${node}/${String(index ?? '')}`;
}

/** The run with one more page. Of a step that is known, the one that has ended is kept. */
export function addSteps(run: Run, page: { items: Step[]; next_cursor?: string | null }): Run {
  const known = new Map((run.steps ?? []).map((step) => [stepKey(step), step]));
  for (const step of page.items) {
    const key = stepKey(step);
    if (step.finished_at || !known.has(key)) known.set(key, step);
  }
  return { ...run, steps: [...known.values()], steps_cursor: page.next_cursor ?? null };
}

/** How many steps a run has, loaded or not. */
export function stepTotal(run: Run): number {
  const counted = Object.values(run.step_counts ?? {}).reduce((sum, count) => sum + count, 0);
  return Math.max(counted, run.steps?.length ?? 0);
}
