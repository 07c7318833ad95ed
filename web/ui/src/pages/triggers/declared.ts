import { useQuery } from '@tanstack/react-query';
import { queries } from '../../api/queries';
import type { Trigger } from '../../api/types';

/** What the definition says of a trigger: the parts that the list leaves out. */
export type Declared = {
  catch_up?: string;
  respond?: string;
  respond_timeout?: string;
  dedupe?: string;
  input?: unknown;
};

export function useDeclared({ workflow, id }: Trigger): Declared {
  const { data } = useQuery(queries.workflow(workflow));
  const triggers = (data?.definition as { triggers?: Record<string, Declared> } | undefined)?.triggers;
  return triggers?.[id] ?? {};
}
