// Looking after credentials: who uses one, what it did, its versions, the encryption keys.
import type { Page } from '@playwright/test';
import { add, choose, expect, fill, hidden, open, prepared, send, test, type World } from './fixtures';

const user = { name: 'it@acme.kr', first: 'care-canary-first-1', password: 'care-canary-right-2' };
const key = 'care-canary-key-3';

let world: World;
let api: string;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000); // builds the binary
  world = await prepared(browser);
  api = await world.processes.api(user.name, user.password, key);
  const page = await browser.newPage();
  await signIn(page, '/credentials');
  await prepare(page);
  await page.close();
});

test.afterAll(async () => {
  await world.processes.stop();
});

const host = () => `http://${new URL(api).host}`;

// A credential with a right password, a second one nobody uses, a workflow and its run.
async function prepare(page: Page) {
  const common = { type: 'basic_auth', allowed_hosts: [host()], test_url: `${api}/basic`, allowed_workflows: ['/**'] };
  const fields = { username: user.name, password: user.password };
  await send(page, world, 'POST', '/credentials', { id: 'erp', name: 'ERP', fields, ...common });
  await send(page, world, 'POST', '/credentials', { id: 'spare', name: 'Spare', fields, ...common });
  const call = { type: 'web_request', credential: 'erp', with: { url: `${api}/basic` } };
  await send(page, world, 'PUT', '/workflows/sync', { id: 'sync', name: 'Sync', nodes: { fetch: call, again: { ...call, needs: ['fetch'] } } });
  await send(page, world, 'POST', '/workflows/sync/runs?wait=30s', { input: {} });
}

const signIn = (page: Page, path: string) => open(page, world.keyflow.url + path);

test('makes a credential from a preset', async ({ page, look }) => {
  await signIn(page, '/credentials/new');
  await choose(page, 'Preset', 'Adobe Marketo');
  await fill(page, 'Munchkin account ID', 'nonsense');
  await expect(page.getByText('Format:')).toBeVisible();
  await fill(page, 'Munchkin account ID', '123-ABC-456');
  await fill(page, 'Client ID', 'keyflow');
  await hidden(page, 'Client Secret').fill(user.first);
  await look('credential-new-preset');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Adobe Marketo' })).toBeVisible();
  await page.getByRole('button', { name: /^More 2 set/ }).click();
  await expect(page.getByRole('textbox', { name: 'Concurrency' })).toHaveValue('5');
  await expect(page.getByRole('group', { name: 'Rule 1' }).getByRole('combobox', { name: 'Then' })).toHaveValue('Renew the token');
  await look('credential-preset-more');
});

