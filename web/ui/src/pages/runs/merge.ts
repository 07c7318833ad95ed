import { stepKey, stepTotal } from '../../api/steps';
import type { Run, RunUpdate, Step } from '../../api/types';

export function sameStep(a: Step, b: Step): boolean {
  return stepKey(a) === stepKey(b);
}

/** A step's name: its node, and with for_each the number of its element. */
export function stepName({ node, index }: Step): string {
  return index === undefined || index === null || index < 0 ? node : `${node}[${String(index)}]`;
}

/** The run after the updates. Steps that did not change stay the same objects. */
export function merge(run: Run, updates: RunUpdate[]): Run {
  let next = run;
  const steps = [...(run.steps ?? [])];
  const counts = { ...run.step_counts };
  const place = new Map(steps.map((step, position) => [stepKey(step), position]));
  for (const update of updates) {
    if ('run' in update) {
      next = { ...next, waiting_for: undefined, ...update.run, output: update.run.output ?? next.output };
      continue;
    }
    const { step } = update;
    const shortened = step.status === 'succeeded' && (step.output ?? null) === null;
    const known = place.get(stepKey(step));
    if (known === undefined) {
      place.set(stepKey(step), steps.push({ ...step, shortened }) - 1);
      continue;
    }
    const before = steps[known]?.status;
    if (before) counts[before] = (counts[before] ?? 0) - 1;
    counts[step.status] = (counts[step.status] ?? 0) + 1;
    steps[known] = { ...step, shortened };
  }
  const all = !run.steps_cursor || steps.length >= stepTotal(run);
  return { ...next, steps, step_counts: all ? countsOf(steps) : counts, steps_cursor: all ? null : run.steps_cursor };
}

function countsOf(steps: Step[]): Run['step_counts'] {
  const counts: Run['step_counts'] = {};
  for (const { status } of steps) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** A node's part in a run: its own step, and those of its elements with for_each. */
export type NodeSteps = { node: string; step: Step | null; elements: Step[] };

/** The steps by node, in the order in which the nodes come. */
export function byNode(steps: Step[]): NodeSteps[] {
  const found = new Map<string, NodeSteps>();
  for (const step of steps) {
    const { node, index } = step;
    const entry = found.get(node) ?? { node, step: null, elements: [] };
    found.set(node, entry);
    if (index === undefined || index === null || index < 0) entry.step = step;
    else entry.elements.push(step);
  }
  for (const { elements } of found.values()) elements.sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
  return [...found.values()];
}
