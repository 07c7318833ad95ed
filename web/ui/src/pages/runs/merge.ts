import type { Run, RunUpdate, Step } from '../../api/types';

function keyOf(step: Step): string {
  return `${step.node}/${String(step.index ?? '')}`;
}

export function sameStep(a: Step, b: Step): boolean {
  return keyOf(a) === keyOf(b);
}

/** A step's name: its node, and with for_each the number of its element. */
export function stepName({ node, index }: Step): string {
  return index === undefined || index === null || index < 0 ? node : `${node}[${String(index)}]`;
}

/** The run after the updates. Steps that did not change stay the same objects. */
export function merge(run: Run, updates: RunUpdate[]): Run {
  let next = run;
  const steps = [...(run.steps ?? [])];
  const place = new Map(steps.map((step, position) => [keyOf(step), position]));
  for (const update of updates) {
    if ('run' in update) {
      next = { ...next, waiting_for: undefined, ...update.run, output: update.run.output ?? next.output };
      continue;
    }
    const { step } = update;
    const shortened = step.status === 'succeeded' && (step.output ?? null) === null;
    const known = place.get(keyOf(step));
    if (known === undefined) place.set(keyOf(step), steps.push({ ...step, shortened }) - 1);
    else steps[known] = { ...step, shortened };
  }
  return { ...next, steps };
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
