import type { QueryClient } from '@tanstack/react-query';
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router';
import { ApiError, basePath } from './api/client';
import { queries } from './api/queries';
import { Failure, Loading } from './components/feedback';
import { CredentialListPage } from './pages/credentials/list';
import { NotFoundPage } from './pages/notfound';
import { SignInPage } from './pages/session/signin';
import { Shell } from './pages/shell';
import { WorkflowListPage } from './pages/workflows/list';

type Context = { client: QueryClient };

const rootRoute = createRootRouteWithContext<Context>()({ component: Outlet });

/** Reads the named parameters as text and drops every other one and the empty ones. */
function textParams<K extends string>(...names: K[]) {
  return (search: Record<string, unknown>): Partial<Record<K, string>> => {
    const found: Partial<Record<K, string>> = {};
    for (const name of names) {
      const value = search[name];
      if ((typeof value === 'string' && value !== '') || typeof value === 'number') found[name] = String(value);
    }
    return found;
  };
}

/** A page of the file that is loaded when first needed. */
function later<K extends keyof typeof import('./pages/later')>(name: K) {
  return lazyRouteComponent(() => import('./pages/later'), name);
}

const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/setup',
  validateSearch: textParams('token'),
  component: later('SetupPage'),
});

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/signin',
  validateSearch: textParams('next'),
  component: SignInPage,
});

const shellRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'shell',
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    try {
      await context.client.ensureQueryData(queries.session());
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      const next = location.href === '/' ? undefined : location.href;
      throw redirect({ to: '/signin', search: { next } });
    }
  },
});

const homeRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/credentials' });
  },
});

const credentialsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/credentials',
  validateSearch: textParams('q', 'type', 'state', 'folder', 'unused'),
  component: CredentialListPage,
});

const newCredentialRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/credentials/new',
  component: later('NewCredentialPage'),
});

const credentialRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/credentials/$id',
  validateSearch: textParams('connect', 'tab'),
  component: later('CredentialPage'),
});

// The next pages are beside /credentials, not below it: every name there can be an id.
const rotationRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/credentials/$id/rotate',
  component: later('RotationPage'),
});

const attentionRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/attention',
  component: later('AttentionPage'),
});

const importRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/import',
  component: later('ImportPage'),
});

const keysRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/keys',
  component: later('KeysPage'),
});

const workflowsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/workflows',
  validateSearch: textParams('q', 'folder'),
  component: WorkflowListPage,
});

const newWorkflowRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/workflows/new',
  component: later('NewWorkflowPage'),
});

const workflowRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/workflows/$id',
  component: later('WorkflowPage'),
});

const runsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/runs',
  validateSearch: textParams('workflow', 'status', 'trigger', 'folder', 'since', 'until'),
  component: later('RunListPage'),
});

const runRoute = createRoute({ getParentRoute: () => shellRoute, path: '/runs/$id', component: later('RunPage') });

const triggersRoute = createRoute({ getParentRoute: () => shellRoute, path: '/triggers', component: later('TriggerListPage') });

const routeTree = rootRoute.addChildren([
  setupRoute,
  signInRoute,
  shellRoute.addChildren([
    homeRoute,
    credentialsRoute,
    newCredentialRoute,
    credentialRoute,
    rotationRoute,
    attentionRoute,
    importRoute,
    keysRoute,
    workflowsRoute,
    newWorkflowRoute,
    workflowRoute,
    runsRoute,
    runRoute,
    triggersRoute,
  ]),
]);

export function createAppRouter(client: QueryClient) {
  return createRouter({
    routeTree,
    basepath: basePath === '' ? '/' : basePath,
    context: { client },
    defaultPendingComponent: Loading,
    defaultErrorComponent: ({ error, reset }) => <Failure error={error} retry={reset} />,
    defaultNotFoundComponent: NotFoundPage,
    defaultPreload: false,
    scrollRestoration: true,
    // Search parameters are plain text: "?q=12" is the text 12, not a number in JSON.
    parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
    stringifySearch: (search) => {
      const params = new URLSearchParams();
      for (const [key, value] of Object.entries(search)) {
        if (typeof value === 'string' && value !== '') params.set(key, value);
      }
      const text = params.toString();
      return text === '' ? '' : `?${text}`;
    },
  });
}

declare module '@tanstack/react-router' {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- merging needs an interface
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
