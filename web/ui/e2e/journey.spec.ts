// The main job, as an administrator does it: set up, make a credential of each type, edit
// one, connect one, run a workflow that calls with all of them, and see the run.
import type { Page } from '@playwright/test';
import type { CredentialType, List } from '../src/api/types';
import { koFields, koTypes } from '../src/i18n/fields.ko';
import { add, choose, expect, fill, hidden, open, password, setUp, test } from './fixtures';
import { Processes, type Keyflow, type Provider } from './processes';

const user = { name: 'it@acme.kr', first: 'mistyped-password-1', password: 'basic-canary-7Qx' };
const key = 'key-canary-9Zt';

let processes: Processes;
let keyflow: Keyflow;
let provider: Provider;
let api: string;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async () => {
  test.setTimeout(300_000); // builds the binaries
  processes = new Processes();
  api = await processes.api(user.name, user.password, key);
  keyflow = await processes.keyflow();
  provider = await processes.provider(`${keyflow.url}/api/_/credentials/oauth_callback`);
});

test.afterAll(async () => {
  await processes.stop();
});

const signIn = (page: Page, path = '/credentials') => open(page, keyflow.url + path);

async function newCredential(page: Page, name: string, type: string) {
  await page.goto(`${keyflow.url}/credentials/new`);
  await fill(page, 'Name', name);
  await page.getByRole('radio', { name: type, exact: true }).click();
}

async function save(page: Page, name: string) {
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
  await expect(page.getByRole('tab', { name: 'Versions' })).toBeVisible();
}

