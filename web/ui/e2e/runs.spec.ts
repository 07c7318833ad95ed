// Runs as they go on: followed live, decided by a person, repeated from what failed, linked to
// the runs they started; and a run of a thousand nodes.
import type { CDPSession, Page } from '@playwright/test';
import { choose, expect, fill, open, prepared, send, test, type World } from './fixtures';

const user = { name: 'it@acme.kr', wrong: 'runs-canary-wrong-1', right: 'runs-canary-right-2' };

let world: World;
let api: string;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000); // builds the binary
  world = await prepared(browser);
  api = await world.processes.api(user.name, user.right, 'unused-key');
  const page = await browser.newPage();
  await signIn(page, '/workflows');
  await prepare(page);
  await page.close();
});

test.afterAll(async () => {
  await world.processes.stop();
});

const signIn = (page: Page, path: string) => open(page, world.keyflow.url + path);
const value = (text: string, ...needs: string[]) => ({ type: 'transform', needs, with: { value: text } });

async function prepare(page: Page) {
  const put = (id: string, nodes: object, more: object = {}) => send(page, world, 'PUT', `/workflows/${id}`, { id, nodes, ...more });
  const approval = { type: 'approval', needs: ['build'], with: { message: 'Release version {{ input.version }} to the shop?', timeout: '2d' } };
  const input = {
    type: 'object',
    required: ['version'],
    properties: {
      version: { type: 'integer', title: 'Version', description: 'The number of the release', default: 42 },
      stage: { enum: ['test', 'live'] },
      notify: { type: 'array', items: { type: 'string' } },
    },
  };
  await put('release', { build: value('built'), decide: approval, ship: value('shipped', 'decide'), tell: value('told', 'ship') }, { input });
  const host = new URL(api).host;
  const fields = { username: user.name, password: user.wrong };
  await send(page, world, 'POST', '/credentials', { id: 'erp', name: 'ERP', type: 'basic_auth', fields, allowed_hosts: [`http://${host}`] });
  const call = { type: 'web_request', credential: 'erp', needs: ['read'], with: { url: `${api}/basic` } };
  await put('sync', { read: value('read'), write: call, report: value('done', 'write') });
  await put('single', { ask: { type: 'approval', with: { message: 'Go on?' } } }, { concurrency: { limit: 1 } });
  await put('parent', { child: { type: 'workflow', with: { workflow: 'release', input: { version: 7 } } } });
  await put('elements', { each: { type: 'transform', for_each: 'input.list', with: { value: '{{ item }}' } } });
  const each = (i: number) => [`n${String(i)}`, value('x', ...(i < 10 ? [] : [`n${String(i - 10)}`]))] as const;
  await put('huge', Object.fromEntries(Array.from({ length: 1000 }, (_, i) => each(i))));
}

const start = async (page: Page, workflow: string, input: object, query = '') => {
  const { id } = await send(page, world, 'POST', `/workflows/${workflow}/runs${query}`, { input });
  await page.goto(`${world.keyflow.url}/runs/${String(id)}`);
  return String(id);
};

/** Starts a run that is not looked at, and lets it come to its wait. */
const startUnseen = async (page: Page, workflow: string, input: object) => {
  const { id } = await send(page, world, 'POST', `/workflows/${workflow}/runs`, { input });
  await expect.poll(async () => (await send(page, world, 'GET', `/runs/${String(id)}`)).status).toBe('waiting');
  return String(id);
};

/** The seconds that the page's main thread has worked: what it did, not how long others had the processor. */
const worked = async (devtools: CDPSession) => {
  const { metrics } = await devtools.send('Performance.getMetrics');
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? NaN;
};

/** A stream that ends before anything came. */
const nothing = { contentType: 'text/event-stream', body: '' };
const heading = (page: Page) => page.getByRole('heading', { level: 1 });
const node = (page: Page, name: string) => page.getByRole('group', { name: 'Graph of the nodes' }).getByRole('button', { name });

