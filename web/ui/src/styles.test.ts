import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';

// These look at the built files, which are committed: run `npm run build` first.
const read = (path: string) => readFileSync(new URL(path, `file://${process.cwd()}/`));
const classes = (css: string) => new Set(css.match(/\bm_[0-9a-f]{6,8}\b/g) ?? []);

it('has the rules of every Mantine class that the script uses', () => {
  const known = classes(read('node_modules/@mantine/core/styles.css').toString());
  const used = [...classes(read('dist/vendor.js').toString())].filter((name) => known.has(name));
  const styled = classes(read('dist/app.css').toString());
  expect(used.length).toBeGreaterThan(100);
  expect(used.filter((name) => !styled.has(name))).toEqual([]);
});

it('keeps the first page below 300 KB gzip', () => {
  const files = ['index.html', 'app.js', 'base.js', 'vendor.js', 'runtime.js', 'app.css'];
  const size = files.reduce((sum, file) => sum + gzipSync(read(`dist/${file}`)).length, 0);
  expect(size).toBeLessThan(300_000);
  const scripts = files.filter((file) => file.endsWith('.js'));
  const loaded = scripts.flatMap((file) => [...read(`dist/${file}`).toString().matchAll(/from"\.\/([^"]+)"/g)].map((m) => m[1]));
  expect(loaded.filter((file) => !files.includes(file ?? ''))).toEqual([]);
});