test('asks before an edit reaches workflows, and not about a name', async ({ page, look }) => {
  await signIn(page, '/credentials/erp');
  await fill(page, 'Description', 'Of the head office');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved ERP')).toBeVisible();

  await page.getByRole('button', { name: 'Replace: Password' }).click();
  await hidden(page, 'Password').fill(user.first);
  await page.getByRole('button', { name: 'Save' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('1 workflow uses this credential');
  await expect(dialog.getByRole('listitem')).toHaveCount(2);
  await look('credential-affected');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('tab', { name: 'Versions' })).toContainText('1');
  await page.getByRole('button', { name: 'Save' }).click();
  await dialog.getByRole('button', { name: 'Save for all of them' }).click();
  await expect(page.getByRole('tab', { name: 'Versions' })).toContainText('2');
});

test('shows the trace of a test as a person reads it', async ({ page, look }) => {
  await signIn(page, '/credentials/erp');
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(page.getByText('Test failed')).toBeVisible();
  await page.getByRole('button', { name: 'Request and response' }).click();
  await expect(page.getByText(`GET ${api}/basic`)).toBeVisible();
  await look('credential-test-trace');
  expect(await page.content()).not.toContain(user.first);
});

test('rolls back to an earlier version', async ({ page, look }) => {
  await signIn(page, '/credentials/erp?tab=versions');
  const versions = page.getByRole('table', { name: 'Versions' });
  await expect(versions.getByRole('row')).toHaveCount(3);
  await expect(versions.getByRole('row', { name: 'Version 1' })).toContainText('differs');
  await look('credential-versions');
  await page.getByRole('button', { name: 'Roll back to version 1' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('creates version 3');
  await look('credential-rollback');
  await dialog.getByRole('button', { name: 'Roll back' }).click();
  await expect(versions.getByRole('row', { name: 'Version 3' })).toContainText('by a rollback');
  await page.getByRole('tab', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(page.getByText('Test passed')).toBeVisible();
});

test('shows where it is used and every call', async ({ page, look }) => {
  await signIn(page, '/credentials/erp?tab=usages');
  const usages = page.getByRole('table', { name: 'Used by' });
  await expect(usages.getByRole('row')).toHaveCount(3);
  await expect(usages).toContainText('Referenced in the definition');
  await look('credential-usages');
  await page.getByRole('tab', { name: 'Calls' }).click();
  await expect(page).toHaveURL(/tab=uses$/);
  const calls = page.getByRole('table', { name: 'Calls' });
  await expect(calls.getByRole('row')).toHaveCount(3);
  await look('credential-uses');
  await calls.getByRole('link', { name: 'sync' }).first().click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('sync');
});

test('refuses to send a stored secret elsewhere, at its place, and loses nothing of the form', async ({ page, look }) => {
  await signIn(page, '/credentials/spare');
  const refusal = 'this change could send the stored secret somewhere new';
  await fill(page, 'Description', 'Kept while it is fixed');
  await add(page, 'Allowed hosts', 'elsewhere.example');
  await fill(page, 'Test URL', 'https://elsewhere.example/me');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert').first()).toContainText(refusal);
  for (const label of ['Allowed hosts', 'Test URL']) {
    await expect(page.getByLabel(label, { exact: false }).first()).toHaveAccessibleDescription(new RegExp(refusal));
  }
  await expect(page.getByRole('textbox', { name: 'Description' })).toHaveValue('Kept while it is fixed');
  await expect(page.getByRole('textbox', { name: 'Test URL' })).toHaveValue('https://elsewhere.example/me');
  await expect(page.getByText('elsewhere.example', { exact: true })).toBeVisible();
  await look('credential-widening');
  const stored = await send(page, world, 'GET', '/credentials/spare');
  expect(stored.allowed_hosts).toEqual([host()]);

  await page.getByRole('button', { name: 'Replace: Password' }).click();
  await hidden(page, 'Password').fill(user.password);
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved Spare')).toBeVisible();
  expect((await send(page, world, 'GET', '/credentials/spare')).allowed_hosts).toEqual([host(), 'elsewhere.example']);

  const token = { grant_type: 'client_credentials', access_token_url: 'https://a.example/token', client_id: 'c', client_secret: user.password };
  await send(page, world, 'POST', '/credentials', { id: 'service', name: 'Service', type: 'oauth2', fields: token, allowed_hosts: ['a.example'] });
  await page.goto(`${world.keyflow.url}/credentials/service`);
  await fill(page, 'Access Token URL', 'https://evil.example/token');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('textbox', { name: 'Access Token URL' })).toHaveAccessibleDescription(new RegExp(refusal));
  await expect(page.getByRole('textbox', { name: 'Access Token URL' })).toHaveValue('https://evil.example/token');
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await expect(page.getByRole('textbox', { name: 'Access Token URL' })).toHaveValue('https://a.example/token');
});

test('edits limits and failure rules, and shows what is wrong at its place', async ({ page, look }) => {
  await signIn(page, '/credentials/spare');
  await page.getByRole('button', { name: /^More limits/ }).click();
  await fill(page, 'Requests', 'many');
  await fill(page, 'Per', '1m');
  await page.getByRole('button', { name: 'Add a rule' }).click();
  const rule = page.getByRole('group', { name: 'Rule 1' });
  await rule.getByRole('textbox', { name: 'Body' }).fill('response.body.success ==');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert').first()).toContainText('/limits');
  await look('credential-more');
  await fill(page, 'Requests', '50');
  await rule.getByRole('textbox', { name: 'Body' }).fill('response.body.success == false');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved Spare')).toBeVisible();
  await page.reload();
  await page.getByRole('button', { name: /^More 2 set/ }).click();
  await expect(page.getByRole('textbox', { name: 'Requests' })).toHaveValue('50');
  await page.getByRole('button', { name: 'Remove rule 1' }).click();
  await fill(page, 'Requests', '');
  await fill(page, 'Per', '');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('button', { name: /^More limits/ })).toBeVisible();
});

test('rotates the encryption key', async ({ page, look }) => {
  await signIn(page, '/keys');
  const keys = page.getByRole('table', { name: 'Keys' });
  await expect(keys.getByRole('row')).toHaveCount(2);
  await look('keys');
  await page.getByRole('button', { name: 'Rotate the key' }).click();
  const dialog = page.getByRole('dialog');
  await look('keys-rotate');
  await dialog.getByRole('button', { name: 'Rotate the key' }).click();
  await expect(keys.getByRole('row')).toHaveCount(3);
  await expect(keys.getByRole('row').nth(1)).toContainText('0');
  await look('keys-rotated');
});