test('follows a run live, and approves what it waits for', async ({ page, look }) => {
  await signIn(page, '/workflows/release');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('textbox', { name: 'Version' })).toHaveValue('42');
  await dialog.getByRole('textbox', { name: 'notify' }).fill('["it@acme.kr"');
  await expect(dialog.getByText('Not JSON.')).toBeVisible();
  await dialog.getByRole('textbox', { name: 'notify' }).fill('["it@acme.kr"]');
  await choose(page, 'stage', 'live');
  await look('run-dialog-form');
  await dialog.getByRole('button', { name: 'Start run' }).click();

  await expect(heading(page)).toContainText('Waiting');
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await expect(page.getByText('Release version 42 to the shop?').first()).toBeVisible();
  await expect(node(page, 'decide: Waiting')).toBeVisible();
  await expect(node(page, 'ship: Pending')).toBeVisible();
  await look('run-approval');
  await page.setViewportSize({ width: 420, height: 860 });
  await look('run-approval-narrow');
  await page.setViewportSize({ width: 1360, height: 860 });

  await page.getByRole('button', { name: 'Approve' }).click();
  await dialog.getByRole('textbox', { name: 'Comment' }).fill('Looks good');
  await look('run-approve');
  await dialog.getByRole('button', { name: 'Approve' }).click();
  await expect(heading(page)).toContainText('Succeeded');
  await expect(dialog).toBeHidden();
  const step = page.getByRole('table', { name: 'Steps' }).getByRole('row', { name: 'decide' });
  await expect(step).toContainText('Approved by admin');
  await expect(step).toContainText('Looks good');
  await expect(node(page, 'tell: Succeeded')).toBeVisible();
  await node(page, 'decide: Succeeded').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('group', { name: 'Step ship', exact: true })).toContainText('shipped');
  await look('run-approved');
  await page.getByRole('tab', { name: 'Timeline' }).click();
  await look('run-timeline');
});

