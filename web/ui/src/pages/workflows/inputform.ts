// The form of a run's input, from the workflow's JSON Schema: one field per property of an
// object. Whatever has no field of its own is written as JSON.

import { stringify } from '../../api/json';

export type InputField = {
  name: string;
  kind: 'text' | 'number' | 'boolean' | 'choice' | 'json';
  title: string;
  help: string;
  required: boolean;
  choices: string[];
};

/** As typed: nothing is sent for "". */
export type InputValues = Record<string, string>;

type Schema = Record<string, unknown>;

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The fields for a schema; none when it describes no object with properties. */
export function fieldsOf(schema: unknown): InputField[] {
  if (!isObject(schema) || !isObject(schema.properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties).map(([name, property]) => {
    const given = isObject(property) ? property : {};
    const choices = Array.isArray(given.enum) && given.enum.every((each) => typeof each === 'string') ? given.enum : [];
    return {
      name,
      kind: kindOf(given, choices.length > 0),
      title: typeof given.title === 'string' ? given.title : name,
      help: typeof given.description === 'string' ? given.description : '',
      required: required.includes(name),
      choices,
    };
  });
}

function kindOf({ type }: Schema, hasChoices: boolean): InputField['kind'] {
  if (hasChoices) return 'choice';
  if (type === 'string') return 'text';
  if (type === 'number' || type === 'integer') return 'number';
  return type === 'boolean' ? 'boolean' : 'json';
}

/** What is to be typed for an input; null when the form cannot show all of it. */
export function valuesOf(fields: InputField[], input: unknown): InputValues | null {
  if (!isObject(input)) return null;
  const known = new Map(fields.map((field) => [field.name, field]));
  const values: InputValues = {};
  for (const [name, value] of Object.entries(input)) {
    const field = known.get(name);
    if (!field) return null;
    const plain = field.kind === 'text' || field.kind === 'choice';
    if (plain && typeof value !== 'string') return null;
    values[name] = plain ? String(value) : (stringify(value) ?? '');
  }
  return values;
}

/** The defaults that the schema names. */
export function defaultsOf(schema: unknown): Record<string, unknown> {
  if (!isObject(schema) || !isObject(schema.properties)) return {};
  const given = Object.entries(schema.properties).flatMap(([name, property]) =>
    isObject(property) && 'default' in property ? [[name, property.default] as const] : [],
  );
  return Object.fromEntries(given);
}

export type ValueProblem = 'notNumber' | 'notJson';

/** What is wrong with a value before it is sent; the server checks the rest. */
export function problemOf({ kind }: InputField, value: string): ValueProblem | null {
  if (value.trim() === '') return null;
  if (kind === 'number' && !/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(value.trim())) return 'notNumber';
  return kind === 'json' && !isJSON(value) ? 'notJson' : null;
}

function isJSON(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The input as JSON text. Numbers go as they were typed, so that none loses a digit. */
export function inputText(fields: InputField[], values: InputValues): string {
  const given = fields.filter(({ name }) => (values[name] ?? '').trim() !== '');
  const parts = given.map(({ name, kind }) => {
    const value = values[name] ?? '';
    return `${JSON.stringify(name)}: ${kind === 'text' || kind === 'choice' ? JSON.stringify(value) : value.trim()}`;
  });
  return parts.length === 0 ? '{}' : `{\n  ${parts.join(',\n  ')}\n}`;
}
