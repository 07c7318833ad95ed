// A page that is watched: whatever violates the content security policy, throws or logs an
// error fails the test, and `look` checks a screen for accessibility and keeps a picture.
import AxeBuilder from '@axe-core/playwright';
import { expect, test as base, type Browser, type Locator, type Page } from '@playwright/test';
import { Processes, type Keyflow } from './processes';

export type Look = (name: string) => Promise<void>;

export const password = 'correct horse battery staple';

export const test = base.extend<{ troubles: string[]; look: Look }>({
  troubles: [
    async ({ context }, provide) => {
      const troubles: string[] = [];
      context.on('page', (page) => watch(page, troubles));
      await provide(troubles);
      expect(troubles).toEqual([]);
    },
    { auto: true },
  ],
  look: async ({ page }, provide) => {
    await provide(async (name) => {
      for (const scheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
        await page.evaluate(() => new Promise(requestAnimationFrame));
        await page.screenshot({ path: `e2e/output/${name}-${scheme}.png`, fullPage: true });
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
      }
      await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
    });
  },
});

export { expect };

// The browser logs each refused request as an error; those are the page's to show.
const refusal = /^Failed to load resource: the server responded with a status of 4\d\d/;

function watch(page: Page, troubles: string[]) {
  page.on('pageerror', (error) => troubles.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !refusal.test(message.text())) troubles.push(`${page.url()}: ${message.text()}`);
  });
}

/** Makes the first administrator through the one-time link, which signs in. */
export async function setUp(page: Page, link: string) {
  await page.goto(link);
  await fill(page, 'Username', 'admin');
  await hidden(page, 'Password').fill(password);
  await hidden(page, 'Repeat the password').fill(password);
  await page.getByRole('button', { name: 'Create administrator and sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Credentials', exact: true, level: 1 })).toBeVisible();
  expect(page.url()).not.toContain('token');
}

export type World = { processes: Processes; keyflow: Keyflow };

/** A Keyflow that is set up, for tests of what comes later. */
export async function prepared(browser: Browser, ...flags: string[]): Promise<World> {
  const processes = new Processes();
  const keyflow = await processes.keyflow('', ...flags);
  const page = await browser.newPage();
  await setUp(page, keyflow.setupLink);
  await page.close();
  return { processes, keyflow };
}

/** Sends a request to the API with the page's session and gives the answer. */
export async function send(page: Page, { keyflow }: Pick<World, 'keyflow'>, method: string, path: string, data?: unknown) {
  const answer = await page.request.fetch(`${keyflow.url}/api/v1${path}`, { method, data });
  expect(answer.ok(), `${path}: ${await answer.text()}`).toBe(true);
  return (await answer.json()) as Record<string, unknown>;
}

/** Signs in on the way to a page. */
export async function open(page: Page, url: string) {
  await page.goto(url);
  await fill(page, 'Username', 'admin');
  await hidden(page, 'Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Main navigation' })).toBeVisible();
}

/** Fills in a text of a form by its label. */
export async function fill(page: Page, label: string, value: string) {
  await page.getByRole('textbox', { name: label, exact: true }).fill(value);
}

/** The input of a secret, which has no role, by its label with or without the asterisk. */
export function hidden(page: Page, label: string): Locator {
  return page.locator('input[type=password]').and(page.getByLabel(new RegExp(`^${label}( \\*)?$`)));
}

/** Chooses from a list by its label. */
export async function choose(page: Page, label: string, option: string) {
  await page.getByRole('combobox', { name: label, exact: true }).click();
  await page.getByRole('option', { name: option, exact: true }).click();
}

/** Adds an entry to a list of tags. */
export async function add(page: Page, label: string, value: string) {
  const input = page.getByRole('textbox', { name: label }).or(page.getByRole('combobox', { name: label }));
  await input.fill(value);
  await input.press('Enter');
}
