import { expect, it } from 'vitest';
import { idOf } from './create';
import { jsonProblem, placeOf } from './jsontext';

it.each(['{}', '[]', ' null ', '{"a": [1, -2.5e3, true, {"b": "\\u00e9\\n"}]}', '"x"'])('accepts %s', (text) => {
  expect(jsonProblem(text)).toBeNull();
});

it.each([
  ['', 1, 1],
  ['{"a": 1,}', 1, 9],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
  ['{\n  "a": tru\n}', 2, 8],
  ['{"a" 1}', 1, 6],
  ['{a: 1}', 1, 2],
  ['[1, 2', 1, 6],
  ['[1 2]', 1, 4],
  ['{"a": 01}', 1, 7],
  ['{} x', 1, 4],
  ['{"a": [}', 1, 8],
  ['"line\nbreak"', 1, 1],
])('finds where %j stops being JSON', (text, line, column) => {
  expect(() => JSON.parse(text) as unknown).toThrow();
  expect(jsonProblem(text)).toEqual({ line, column });
});

it('counts lines and columns from one', () => {
  expect(placeOf('ab\ncd', 4)).toEqual({ line: 2, column: 2 });
});

it('reads the id of a definition', () => {
  expect(idOf('{"id": "sync"}')).toBe('sync');
  expect(idOf('{"id": 5}')).toBe('');
  expect(idOf('{')).toBe('');
});
