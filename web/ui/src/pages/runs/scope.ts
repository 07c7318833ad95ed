import { createContext, useContext } from 'react';
import type { Run } from '../../api/types';

/** What the parts of a run's page know about the whole. */
export type RunScope = {
  run: Run;
  /** The type of each node, as far as the definition is stored. */
  types: ReadonlyMap<string, string>;
};

const context = createContext<RunScope | null>(null);

export const RunScopeProvider = context.Provider;

export function useRunScope(): RunScope {
  const scope = useContext(context);
  if (!scope) throw new Error('outside of a run');
  return scope;
}
