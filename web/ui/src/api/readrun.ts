import { runs } from './resources';
import { addSteps } from './steps';
import type { Run, Step } from './types';

/** A run with all steps of its nodes, and with at least as many steps as given. */
export async function readRun(id: string, atLeast = 0): Promise<Run> {
  let run = await runs.get(id);
  for (;;) {
    const last = run.steps?.at(-1);
    const enough = (run.steps?.length ?? 0) >= atLeast && last !== undefined && isElement(last);
    if (!run.steps_cursor || enough) return run;
    run = addSteps(run, await runs.steps(id, run.steps_cursor));
  }
}

function isElement({ index }: Step): boolean {
  return index !== undefined && index !== null && index >= 0;
}
