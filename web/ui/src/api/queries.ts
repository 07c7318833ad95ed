// What the page reads, by key: lists under [noun, 'list', filter], objects under [noun, id].
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { readRun } from './readrun';
import {
  credentials,
  keys,
  runs,
  session,
  triggers,
  workflows,
  type CredentialFilter,
  type RunFilter,
  type WorkflowFilter,
} from './resources';
import { isUnfinished, type Credential, type List, type Run, type RunStatus } from './types';

function pages<T>(queryKey: readonly unknown[], get: (cursor: string) => Promise<List<T>>) {
  return infiniteQueryOptions({
    queryKey,
    queryFn: ({ pageParam }) => get(pageParam),
    initialPageParam: '',
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
}

const pageLength = 200;

/** All credentials that match, up to a number of pages: for lists in an order of their own. */
export async function allCredentials(
  filter: CredentialFilter,
  pages = Infinity,
): Promise<{ items: Credential[]; more: boolean }> {
  const items: Credential[] = [];
  let cursor = '';
  for (let read = 0; read < pages; read++) {
    const page = await credentials.list(filter, cursor, pageLength);
    items.push(...page.items);
    cursor = page.next_cursor ?? '';
    if (cursor === '') break;
  }
  return { items, more: cursor !== '' };
}

export const queries = {
  session: () => queryOptions({ queryKey: ['session'], queryFn: session.get, staleTime: Infinity, retry: false }),

  setUpOpen: () => queryOptions({ queryKey: ['setup'], queryFn: session.setUpOpen, retry: false }),

  credentialTypes: () =>
    queryOptions({ queryKey: ['credential-types'], queryFn: credentials.types, staleTime: Infinity }),
  credentialPresets: () =>
    queryOptions({ queryKey: ['credential-presets'], queryFn: credentials.presets, staleTime: Infinity }),
  credentialList: (filter: CredentialFilter) =>
    pages(['credentials', 'list', filter], (cursor) => credentials.list(filter, cursor)),
  credential: (id: string) => queryOptions({ queryKey: ['credentials', id], queryFn: () => credentials.get(id) }),
  usages: (id: string) => queryOptions({ queryKey: ['credentials', id, 'usages'], queryFn: () => credentials.usages(id) }),
  credentialVersions: (id: string) =>
    queryOptions({ queryKey: ['credentials', id, 'versions'], queryFn: () => credentials.versions(id) }),
  credentialUses: (id: string) => pages(['credentials', id, 'uses'], (cursor) => credentials.uses(id, cursor)),
  attention: () =>
    queryOptions({ queryKey: ['credentials', 'list', 'attention'], queryFn: () => allCredentials({ attention: 'true' }, 10) }),

  /** Asked each second while a rotation of the keys is under way. */
  keys: () =>
    queryOptions({
      queryKey: ['keys'],
      queryFn: keys.status,
      refetchInterval: (query) => (query.state.data?.rotation.running ? 1_000 : false),
    }),

  workflowList: (filter: WorkflowFilter) =>
    pages(['workflows', 'list', filter], (cursor) => workflows.list(filter, cursor)),
  workflow: (id: string) => queryOptions({ queryKey: ['workflows', id], queryFn: () => workflows.get(id) }),
  workflowVersions: (id: string) =>
    queryOptions({ queryKey: ['workflows', id, 'versions'], queryFn: () => workflows.versions(id) }),
  workflowVersion: (id: string, n: number) =>
    queryOptions({
      queryKey: ['workflows', id, 'versions', n],
      queryFn: () => workflows.version(id, n),
      staleTime: Infinity,
    }),

  /** Renewed every 3 seconds while a run shown is unfinished, every 15 seconds otherwise. */
  runList: (filter: RunFilter) => ({
    ...pages(['runs', 'list', filter], (cursor) => runs.list(filter, cursor)),
    refetchInterval: (query: { state: { data?: { pages: List<{ status: RunStatus }>[] } } }) =>
      query.state.data?.pages.some((page) => page.items.some((run) => isUnfinished(run.status))) ? 3_000 : 15_000,
  }),
  lastRuns: (workflow: string) =>
    queryOptions({
      queryKey: ['runs', 'last', workflow],
      queryFn: async () => (await runs.list({ workflow }, '', 10)).items,
      refetchInterval: (query) => (query.state.data?.some((run) => isUnfinished(run.status)) ? 1_500 : 15_000),
    }),
  recentRuns: (filter: RunFilter) =>
    queryOptions({
      queryKey: ['runs', 'recent', filter],
      queryFn: async () => (await runs.list(filter, '', 5)).items,
      refetchInterval: 15_000,
    }),
  /** Not renewed by itself: whoever shows a run follows it (pages/runs/live.ts). */
  run: (id: string) =>
    queryOptions({
      queryKey: ['runs', id],
      /** Again with the pages that were loaded. */
      queryFn: ({ client, queryKey }) => readRun(id, client.getQueryData<Run>(queryKey)?.steps?.length),
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      structuralSharing: false,
    }),

  triggerList: () => pages(['triggers', 'list'], (cursor) => triggers.list(cursor)),
};