test('explains a decision that came too late, and catches up after a pause', async ({ page, look }) => {
  await signIn(page, '/runs');
  const id = await start(page, 'release', { version: 1 });
  const decide = (how: string) => send(page, world, 'POST', `/runs/${id}/steps/decide/${how}`, { comment: 'I was faster' });
  await expect(heading(page)).toContainText('Waiting');
  await page.getByRole('button', { name: 'Pause live view' }).click();
  await expect(page.getByText('Paused', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Reject' }).click();
  await decide('approve');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Reject' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Your decision was not recorded');
  await look('run-decided-late');
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await expect(page.getByRole('table', { name: 'Steps' })).toContainText('I was faster');

  const other = await start(page, 'release', { version: 2 });
  await expect(heading(page)).toContainText('Waiting');
  await page.getByRole('button', { name: 'Pause live view' }).click();
  await send(page, world, 'POST', `/runs/${other}/steps/decide/reject`, {});
  await page.getByRole('button', { name: 'Resume live view' }).click();
  await expect(heading(page)).toContainText('Succeeded');
  await expect(page.getByText('Rejected by admin')).toBeVisible();
});

test('goes on live after the connection was cut', async ({ page }) => {
  await signIn(page, '/runs');
  let cut = 1;
  await page.route('**/events', (route) => (cut-- > 0 ? route.fulfill(nothing) : route.continue()));
  const id = await start(page, 'release', { version: 3 });
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await expect(heading(page)).toContainText('Waiting');
  await send(page, world, 'POST', `/runs/${id}/steps/decide/approve`, {});
  await expect(heading(page)).toContainText('Succeeded');
});

test('asks again and again where the stream does not come through', async ({ page }) => {
  await signIn(page, '/runs');
  await page.route('**/events', (route) => route.fulfill(nothing));
  const id = await start(page, 'release', { version: 4 });
  await expect(page.getByText('Polling every 2 seconds')).toBeVisible();
  await expect(heading(page)).toContainText('Waiting');
  await send(page, world, 'POST', `/runs/${id}/steps/decide/approve`, {});
  await expect(heading(page)).toContainText('Succeeded');
});

test('repeats a run from what failed, and with another input', async ({ page, look }) => {
  await signIn(page, '/runs');
  const failed = await start(page, 'sync', { since: 9 }, '?wait=30s');
  await expect(heading(page)).toContainText('Failed');
  await expect(page.getByRole('alert')).toContainText('Enter a valid secret');
  await node(page, 'write: Failed').click();
  await look('run-failed-step');
  await send(page, world, 'PATCH', '/credentials/erp', { fields: { password: user.right } });
  await page.getByRole('button', { name: 'Run again' }).click();
  await look('run-again');
  await page.getByRole('menuitem', { name: 'From failed steps' }).click();
  await expect(page).not.toHaveURL(new RegExp(failed));
  await expect(heading(page)).toContainText('Succeeded');
  await page.getByRole('link', { name: `Retry of run …${failed.slice(-8)}` }).click();
  await expect(heading(page)).toContainText('Failed');

  await page.getByRole('button', { name: 'Run again' }).click();
  await page.getByRole('menuitem', { name: 'With different input' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('textbox', { name: 'Input (JSON)' })).toHaveValue('{\n  "since": 9\n}');
  await dialog.getByRole('textbox', { name: 'Input (JSON)' }).fill('{"since": 9007199254740993}');
  await dialog.getByRole('button', { name: 'Start run' }).click();
  await expect(heading(page)).toContainText('Succeeded');
  await expect(page.getByRole('group', { name: 'Input', exact: true })).toContainText('9007199254740993');
  expect(await page.content()).not.toContain('canary');
});

test('leads from a run to the one it waits for and back', async ({ page, look }) => {
  await signIn(page, '/runs');
  const parent = await start(page, 'parent', {});
  const step = page.getByRole('table', { name: 'Steps' }).getByRole('row', { name: 'child' });
  await expect(step).toContainText('Waiting for another run');
  await look('run-child');
  await step.getByRole('link', { name: /^run …/ }).click();
  await expect(heading(page)).toContainText('release');
  await page.getByRole('link', { name: `Started by node child of run …${parent.slice(-8)}` }).click();
  await expect(heading(page)).toContainText('parent');
});

test('says that a run waits for a slot', async ({ page }) => {
  await signIn(page, '/runs');
  const first = await startUnseen(page, 'single', {});
  await start(page, 'single', {});
  await expect(page.getByRole('alert')).toContainText('Waiting for a free slot');
  await send(page, world, 'POST', `/runs/${first}/steps/ask/approve`, {});
  await expect(page.getByText('Approval needed: ask')).toBeVisible();
  await expect(page.getByText('Waiting for a free slot')).toBeHidden();
});

test('draws a run of a thousand nodes', async ({ page }) => {
  await signIn(page, '/runs');
  await start(page, 'huge', {});
  await expect(heading(page)).toContainText('Succeeded');
  await expect(page.locator('.kf-node[data-status=succeeded]')).toHaveCount(1000);
  const rows = page.getByRole('table', { name: 'Steps' }).getByRole('row');
  await expect(rows).toHaveCount(101);
  await fill(page, 'Find a node', 'n99');
  await expect(rows).toHaveCount(12);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const before = await worked(devtools);
  await page.getByRole('tab', { name: 'Timeline' }).click();
  await expect(page.locator('.kf-bar-row').first()).toBeVisible();
  await page.getByRole('tab', { name: 'Graph' }).click();
  await expect(page.locator('.kf-node')).toHaveCount(1000);
  expect((await worked(devtools)) - before).toBeLessThan(3);
});

test('loads the steps of a run with many on demand, and keeps every digit', async ({ page }) => {
  await signIn(page, '/runs');
  const input = `{"input":{"list":[12345678901234567890${',1'.repeat(449)}]}}`;
  const headers = { 'Content-Type': 'application/json' };
  const answer = await page.request.post(`${world.keyflow.url}/api/v1/workflows/elements/runs?wait=60s`, { data: input, headers });
  const { id } = (await answer.json()) as { id: string };
  await page.goto(`${world.keyflow.url}/runs/${id}`);
  await expect(page.getByRole('group', { name: 'Steps by status' })).toContainText('451 steps:');
  const steps = page.getByRole('table', { name: 'Steps' });
  await expect(steps).toContainText('199 elements loaded');
  await page.getByRole('button', { name: 'Load more steps (200 of 451 loaded)' }).click();
  await expect(steps).toContainText('399 elements loaded');
  await page.getByRole('button', { name: 'Load more steps (400 of 451 loaded)' }).click();
  await expect(steps).toContainText('450 of 450 elements ended');
  await expect(page.getByRole('group', { name: 'Input', exact: true })).toContainText('12345678901234567890');
});

test('filters the list, kept in the URL, and cancels many', async ({ page, look }) => {
  await signIn(page, '/runs');
  for (const version of [5, 6]) await startUnseen(page, 'release', { version });
  await choose(page, 'Status', 'Waiting');
  await page.getByRole('combobox', { name: 'Workflow' }).fill('release');
  await fill(page, 'Trigger ID', 'manual');
  await expect(page).toHaveURL(/trigger=manual/);
  const rows = page.getByRole('table', { name: 'Runs' }).getByRole('row');
  await expect(rows).toHaveCount(3); // the child of the parent was started by its node
  await page.getByLabel('Created from').fill('2026-01-01T09:00');
  await expect(page).toHaveURL(/since=2026-01-01T00%3A00%3A00\.000Z/);
  await page.reload();
  await expect(page.getByLabel('Created from')).toHaveValue('2026-01-01T09:00');
  await expect(rows).toHaveCount(3);
  await page.getByRole('checkbox', { name: 'Select all shown' }).check();
  await look('runs-selected');
  await page.getByRole('button', { name: 'Cancel 2' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel 2' }).click();
  await expect(page.getByText('2 runs done')).toBeVisible();
  await expect(page.getByText('Nothing found')).toBeVisible();
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await expect(page.getByRole('combobox', { name: 'Workflow' })).toHaveValue('');
  await expect(page).toHaveURL(`${world.keyflow.url}/runs`);
});

test('speaks Korean about runs', async ({ page, look }) => {
  await signIn(page, '/runs');
  await page.evaluate(() => localStorage.setItem('keyflow.language', 'ko'));
  await start(page, 'release', { version: 8 });
  await expect(page.getByRole('button', { name: '승인' })).toBeVisible();
  await expect(page.getByText('실시간', { exact: true })).toBeVisible();
  await look('korean-run');
  await page.goto(`${world.keyflow.url}/runs`);
  await expect(heading(page)).toHaveText('실행');
  await look('korean-runs');
});
