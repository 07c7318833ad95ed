import { replaceEqualDeep } from '@tanstack/react-query';
import { expect, it } from 'vitest';
import { ExactNumber, parseJSON, stringify } from './json';

it.each([
  '12345678901234567890',
  '{"a":[9007199254740993,-0.10,1E400,3,-4.5,0],"b":"12345678901234567890","c":true,"d":null}',
  '["\\\\","\\"12345678901234567890",12345678901234567890]',
  '{"12345678901234567890":{"deep":[[123456789.123456789123]]}}',
])('keeps every digit of %s', (text) => {
  expect(stringify(parseJSON(text))).toBe(text);
});

it('gives plain numbers where they hold the text', () => {
  expect(parseJSON('[1, -2.5, 1e21, 10]')).toEqual([1, -2.5, new ExactNumber('1e21'), 10]);
});

it.each(['', '01', '1.2.3', '12345678901234567890x', '{"a":12345678901234567890', '"open', '.5', '-'])(
  'refuses %j, which is no JSON',
  (text) => {
    expect(parseJSON(text)).toBeUndefined();
  },
);

it('writes an exact number in an indented text', () => {
  expect(stringify(parseJSON('{"id":12345678901234567890}'), 2)).toBe('{\n  "id": 12345678901234567890\n}');
  expect(stringify(undefined)).toBeUndefined();
});

// Answers that are read again share what did not change.
it('survives the sharing of equal parts between two answers', () => {
  const before = parseJSON('{"id":12345678901234567890,"n":1}');
  const after = parseJSON('{"id":12345678901234567891,"n":1}');
  expect(stringify(replaceEqualDeep(before, after))).toBe('{"id":12345678901234567891,"n":1}');
});

it('reads a long text of escapes', () => {
  const text = JSON.stringify('\n"'.repeat(1_000_000));
  expect(stringify(parseJSON(text))).toBe(text);
});
