import { expect, it } from 'vitest';
import { eventText, typeFor } from './eventtext';

it('writes a CloudEvent and changes no digit of its data', () => {
  const text = eventText({ id: '1', type: 'com.example.a', source: '/a"b', data: '{"n": 9007199254740993}' });
  expect(text).toContain('"data":{"n": 9007199254740993}}');
  expect(JSON.parse(text)).toMatchObject({ specversion: '1.0', id: '1', type: 'com.example.a', source: '/a"b' });
});

it('finds a type for a pattern', () => {
  expect(['com.example.*', '*', 'exact.type'].map(typeFor)).toEqual(['com.example.test', 'test', 'exact.type']);
});
