import { afterEach, expect, it, vi } from 'vitest';
import { ApiError, onSignedOut, query, request } from './client';

function answer(status: number, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const fetcher = vi.fn<typeof fetch>(() => Promise.resolve(new Response(status === 204 ? null : text, { status, headers })));
  vi.stubGlobal('fetch', fetcher);
  return fetcher;
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof ApiError)) throw new Error(`no ApiError: ${String(error)}`);
  return error;
}

afterEach(() => vi.unstubAllGlobals());

it('gives the body and its revision', async () => {
  const fetcher = answer(200, { id: 'erp' }, { ETag: '"3"' });
  await expect(request('GET', '/credentials/erp')).resolves.toEqual({ data: { id: 'erp' }, etag: '"3"', status: 200 });
  expect(fetcher.mock.calls[0]?.[0]).toBe('/api/v1/credentials/erp');
});

it('sends JSON, If-Match and a given content type', async () => {
  const fetcher = answer(200, {});
  await request('PATCH', '/x', { body: { a: 1 }, ifMatch: '"3"', headers: { 'Content-Type': 'application/merge-patch+json' } });
  expect(fetcher.mock.calls[0]?.[1]).toMatchObject({
    method: 'PATCH',
    body: '{"a":1}',
    headers: { 'If-Match': '"3"', 'Content-Type': 'application/merge-patch+json' },
  });
});

it('sends a text as it is', async () => {
  const fetcher = answer(200, {});
  await request('PUT', '/x', { body: '{"n": 1.10}' });
  expect(fetcher.mock.calls[0]?.[1]?.body).toBe('{"n": 1.10}');
});

it('understands an empty answer', async () => {
  answer(204, '');
  await expect(request('DELETE', '/x')).resolves.toMatchObject({ data: undefined, status: 204 });
});

it('turns problem+json into an error with its places', async () => {
  answer(422, {
    title: 'Unprocessable Entity',
    detail: 'two problems',
    request_id: 'r-1',
    errors: [
      { path: '/fields/key', code: 'required', message: 'is required' },
      { path: '/fields/key/x', code: 'bad', message: 'is bad' },
      { path: '/fields/keyring', code: 'other', message: 'other' },
    ],
    usages: [{ workflow: 'sync' }],
  });
  const error = await failure(request('POST', '/credentials'));
  expect(error).toMatchObject({ status: 422, detail: 'two problems', requestID: 'r-1', message: 'two problems' });
  expect(error.at('/fields/key')).toEqual(['is required', 'is bad']);
  expect(error.body.usages).toEqual([{ workflow: 'sync' }]);
});

it('makes an error of an answer that is no problem document', async () => {
  answer(502, '<html>Bad gateway</html>', { 'X-Request-Id': 'r-2' });
  expect(await failure(request('GET', '/runs'))).toMatchObject({ status: 502, requestID: 'r-2', problems: [] });
});

it('makes an error of no answer at all', async () => {
  vi.stubGlobal('fetch', vi.fn<typeof fetch>(() => Promise.reject(new TypeError('fetch failed'))));
  expect(await failure(request('GET', '/runs'))).toMatchObject({ status: 0, title: 'unreachable' });
});

it('announces a lost session, but not a refused sign-in', async () => {
  const listener = vi.fn();
  const stop = onSignedOut(listener);
  answer(401, { title: 'Unauthorized' });
  await failure(request('POST', '/session', { body: {} }));
  expect(listener).not.toHaveBeenCalled();
  await failure(request('GET', '/runs'));
  expect(listener).toHaveBeenCalledOnce();
  stop();
});

it('writes query strings without empty values', () => {
  expect(query({ q: 'a b', type: '', cursor: undefined, limit: 50 })).toBe('?q=a+b&limit=50');
  expect(query({})).toBe('');
});
