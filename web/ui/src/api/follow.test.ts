import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { followRun, type StreamState } from './follow';
import type { RunUpdate } from './types';

// A connection whose pieces the test gives, one after the other.
class Connection {
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.controller = controller) });

  constructor(readonly lastEventID: string | null, signal: AbortSignal) {
    signal.addEventListener('abort', () => this.controller?.error(new Error('aborted')));
  }
  send(text: string) {
    this.controller?.enqueue(new TextEncoder().encode(text));
  }
  end() {
    this.controller?.close();
  }
}

let connections: Connection[];
let answer: () => Response | null; // null: a stream
let states: StreamState[];
let updates: RunUpdate[][];
let ended: number;

const settle = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);
const step = (id: number, status: string) => `event: step\nid: ${String(id)}\ndata: {"node":"a","status":"${status}"}\n\n`;
const run = (id: number, status: string) => `event: run\nid: ${String(id)}\ndata: {"id":"1","status":"${status}"}\n\n`;

beforeEach(() => {
  vi.useFakeTimers();
  connections = [];
  states = [];
  updates = [];
  ended = 0;
  answer = () => null;
  vi.stubGlobal('fetch', (_url: string, init: RequestInit) => {
    const given = answer();
    if (given) return Promise.resolve(given);
    const last = (init.headers as Record<string, string>)['Last-Event-ID'] ?? null;
    const connection = new Connection(last, init.signal as AbortSignal);
    connections.push(connection);
    return Promise.resolve(new Response(connection.body));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const follow = () =>
  followRun('1', { onState: (state) => states.push(state), onUpdates: (batch) => updates.push(batch), onEnd: () => ended++ });

it('gathers updates, ends with the run', async () => {
  follow();
  await settle();
  connections[0]?.send(run(1, 'running') + step(2, 'running'));
  await settle(10);
  connections[0]?.send(step(3, 'succeeded'));
  await settle(200);
  expect(updates.map((batch) => batch.length)).toEqual([3]);
  connections[0]?.send(run(4, 'succeeded'));
  connections[0]?.end();
  await settle(200);
  expect([states, updates.length, ended, connections.length]).toEqual([['live'], 2, 1, 1]);
});

it('goes on after a cut where it stopped', async () => {
  follow();
  await settle();
  connections[0]?.send(run(1, 'running') + step(41, 'running'));
  await settle();
  connections[0]?.end();
  await settle(1_000);
  expect(connections[1]?.lastEventID).toBe('41');
  connections[1]?.send(':\n\n');
  await settle();
  expect(states).toEqual(['live', 'reconnecting', 'live']);
});

it('gives up a stream that is silent', async () => {
  follow();
  await settle();
  connections[0]?.send(':\n\n');
  await settle(15_000);
  expect(states).toEqual(['live']);
  await settle(2_000);
  expect([states, connections.length]).toEqual([['live', 'reconnecting'], 2]);
});

it('says that it is blocked after three failures, and still tries', async () => {
  answer = () => new Response('', { status: 502 });
  follow();
  await settle(10_000);
  expect(states).toEqual(['reconnecting', 'blocked']);
  answer = () => null;
  await settle(10_000);
  connections[0]?.send(':\n\n');
  await settle();
  expect(states).toEqual(['reconnecting', 'blocked', 'live']);
});

it.each([
  ['nothing more will come', 204],
  ['the run is gone', 404],
])('ends when %s', async (_name, status) => {
  answer = () => new Response(status === 204 ? null : '{}', { status });
  follow();
  await settle(60_000);
  expect([states, ended]).toEqual([[], 1]);
});

it('tells nothing after it was stopped', async () => {
  const stop = follow();
  await settle();
  connections[0]?.send(run(1, 'running'));
  await settle(10);
  stop();
  await settle(60_000);
  expect([states, updates, ended, connections.length]).toEqual([['live'], [], 0, 1]);
});
