// What starts runs: schedules in two zones, webhooks with a sample that works, events with a
// test form, and what to do while there is none of them.
import { execFileSync } from 'node:child_process';
import type { Page } from '@playwright/test';
import { expect, fill, open, prepared, send, test, type World } from './fixtures';

let world: World;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000); // builds the binary
  world = await prepared(browser);
});

test.afterAll(async () => {
  await world.processes.stop();
});

const signIn = (page: Page, path: string) => open(page, world.keyflow.url + path);
const value = { type: 'transform', with: { value: 'x' } };
const put = (page: Page, id: string, triggers: object, more: object = {}) =>
  send(page, world, 'PUT', `/workflows/${id}`, { id, nodes: { a: value }, triggers, ...more });

test('says what to do while there are no triggers', async ({ page, look }) => {
  await signIn(page, '/triggers');
  await expect(page.getByRole('heading', { name: 'No triggers yet' })).toBeVisible();
  await look('triggers-empty');
});

test('shows schedules in their zone and the viewer’s', async ({ page }) => {
  await signIn(page, '/triggers');
  const nightly = { type: 'cron', schedule: '30 4 * * *', timezone: 'America/New_York', overlap: 'skip', catch_up: '1h', until: '2099-01-01T00:00:00Z' };
  await put(page, 'report', { nightly });
  await put(page, 'resting', { weekly: { type: 'cron', schedule: '@weekly' } }, { enabled: false });
  await page.reload();
  const schedules = page.getByRole('table', { name: 'Schedules' });
  await expect(schedules.getByRole('row')).toHaveCount(3);
  await expect(schedules.getByRole('row', { name: 'resting' })).toContainText('Off');
  await expect(page.getByText('No webhook yet.')).toBeVisible();
  await page.getByRole('button', { name: 'Show details: report nightly' }).click();
  const times = page.getByRole('table', { name: 'Next five times: report nightly' });
  await expect(times.getByRole('row')).toHaveCount(6);
  await expect(times.getByRole('columnheader')).toHaveText(['In America/New_York', 'Here (Asia/Seoul)']);
  for (const row of await times.getByRole('row').all()) {
    if ((await row.getByRole('cell').count()) > 0) await expect(row.getByRole('cell').first()).toContainText('04:30:00');
  }
  await expect(page.getByText('skip this occurrence')).toBeVisible();
  await expect(page.getByText('if less than 1h old')).toBeVisible();
});

test('gives a webhook with a sample that works, and its deliveries', async ({ page, look }) => {
  await signIn(page, '/triggers');
  const fields = { username: 'shop', password: 'THE_SECRET' };
  await send(page, world, 'POST', '/credentials', { id: 'caller', name: 'Caller', type: 'basic_auth', fields, allowed_hosts: ['a.example'], allowed_workflows: ['/**'] });
  const signing = { id: 'signer', name: 'Signer', type: 'signing', fields: { secret: 'whsec_VEhFX1NFQ1JFVA==' }, allowed_workflows: ['/**'] };
  await send(page, world, 'POST', '/credentials', signing);
  const dedupe = "{{ trigger.request.headers['x-delivery-id'] }}";
  await put(page, 'orders', { shop: { type: 'webhook', path: 'orders/{id}', credential: 'caller', dedupe, respond: 'on_finish' } });
  await put(page, 'signed', { form: { type: 'webhook', path: 'signed', credential: 'signer' } });
  await put(page, 'open', { form: { type: 'webhook', path: 'open' } });
  for (const [workflow, trigger] of [['orders', 'shop'], ['signed', 'form'], ['open', 'form']] as const) {
    await page.goto(`${world.keyflow.url}/triggers`);
    await page.getByRole('button', { name: `Show details: ${workflow} ${trigger}` }).click();
    await expect(page.getByText('No deliveries yet.')).toBeVisible();
    const sample = page.getByRole('group', { name: `Try it: ${workflow} ${trigger}` });
    await expect(sample).toContainText(workflow === 'open' ? 'hello' : /SECRET/);
    const text = await sample.innerText();
    const shell = text.replace("secret='whsec_THE_SECRET'", "secret='whsec_VEhFX1NFQ1JFVA=='").replace('curl ', 'curl -sS --fail-with-body ');
    const answer = execFileSync('bash', ['-c', shell]).toString();
    expect(answer).toMatch(workflow === 'orders' ? /^null/ : /"run_id"/);
    await page.reload();
    await page.getByRole('button', { name: `Show details: ${workflow} ${trigger}` }).click();
    await expect(page.getByRole('table', { name: `Recent deliveries: ${workflow} ${trigger}` }).getByRole('row')).toHaveCount(2);
  }
  await expect(page.getByText('Public: anyone').first()).toBeVisible();
  await page.getByRole('button', { name: 'Show details: orders shop' }).click();
  await page.getByRole('button', { name: 'Show details: report nightly' }).click();
  await expect(page.getByText('the run’s output, within 30s')).toBeVisible();
  await look('triggers');
  await page.setViewportSize({ width: 420, height: 860 });
  await look('triggers-narrow');
});

test('sends a test event, and says what it started', async ({ page, look }) => {
  await signIn(page, '/triggers');
  await put(page, 'tickets', { urgent: { type: 'event', event: 'com.example.ticket.*', filter: "trigger.event.data.priority == 'high'" } });
  await page.reload();
  const events = page.getByRole('table', { name: 'Events' });
  await expect(events.getByRole('row', { name: 'tickets' })).toContainText('com.example.ticket.*');
  await page.getByRole('button', { name: 'Show details: tickets urgent' }).click();
  await events.getByRole('button', { name: 'Send a test event' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('textbox', { name: 'Type' })).toHaveValue('com.example.ticket.test');
  await dialog.getByRole('textbox', { name: 'Data (JSON)' }).fill('{"priority": "low"}');
  await dialog.getByRole('button', { name: 'Send' }).click();
  await expect(dialog.getByText('No trigger matched this event')).toBeVisible();
  await dialog.getByRole('textbox', { name: 'Data (JSON)' }).fill('{"priority": "high"}');
  await dialog.getByRole('button', { name: 'Send' }).click();
  await expect(dialog.getByText('It started 1 run:')).toBeVisible();
  await look('trigger-event');
  await fill(page, 'Type', 'keyflow.run.finished');
  await dialog.getByRole('button', { name: 'Send' }).click();
  await expect(dialog.getByText('The event was not accepted')).toBeVisible();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await expect(page.getByRole('table', { name: 'Recent runs: tickets urgent' }).getByRole('row')).toHaveCount(2);
});

test('speaks Korean about triggers', async ({ page, look }) => {
  await signIn(page, '/triggers');
  await page.evaluate(() => localStorage.setItem('keyflow.language', 'ko'));
  await page.reload();
  await page.getByRole('button', { name: '세부 정보 보기: report nightly' }).click();
  await page.getByRole('button', { name: '세부 정보 보기: orders shop' }).click();
  await expect(page.getByText('다음 다섯 번')).toBeVisible();
  await look('korean-triggers');
});