test('sets up the administrator once, signs out and in', async ({ page, look }) => {
  await page.goto(`${keyflow.url}/setup`);
  await look('setup');
  await setUp(page, keyflow.setupLink);
  await look('credentials-empty');

  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await look('signin');
  await page.goto(keyflow.setupLink);
  await expect(page.getByText('Keyflow is already set up')).toBeVisible();

  await page.goto(`${keyflow.url}/runs?status=failed`);
  await fill(page, 'Username', 'admin');
  await hidden(page, 'Password').fill('wrong password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('Wrong username or password.');
  await hidden(page, 'Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(`${keyflow.url}/runs?status=failed`);
});

test('creates a credential of each type', async ({ page, look }) => {
  await signIn(page);

  await newCredential(page, 'Public rates', 'No Auth');
  await add(page, 'Allowed hosts', new URL(api).host);
  await save(page, 'Public rates');

  await newCredential(page, 'ERP', 'Basic Auth');
  await fill(page, 'Username', user.name);
  await hidden(page, 'Password').fill(user.first);
  await fill(page, 'Test URL', `${api}/basic`);
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert').first()).toContainText('/allowed_hosts');
  await add(page, 'Allowed hosts', `http://${new URL(api).host}`);
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await expect(page.getByText('Test failed')).toBeVisible();
  await look('credential-new-basic');
  await save(page, 'ERP');

  await newCredential(page, 'Clouds', 'API Key');
  await fill(page, 'Key', 'X-Api-Key');
  await hidden(page, 'Value').fill(key);
  await fill(page, 'Test URL', `${api}/key`);
  await add(page, 'Allowed hosts', `http://${new URL(api).host}`);
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await expect(page.getByText('Test passed')).toBeVisible();
  await save(page, 'Clouds');

  await newCredential(page, 'HR portal', 'OAuth 2.0');
  await choose(page, 'Grant Type', 'Authorization Code');
  await expect(page.getByTestId('redirect-url')).toHaveText(`${keyflow.url}/api/_/credentials/oauth_callback`);
  await fill(page, 'Authorization URL', provider.authorization_url);
  await fill(page, 'Access Token URL', provider.access_token_url);
  await fill(page, 'Client ID', provider.client_id);
  await hidden(page, 'Client Secret').fill(provider.client_secret);
  await fill(page, 'Scope', 'read');
  await choose(page, 'Client Authentication', 'Header');
  await add(page, 'Allowed hosts', `http://${new URL(provider.resource_url).host}`);
  await look('credential-new-oauth');
  await save(page, 'HR portal');
  await expect(page.getByRole('button', { name: 'Connect', exact: true })).toBeVisible();
});

test('finds credentials by search and filter, kept in the URL', async ({ page, look }) => {
  await signIn(page);
  const rows = page.getByRole('table', { name: 'Credentials' }).getByRole('row');
  await expect(rows).toHaveCount(5);
  await look('credentials');
  await page.keyboard.press('/');
  await page.keyboard.type('erp');
  await expect(rows).toHaveCount(2);
  await expect(page).toHaveURL(/\?q=erp$/);
  await page.reload();
  await expect(rows).toHaveCount(2);
  await fill(page, 'Search name or ID', 'nothing of the kind');
  await expect(page.getByText('Nothing found')).toBeVisible();
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await expect(rows).toHaveCount(5);
});

test('edits one: the secret is write-only, and a conflict is shown', async ({ page, context, look }) => {
  await signIn(page, '/credentials/erp');
  const other = await context.newPage();
  await other.goto(`${keyflow.url}/credentials/erp`);
  await fill(other, 'Description', 'changed in another tab');

  await expect(page.getByRole('group', { name: 'Password' })).toContainText('Set');
  expect(await page.locator('input[type=password]').count()).toBe(0);
  await page.getByRole('button', { name: 'Replace: Password' }).click();
  await hidden(page, 'Password').fill(user.password);
  await fill(page, 'Description', 'The ERP of the head office');
  await look('credential-edit');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved ERP')).toBeVisible();
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(page.getByText('Test passed')).toBeVisible();
  await expect(page.getByRole('tab', { name: 'Versions' })).toContainText('2');
  expect(await page.content()).not.toContain(user.password);

  await other.getByRole('button', { name: 'Save' }).click();
  const dialog = other.getByRole('dialog');
  await expect(dialog).toContainText('The ERP of the head office');
  await dialog.getByRole('button', { name: 'Load the newer version' }).click();
  await expect(other.getByRole('textbox', { name: 'Description' })).toHaveValue('The ERP of the head office');
});

test('connects OAuth 2.0 through the provider: refused first, then allowed', async ({ page, context, look }) => {
  await signIn(page, '/credentials/hr-portal');
  const opened = async () => {
    const popup = context.waitForEvent('page');
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    return popup;
  };

  const denied = await opened();
  await denied.getByRole('button', { name: 'Deny' }).click();
  await expect(denied.getByRole('heading', { name: 'Not connected' })).toBeVisible();
  await expect(page.getByText('The other window shows the provider')).toBeVisible();
  await look('credential-connect-refused');
  await denied.close();

  const allowed = await opened();
  await expect(page.getByText('Waiting for the provider')).toBeVisible();
  const closed = allowed.waitForEvent('close');
  await allowed.getByRole('button', { name: 'Allow' }).click();
  await closed;
  await expect(page.getByText('Connected', { exact: true })).toBeVisible();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('OK');
  await look('credential-connected');
});

test('runs a workflow that calls with each of them, and shows the run', async ({ page, look }) => {
  await signIn(page, '/workflows/new');
  const request = (credential: string, url: string) => ({ type: 'web_request', credential, with: { url } });
  const definition = {
    id: 'everything',
    name: 'All four types',
    nodes: {
      open: request('public-rates', `${api}/open`),
      basic: request('erp', `${api}/basic`),
      key: request('clouds', `${api}/key`),
      oauth: request('hr-portal', provider.resource_url),
    },
  };
  const text = page.getByRole('textbox', { name: 'Definition' });
  await text.fill('{"id": "everything",}');
  await expect(page.getByText('Not JSON at line 1, column 21.')).toBeVisible();
  await text.fill(JSON.stringify({ ...definition, nodes: { open: { type: 'web_reqest' } } }, null, 2));
  await page.getByRole('button', { name: 'Check' }).click();
  await expect(page.getByRole('alert')).toContainText('web_reqest');
  await look('workflow-problems');
  await text.fill(JSON.stringify(definition, null, 2));
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'All four types' })).toBeVisible();
  await look('workflow');

  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await look('run-dialog');
  await page.getByRole('button', { name: 'Start run' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Succeeded');
  const steps = page.getByRole('table', { name: 'Steps' });
  for (const node of Object.keys(definition.nodes)) {
    await expect(steps.getByRole('row', { name: node })).toContainText('Succeeded');
  }
  await steps.getByRole('button', { name: 'Show details: basic' }).click();
  await look('run');
  for (const secret of [user.password, key, provider.client_secret]) expect(await page.content()).not.toContain(secret);

  await page.getByRole('link', { name: 'Runs' }).first().click();
  await expect(page.getByRole('table', { name: 'Runs' })).toContainText('everything');
  await look('runs');
});

test('shows why a run failed, and cancels one under way', async ({ page, look }) => {
  await signIn(page);
  const put = async (id: string, url: string) => {
    const nodes = { call: { type: 'web_request', credential: 'clouds', with: { url }, timeout: '5m', retry: { max_attempts: 1 } } };
    const triggers = { nightly: { type: 'cron', schedule: '0 3 * * *', timezone: 'Asia/Seoul' }, form: { type: 'webhook', path: id } };
    const answer = await page.request.put(`${keyflow.url}/api/v1/workflows/${id}`, { data: { id, nodes, triggers } });
    expect(answer.status(), await answer.text()).toBe(201);
  };
  const start = async (id: string) => {
    await page.goto(`${keyflow.url}/workflows/${id}`);
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('button', { name: 'Start run' }).click();
  };
  await put('refused', `${api}/basic`);
  await start('refused');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Failed');
  await expect(page.getByRole('alert')).toContainText('credential_refused');
  await page.getByRole('button', { name: 'Show details: call' }).click();
  await look('run-failed');

  await put('slow', `${api}/slow`);
  await start('slow');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Running');
  await page.getByRole('button', { name: 'Cancel run' }).click();
  await look('run-cancel');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel run' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Canceled');

  await page.getByRole('link', { name: 'Triggers' }).click();
  const webhooks = page.getByRole('table', { name: 'Webhooks' });
  await expect(webhooks.getByRole('row')).toHaveCount(3);
  await expect(webhooks).toContainText(`${keyflow.url}/hooks/slow`);
});

