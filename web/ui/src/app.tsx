import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { ApiError, onSignedOut } from './api/client';
import { createAppRouter } from './router';
import { cssVariables, theme } from './theme';

function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        // Only what may pass by itself is tried again; a 4xx says the same the second time.
        retry: (failures, error) => failures < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 502),
      },
    },
  });
}

export function App({ nonce }: { nonce: string }) {
  const [client] = useState(createQueryClient);
  const [router] = useState(() => createAppRouter(client));
  useEffect(
    () =>
      onSignedOut(() => {
        client.removeQueries({ queryKey: ['session'] });
        void router.navigate({ to: '/signin', search: { next: router.state.location.href } });
      }),
    [client, router],
  );
  return (
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <Notifications position="bottom-right" limit={3} />
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  );
}
