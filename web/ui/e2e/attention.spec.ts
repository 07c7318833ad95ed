// What will stop working, in one list; many credentials from one file, all or none; a run
// that waits for somebody to connect its credential.
import type { Page } from '@playwright/test';
import { expect, fill, open, prepared, send, test, type World } from './fixtures';

let world: World;
const host = 'api.acme.example';
const secret = 'attention-canary-4';

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000); // builds the binary
  world = await prepared(browser);
});

test.afterAll(async () => {
  await world.processes.stop();
});

const signIn = (page: Page, path: string) => open(page, world.keyflow.url + path);

test('lists what will stop working by when, with what to do', async ({ page, look }) => {
  await signIn(page, '/attention');
  await expect(page.getByRole('heading', { name: 'Nothing needs attention' })).toBeVisible();
  await look('attention-empty');

  const days = (n: number) => new Date(Date.now() + n * 86_400_000).toISOString();
  const bearer = (id: string, more: object) =>
    send(page, world, 'POST', '/credentials', { id, name: id, type: 'bearer_token', fields: { token: secret }, allowed_hosts: [host], ...more });
  await bearer('ends-later', { expires_at: days(20) });
  await bearer('ends-soon', { expires_at: days(3) });
  await bearer('ended', { expires_at: days(-1) });
  await bearer('fine', { expires_at: days(200) });
  await send(page, world, 'POST', '/credentials', {
    id: 'portal',
    name: 'portal',
    type: 'oauth2',
    fields: {
      grant_type: 'authorization_code',
      authorization_url: `https://${host}/authorize`,
      access_token_url: `https://${host}/token`,
      client_id: 'keyflow',
      client_secret: secret,
    },
    allowed_hosts: [host],
  });
  await page.reload();
  const rows = page.getByRole('table', { name: 'Needs attention' }).getByRole('row');
  await expect(rows).toHaveCount(5);
  const order = ['ended', 'portal', 'ends-soon', 'ends-later'];
  for (const [position, id] of order.entries()) await expect(rows.nth(position + 1)).toContainText(id);
  await expect(rows.nth(1)).toContainText('Expired');
  await expect(rows.nth(3)).toContainText('Enter new values');
  await look('attention');
  await page.setViewportSize({ width: 420, height: 860 });
  await look('attention-narrow');
  await page.setViewportSize({ width: 1360, height: 860 });
  await rows.nth(2).getByRole('link', { name: 'Connect' }).click();
  await expect(page.getByRole('button', { name: 'Connect', exact: true })).toBeFocused();
});

test('filters the list by what nobody uses, kept in the URL', async ({ page, look }) => {
  await signIn(page, '/credentials');
  await page.getByRole('checkbox', { name: 'Unused only' }).check();
  await expect(page).toHaveURL(/\?unused=true$/);
  await expect(page.getByRole('table', { name: 'Credentials' }).getByRole('row')).toHaveCount(6);
  await look('credentials-unused');
  await page.setViewportSize({ width: 420, height: 860 });
  await look('credentials-narrow');
});

test('imports all rows or, with one mistake, none', async ({ page, look }) => {
  await signIn(page, '/import');
  const text = page.getByRole('textbox', { name: 'Or paste it here' });
  const csv = (host: string) =>
    `id,type,folder,allowed_hosts,fields.token\nnew-1,bearer_token,/clouds,a.example,${secret}\nnew-2,bearer_token,/clouds,${host},${secret}\n`;
  await text.fill(csv('not a host!'));
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await expect(page.getByRole('alert')).toContainText('Nothing was imported');
  await expect(page.getByRole('alert')).toContainText('allowed_hosts');
  await look('import-refused');

  await text.fill(csv('b.example') + 'fine,,,,another-canary-5\n');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  const plan = page.getByRole('table', { name: 'Plan' });
  await expect(plan.getByRole('row', { name: 'new-2' })).toContainText('Create');
  await expect(plan.getByRole('row', { name: 'fine' })).toContainText('fields.token');
  await look('import-plan');
  await page.getByRole('button', { name: 'Import 3 credentials' }).click();
  await expect(page.getByText('2 new, 1 changed, 0 unchanged')).toBeVisible();
  await expect(text).toHaveValue('');
  await look('import-done');

  await page.goto(`${world.keyflow.url}/credentials`);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export' }).click();
  const stream = await (await download).createReadStream();
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  const exported = Buffer.concat(parts).toString();
  expect(exported).not.toContain(secret);
  expect(exported).toContain('"new-2"');
  await page.goto(`${world.keyflow.url}/import`);
  await text.fill(exported);
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await expect(page.getByText('0 new, 0 changed, 7 unchanged')).toBeVisible();
  await expect(page.getByRole('button', { name: /^Import 0/ })).toBeDisabled();
});

test('shows what a waiting run waits for', async ({ page, look }) => {
  await signIn(page, '/credentials');
  const nodes = { call: { type: 'web_request', credential: 'portal', with: { url: `https://${host}/` } } };
  await send(page, world, 'PATCH', '/credentials/portal', { allowed_workflows: ['/**'] });
  await send(page, world, 'PUT', '/workflows/held', { id: 'held', nodes });
  const { id } = await send(page, world, 'POST', '/workflows/held/runs', { input: {} });
  await page.goto(`${world.keyflow.url}/runs/${String(id)}`);
  const step = page.getByRole('table', { name: 'Steps' }).getByRole('row', { name: 'call' });
  await expect(step).toContainText('Waiting');
  await look('run-waiting');
  await step.getByRole('link', { name: 'Connect portal' }).click();
  await expect(page.getByRole('button', { name: 'Connect', exact: true })).toBeFocused();
});

test('speaks Korean on each of these pages', async ({ page, look }) => {
  await signIn(page, '/attention');
  await page.evaluate(() => localStorage.setItem('keyflow.language', 'ko'));
  const pages = { attention: '확인 필요', import: '자격 증명 가져오기', keys: '암호화 키', 'credentials/ended/rotate': 'ended 교체' };
  for (const [path, heading] of Object.entries(pages)) {
    await page.goto(`${world.keyflow.url}/${path}`);
    await expect(page.getByRole('heading', { level: 1, name: heading })).toBeVisible();
    await look(`korean-${path.replaceAll('/', '-')}`);
  }
  await page.goto(`${world.keyflow.url}/credentials/ended`);
  await page.getByRole('button', { name: /^더 보기/ }).click();
  await page.getByRole('button', { name: '규칙 추가' }).click();
  await look('korean-more');
});

test('sets an end and an age by hand', async ({ page }) => {
  await signIn(page, '/credentials/fine');
  await page.getByRole('button', { name: /^More 1 set/ }).click();
  await page.getByLabel('Expires').fill('2027-03-01T09:30');
  await fill(page, 'Rotate every', '90d');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved fine')).toBeVisible();
  await page.reload();
  await page.getByRole('button', { name: /^More 2 set/ }).click();
  await expect(page.getByLabel('Expires')).toHaveValue('2027-03-01T09:30');
});
