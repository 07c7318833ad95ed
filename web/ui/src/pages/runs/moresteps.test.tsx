import { useQuery } from '@tanstack/react-query';
import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, expect, it, vi } from 'vitest';
import { queries } from '../../api/queries';
import { renderPage } from '../../testing/render';
import { MoreSteps, StepCounts } from './moresteps';

afterEach(() => vi.unstubAllGlobals());

const element = (index: number) => ({ node: 'each', index, status: 'succeeded', finished_at: 'now' });
const run = {
  id: '1', workflow: 'w', version: 1, trigger: { id: 'manual', type: 'manual' }, created_at: '', status: 'succeeded',
  steps: [{ node: 'each', status: 'succeeded' }, element(0)], steps_cursor: 'each.0', step_counts: { succeeded: 1450, failed: 1 },
};

function Page() {
  const { data } = useQuery(queries.run('1'));
  return data ? (
    <>
      <StepCounts run={data} />
      <MoreSteps run={data} />
    </>
  ) : null;
}

it('shows the counts of all steps, and loads the next page', async () => {
  vi.stubGlobal('fetch', (url: string) =>
    Promise.resolve(
      new Response(JSON.stringify(url.includes('/steps?cursor=each.0') ? { items: [element(1)], next_cursor: null } : run)),
    ),
  );
  await renderPage(<Page />);
  const counts = await screen.findByRole('group', { name: 'Steps by status' });
  expect(counts.textContent).toBe('1451 steps:Failed1Succeeded1,450');
  await userEvent.click(screen.getByRole('button', { name: 'Load more steps (2 of 1451 loaded)' }));
  await vi.waitFor(() => expect(screen.queryByRole('button')).toBeNull());
});

it('keeps the button when a page cannot be loaded', async () => {
  vi.stubGlobal('fetch', (url: string) =>
    Promise.resolve(url.includes('/steps') ? new Response('{"title":"Not Found","detail":"gone"}', { status: 404 }) : new Response(JSON.stringify(run))),
  );
  await renderPage(<Page />);
  await userEvent.click(await screen.findByRole('button'));
  await screen.findByText('gone');
  expect(screen.getByRole<HTMLButtonElement>('button', { name: /Load more steps/ }).disabled).toBe(false);
});
