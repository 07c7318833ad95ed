import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { queries } from '../api/queries';
import { startTranslations, type Language } from '../i18n';
import { theme } from '../theme';

/** Renders below the page's providers, signed in, without a router. */
export async function renderPage(page: ReactNode, language: Language = 'en') {
  await startTranslations(language);
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  client.setQueryData(queries.session().queryKey, { username: 'admin' });
  return render(
    <MantineProvider theme={theme} env="test">
      <QueryClientProvider client={client}>{page}</QueryClientProvider>
    </MantineProvider>,
  );
}
