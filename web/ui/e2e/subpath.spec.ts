// Behind a proxy that publishes Keyflow below a path: every file, call and link stays there.
import { expect, setUp, test } from './fixtures';
import { Processes, type Keyflow } from './processes';

let processes: Processes;
let keyflow: Keyflow;

test.beforeAll(async () => {
  test.setTimeout(300_000);
  processes = new Processes();
  keyflow = await processes.keyflow('/tools/keyflow');
});

test.afterAll(async () => {
  await processes.stop();
});

test('lives below a sub-path', async ({ page }) => {
  const outside: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(`${keyflow.url}/`)) outside.push(request.url());
  });
  await setUp(page, keyflow.setupLink);
  await expect(page).toHaveURL(`${keyflow.url}/credentials`);
  await page.getByRole('link', { name: 'Workflows' }).click();
  await expect(page).toHaveURL(`${keyflow.url}/workflows`);
  await page.goto(`${keyflow.url}/runs?status=failed`);
  await expect(page.getByText('Nothing found')).toBeVisible();
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(`${keyflow.url}/signin`);
  expect(outside).toEqual([]);
});
