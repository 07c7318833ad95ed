import { defineConfig } from '@playwright/test';

// Runs against the real binary and Debian's Chromium. Browsers are never downloaded.
export default defineConfig({
  testDir: '.',
  outputDir: 'output/artifacts',
  timeout: 240_000,
  expect: { timeout: 15_000 },
  fullyParallel: false,
  workers: 2, // each file has processes of its own
  retries: 0,
  forbidOnly: true,
  reporter: 'list',
  use: {
    actionTimeout: 15_000,
    navigationTimeout: 30_000,
    locale: 'en-US',
    timezoneId: 'Asia/Seoul',
    viewport: { width: 1360, height: 860 },
    contextOptions: { reducedMotion: 'reduce' },
    launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
    trace: 'retain-on-failure',
  },
});
