import { expect, it } from 'vitest';
import { forEach } from './bulk';

it('does each once, a few at a time, and tells what was refused', async () => {
  let under = 0;
  let most = 0;
  const seen: number[] = [];
  const refused = await forEach(
    Array.from({ length: 20 }, (_, i) => i),
    async (item) => {
      most = Math.max(most, ++under);
      await Promise.resolve();
      under--;
      seen.push(item);
      if (item % 10 === 3) throw new Error(`no ${String(item)}`);
    },
  );
  expect(refused.sort()).toEqual(['no 13', 'no 3']);
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(most).toBe(4);
});
