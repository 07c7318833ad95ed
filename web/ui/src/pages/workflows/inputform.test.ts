import { expect, it } from 'vitest';
import { parseJSON } from '../../api/json';
import { defaultsOf, fieldsOf, inputText, problemOf, valuesOf } from './inputform';

const schema = {
  type: 'object',
  required: ['email'],
  properties: {
    email: { type: 'string', title: 'E-mail', description: 'Of the person' },
    level: { enum: ['low', 'high'], default: 'low' },
    count: { type: 'integer', default: 3 },
    urgent: { type: 'boolean' },
    ids: { type: 'array', items: { type: 'integer' } },
  },
};
const fields = fieldsOf(schema);

it('has a field for each property', () => {
  expect(fields.map(({ name, kind, title, required }) => [name, kind, title, required])).toEqual([
    ['email', 'text', 'E-mail', true],
    ['level', 'choice', 'level', false],
    ['count', 'number', 'count', false],
    ['urgent', 'boolean', 'urgent', false],
    ['ids', 'json', 'ids', false],
  ]);
  expect(defaultsOf(schema)).toEqual({ level: 'low', count: 3 });
});

it.each([undefined, null, true, 'x', [], {}, { type: 'string' }, { properties: [] }])('has none for %j', (wrong) => {
  expect(fieldsOf(wrong)).toEqual([]);
  expect(defaultsOf(wrong)).toEqual({});
});

it('writes what was typed, nothing for what was not, and keeps every digit', () => {
  const values = { email: 'a "b"', level: '', count: '9007199254740993', urgent: 'false', ids: '[1, 2]' };
  const text = inputText(fields, values);
  expect(text).toBe('{\n  "email": "a \\"b\\"",\n  "count": 9007199254740993,\n  "urgent": false,\n  "ids": [1, 2]\n}');
  expect(valuesOf(fields, parseJSON('{"email": "x", "ids": [1], "urgent": true}'))).toEqual({ email: 'x', ids: '[1]', urgent: 'true' });
  expect(inputText(fields, {})).toBe('{}');
});

it.each([
  ['another property', { other: 1 }],
  ['a text that is none', { email: 7 }],
  ['a list', []],
  ['nothing', null],
])('cannot show an input with %s', (_name, input) => {
  expect(valuesOf(fields, input)).toBeNull();
});

it('says what is no number and no JSON', () => {
  const problem = (name: string, value: string) => fields.filter((each) => each.name === name).map((each) => problemOf(each, value))[0];
  expect([problem('count', '1e3'), problem('count', 'many'), problem('count', ''), problem('count', '01')]).toEqual([null, 'notNumber', null, 'notNumber']);
  expect([problem('ids', '[1'), problem('ids', '[1]'), problem('email', '[1')]).toEqual(['notJson', null, null]);
});
