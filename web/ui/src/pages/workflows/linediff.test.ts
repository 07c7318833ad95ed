import { expect, it } from 'vitest';
import { lineDiff, type DiffLine } from './linediff';

const short = (lines: DiffLine[] | null) =>
  lines?.map((line) => (line.kind === 'skipped' ? `(${String(line.count)})` : `${{ same: ' ', added: '+', removed: '-' }[line.kind]}${line.text}`));
const text = (...lines: (string | number)[]) => lines.join('\n');

it.each([
  ['nothing', text('a', 'b'), text('a', 'b'), ['(2)']],
  ['a changed line', text('a', 'b', 'c'), text('a', 'x', 'c'), [' a', '-b', '+x', ' c']],
  ['an added line', text('a', 'c'), text('a', 'b', 'c'), [' a', '+b', ' c']],
  ['a removed line at the end', text('a', 'b'), text('a'), [' a', '-b']],
  ['a repeated line', text('a', 'a'), text('a', 'a', 'a'), [' a', ' a', '+a']],
  ['everything', text('a'), text('b'), ['-a', '+b']],
])('tells %s', (_name, from, to, want) => {
  expect(short(lineDiff(from, to))).toEqual(want);
});

it('folds what is far from a change', () => {
  const lines = Array.from({ length: 40 }, (_, i) => i);
  const found = short(lineDiff(text(...lines), text(...lines.slice(0, 20), 'new', ...lines.slice(20))));
  expect(found).toEqual(['(17)', ' 17', ' 18', ' 19', '+new', ' 20', ' 21', ' 22', '(17)']);
});

it('gives up what is too long to compare', () => {
  const many = (word: string) => Array.from({ length: 3_001 }, (_, i) => `${word}${String(i)}`).join('\n');
  expect(lineDiff(many('a'), many('b'))).toBeNull();
});