test('gets a new token, and forgets it when asked to', async ({ page, look }) => {
  await signIn(page, '/credentials/hr-portal');
  await page.getByRole('button', { name: 'Get a new token' }).click();
  await expect(page.getByText('Token renewed')).toBeVisible();
  await page.getByRole('button', { name: 'Disconnect' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('link', { name: 'everything' })).toBeVisible();
  await look('credential-disconnect');
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Needs connecting');
  await expect(page.getByRole('button', { name: 'Get a new token' })).toBeHidden();
});

test('refuses to delete what is used, until its ID is typed', async ({ page, look }) => {
  await signIn(page, '/credentials/public-rates');
  await page.getByRole('button', { name: 'Delete' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('link', { name: 'everything' })).toBeVisible();
  const remove = dialog.getByRole('button', { name: 'Delete anyway' });
  await expect(remove).toBeDisabled();
  await look('credential-delete-used');
  await dialog.getByRole('textbox').fill('public-rate');
  await expect(remove).toBeDisabled();
  await dialog.getByRole('textbox').fill('public-rates');
  await remove.click();
  await expect(page).toHaveURL(`${keyflow.url}/credentials`);
  await expect(page.getByRole('table', { name: 'Credentials' }).getByRole('row')).toHaveCount(4);
});

test('speaks Korean, goes by keyboard, and says what it cannot find', async ({ page, look }) => {
  await signIn(page);
  await page.getByRole('heading', { level: 1 }).click();
  await page.clock.setFixedTime(Date.now()); // the second key counts within a second
  await page.keyboard.press('g');
  await page.keyboard.press('w');
  await expect(page).toHaveURL(`${keyflow.url}/workflows`);
  await look('workflows');
  await page.goto(`${keyflow.url}/credentials/nothing`);
  await expect(page.getByRole('alert')).toContainText('Request ID');
  await page.getByRole('button', { name: 'Language' }).click();
  await page.getByRole('menuitem', { name: '한국어' }).click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'ko');
  await page.getByRole('navigation').getByRole('link', { name: '자격 증명' }).click();
  await expect(page.getByRole('heading', { level: 1, name: '자격 증명' })).toBeVisible();
  await look('credentials-korean');

  const answer = await page.request.get(`${keyflow.url}/api/v1/credential-types`);
  const { items } = (await answer.json()) as List<CredentialType>;
  const untranslated = items.flatMap((type) =>
    type.fields.filter(({ name }) => !koFields[`${type.id}.${name}`] && !koFields[name]).map(({ name }) => `${type.id}.${name}`),
  );
  expect(untranslated).toEqual([]);
  expect(items.map((type) => type.id).filter((id) => !koTypes[id])).toEqual([]);
});
