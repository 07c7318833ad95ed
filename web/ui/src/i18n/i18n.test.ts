import { expect, it } from 'vitest';
import { en } from './en';
import { koFields, koTypes } from './fields.ko';
import { ko } from './ko';

function flatten(value: object, prefix = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, each] of Object.entries(value)) {
    if (typeof each === 'string') found.set(prefix + key, each);
    else for (const [inner, text] of flatten(each as object, `${prefix}${key}.`)) found.set(inner, text);
  }
  return found;
}

const english = flatten(en);
const korean = flatten(ko);

it('has the same keys in both languages', () => {
  expect([...korean.keys()].sort()).toEqual([...english.keys()].sort());
});

it('has no empty text', () => {
  expect([...english, ...korean].filter(([, text]) => text.trim() === '')).toEqual([]);
});

it('fills in the same values', () => {
  const slots = (text: string) => (text.match(/\{\{\w+\}\}/g) ?? []).sort();
  for (const [key, text] of english) expect([key, slots(korean.get(key) ?? '')]).toEqual([key, slots(text)]);
});

it('is translated, not copied', () => {
  const same = [...english].filter(([key, text]) => korean.get(key) === text).map(([key]) => key);
  expect(same.sort()).toEqual(['form.hostsPlaceholder', 'form.id']);
});

it('has Korean words for every type and every field of the form', () => {
  // That none is missing is checked against the server's types: see fields.ko.ts.
  for (const [name, words] of Object.entries(koTypes)) expect([name, words.label !== '' && words.summary !== '']).toEqual([name, true]);
  for (const [name, words] of Object.entries(koFields)) expect([name, words.label !== '' && words.help !== '']).toEqual([name, true]);
});
