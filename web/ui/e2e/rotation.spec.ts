// Rotation: new values beside the present ones, a wrong one caught by the test, promotion,
// the way back; and secrets that are kept elsewhere.
import type { Page } from '@playwright/test';
import { add, expect, fill, hidden, open, prepared, send, test, type World } from './fixtures';

const name = 'it@acme.kr';
const right = 'rotation-canary-right-1';
const wrong = 'rotation-canary-wrong-2';

let world: World;
let api: string;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000); // builds the binary
  world = await prepared(browser, '--secret-sources', 'env:E2E_');
  api = await world.processes.api(name, right, 'unused-key-3');
  const page = await browser.newPage();
  await signIn(page, '/credentials');
  const common = { type: 'basic_auth', allowed_hosts: [`http://${new URL(api).host}`] };
  const fields = { username: name, password: 'rotation-canary-old-0' };
  await send(page, world, 'POST', '/credentials', { id: 'erp', name: 'ERP', fields, ...common, test_url: `${api}/basic` });
  await send(page, world, 'POST', '/credentials', { id: 'blind', name: 'Blind', fields, ...common });
  await page.close();
});

test.afterAll(async () => {
  await world.processes.stop();
});

const signIn = (page: Page, path: string) => open(page, world.keyflow.url + path);

test('catches a wrong secret before it is promoted', async ({ page, look }) => {
  await signIn(page, '/credentials/erp');
  await page.getByRole('link', { name: 'Rotate' }).click();
  const keep = page.getByRole('button', { name: 'Save and continue to the test' });
  await expect(keep).toBeDisabled();
  await hidden(page, 'Password').fill(wrong);
  await look('rotation-values');
  await keep.click();
  await page.getByRole('button', { name: 'Test the new values' }).click();
  await expect(page.getByText('Test failed')).toBeVisible();
  await look('rotation-test-failed');
  expect(await page.content()).not.toContain(wrong);

  await page.getByRole('button', { name: 'Continue without a passed test' }).click();
  const promote = page.getByRole('button', { name: 'Promote', exact: true });
  await expect(promote).toBeDisabled();
  await look('rotation-promote-untested');
  await page.getByRole('button', { name: 'Back to the test' }).click();
  await expect(page.getByText('Test failed')).toBeVisible();
});

test('goes on with what was entered before, promotes it and rolls back', async ({ page, look }) => {
  await signIn(page, '/credentials/erp');
  await expect(page.getByText('New values are waiting')).toBeVisible();
  await look('rotation-waiting');
  await page.getByRole('link', { name: 'Continue the rotation' }).click();
  await expect(page.getByText('There are unfinished new values')).toBeVisible();
  await look('rotation-found');
  await page.getByRole('button', { name: 'Change the values' }).click();
  await hidden(page, 'Password').fill(right);
  await page.getByRole('button', { name: 'Save and continue to the test' }).click();
  await page.getByRole('button', { name: 'Test the new values' }).click();
  await expect(page.getByText('Test passed')).toBeVisible();
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.getByRole('switch', { name: 'Fall back automatically if the new version fails' }).check();
  await look('rotation-promote');
  await page.setViewportSize({ width: 420, height: 860 });
  await look('rotation-promote-narrow');
  await page.setViewportSize({ width: 1360, height: 860 });
  await page.getByRole('button', { name: 'Promote', exact: true }).click();
  await expect(page.getByText('Version 2 is in use')).toBeVisible();
  await expect(page.getByText('Falls back to version 1 automatically')).toBeVisible();
  await look('rotation-done');

  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await expect(page.getByText('Rolled back: version 3 is in use')).toBeVisible();
  await page.getByRole('link', { name: 'Go to the credential' }).click();
  await page.getByRole('tab', { name: 'Versions' }).click();
  const versions = page.getByRole('table', { name: 'Versions' });
  await expect(versions.getByRole('row', { name: 'Version 2' })).toContainText('by a rotation');
});

test('discards what was entered', async ({ page }) => {
  await signIn(page, '/credentials/erp/rotate');
  await hidden(page, 'Password').fill(wrong);
  await page.getByRole('button', { name: 'Save and continue to the test' }).click();
  await page.reload();
  await page.getByRole('button', { name: 'Discard them' }).click();
  await expect(page.getByRole('button', { name: 'Save and continue to the test' })).toBeDisabled();
  const { candidate } = await send(page, world, 'GET', '/credentials/erp');
  expect(candidate).toBeNull();
});

test('promotes without a test only when that is agreed to', async ({ page, look }) => {
  await signIn(page, '/credentials/blind/rotate');
  await hidden(page, 'Password').fill(right);
  await page.getByRole('button', { name: 'Save and continue to the test' }).click();
  await page.getByRole('button', { name: 'Test the new values' }).click();
  await expect(page.getByText('The credential has no test URL')).toBeVisible();
  await page.getByRole('button', { name: 'Continue without a passed test' }).click();
  await expect(page.getByRole('switch', { name: 'Fall back automatically if the new version fails' })).toBeDisabled();
  await page.getByRole('checkbox', { name: /^Promote them anyway/ }).check();
  await look('rotation-promote-forced');
  await page.getByRole('button', { name: 'Promote', exact: true }).click();
  await expect(page.getByText('Version 2 is in use')).toBeVisible();
});

test('refers to a secret that is kept elsewhere', async ({ page, look }) => {
  await signIn(page, '/credentials/new');
  await fill(page, 'Name', 'Elsewhere');
  await fill(page, 'Username', name);
  await add(page, 'Allowed hosts', `http://${new URL(api).host}`);
  await page.getByRole('button', { name: 'Reference: Password' }).click();
  const reference = page.getByRole('textbox', { name: 'Password: Location of the value' });
  await reference.fill('file:/etc/passwd');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert').first()).toContainText('/fields/password');
  await look('credential-reference');
  await reference.fill('env:E2E_PASSWORD');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('group', { name: 'Password' })).toContainText('Stored externally: env:E2E_PASSWORD');
});
