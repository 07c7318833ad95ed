import { expect, it } from 'vitest';
import type { Credential, Trigger } from '../../api/types';
import { curlSample } from './sample';

const trigger = (change: Partial<Trigger> = {}): Trigger => ({ workflow: 'w', id: 'form', type: 'webhook', methods: ['POST'], ...change });
const url = 'https://flow.example/hooks/orders/{id}';
const known = (type: string, fields: Record<string, unknown> = {}) => ({ type, fields }) as Credential;
const sample = (type: string, fields?: Record<string, unknown>) =>
  curlSample({ trigger: trigger({ credential: 'c' }), url, credential: known(type, fields) });

it('needs nothing but the URL when it is public', () => {
  expect(curlSample({ trigger: trigger(), url })).toBe(
    `curl -X POST 'https://flow.example/hooks/orders/id' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"hello": "world"}'`,
  );
});

it('sends no body with GET, and the delivery id where it is read', () => {
  const text = curlSample({ trigger: trigger({ methods: ['GET', 'POST'] }), url, dedupe: "{{ trigger.request.headers['x-delivery-id'] }}" });
  expect(text).toBe(`curl -X GET 'https://flow.example/hooks/orders/id' \\\n  -H 'x-delivery-id: delivery-1'`);
});

it.each([
  ['basic_auth', { username: "o'neil" }, `-u 'o'\\''neil:THE_SECRET'`],
  ['bearer_token', {}, `-H 'Authorization: Bearer THE_SECRET'`],
  ['api_key', { key: 'X-Key', in: 'header' }, `-H 'X-Key: THE_SECRET'`],
  ['api_key', { key: 'k', in: 'query' }, `orders/id?k=THE_SECRET'`],
  ['api_key', { key: 'k', in: 'cookie' }, `-b 'k=THE_SECRET'`],
  ['signing', {}, `-H "webhook-signature: v1,$signature"`],
])('shows how to authenticate: %s %j', (type, fields, part) => {
  expect(sample(type, fields)).toContain(part);
});

it('says nothing wrong about what it does not know', () => {
  for (const text of [sample('signing', { scheme: 'hmac' }), curlSample({ trigger: trigger({ credential: 'c' }), url })]) {
    expect(text).not.toContain('SECRET');
  }
});
