// The one way to the server: every request goes through `request`, every failure is an
// ApiError, and a lost session is announced once to whoever listens.
import { parseJSON, stringify } from './json';
import type { Problem } from './types';

/** The path under which the page is served, without a slash at its end. */
export const basePath = new URL('.', import.meta.env.PROD ? import.meta.url : document.baseURI).pathname.replace(/\/$/, '');

/** A failed request: an answer that says why (problem+json), or no answer at all (status 0). */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly requestID: string,
    readonly problems: Problem[],
    /** The whole answer, for members beyond RFC 9457 such as `usages`. */
    readonly body: Record<string, unknown> = {},
  ) {
    super(detail || title);
  }

  /** The messages for one place of the input, named by JSON pointer, and everything below it. */
  at(pointer: string): string[] {
    return this.problems
      .filter((p) => p.path === pointer || p.path?.startsWith(pointer + '/'))
      .map((p) => p.message);
  }
}

export type Answer<T> = { data: T; etag: string | null; status: number };

export type RequestOptions = {
  body?: unknown;
  /** The revision the caller saw; a newer one on the server makes the answer 412. */
  ifMatch?: string | null;
  headers?: Record<string, string>;
  signal?: AbortSignal;
};

type SessionListener = () => void;
const listeners = new Set<SessionListener>();

/** Calls the listener whenever the server says that nobody is signed in. */
export function onSignedOut(listener: SessionListener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Sends a request to `/api/v1` + path and gives the parsed answer, or throws an ApiError. */
export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (options.ifMatch) headers['If-Match'] = options.ifMatch;
  let body: string | undefined;
  if (options.body !== undefined) {
    headers['Content-Type'] ??= 'application/json';
    body = typeof options.body === 'string' ? options.body : stringify(options.body);
  }

  let response: Response;
  let text: string;
  try {
    response = await fetch(`${basePath}/api/v1${path}`, {
      method,
      headers,
      body,
      signal: options.signal,
      credentials: 'same-origin',
    });
    text = await response.text();
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new ApiError(0, 'unreachable', '', '', []);
  }
  if (!response.ok) {
    const error = parseProblem(response, text);
    if (error.status === 401 && path !== '/session') listeners.forEach((listener) => listener());
    throw error;
  }
  const data = text === '' ? undefined : parseJSON(text);
  return { data: data as T, etag: response.headers.get('ETag'), status: response.status };
}

/**
 * Opens a stream of server-sent events below `/api/v1`; null when nothing more will come
 * (204). Throws an ApiError as `request` does.
 */
export async function openStream(
  path: string,
  lastEventID: string,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array> | null> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (lastEventID) headers['Last-Event-ID'] = lastEventID;
  const response = await fetch(`${basePath}/api/v1${path}`, { headers, signal, credentials: 'same-origin' });
  if (response.status === 204) return null;
  if (!response.ok || !response.body) {
    const error = parseProblem(response, await response.text());
    if (error.status === 401) listeners.forEach((listener) => listener());
    throw error;
  }
  return response.body;
}

function parseProblem(response: Response, text: string): ApiError {
  const parsed = parseJSON(text);
  const body = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  const string = (key: string) => (typeof body[key] === 'string' ? body[key] : '');
  const problems = Array.isArray(body.errors) ? (body.errors as Problem[]) : [];
  return new ApiError(
    response.status,
    string('title') || response.statusText || String(response.status),
    string('detail'),
    string('request_id') || (response.headers.get('X-Request-Id') ?? ''),
    problems.filter((p) => typeof p.message === 'string'),
    body,
  );
}

/** A query string of the given parameters, without the empty ones; "" or "?a=b". */
export function query(params: Record<string, string | number | boolean | undefined | null>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}
