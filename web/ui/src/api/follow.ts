// Follows one run over a stream: goes on after a cut where it stopped, notices a stream that
// is silent, and says how it is doing.
import { ApiError, openStream } from './client';
import { EventParser, type ServerEvent } from './events';
import { parseJSON } from './json';
import { isUnfinished, type RunSummary, type RunUpdate, type Step } from './types';

/** connecting: the first try; live; reconnecting: cut off; blocked: cut off again and again. */
export type StreamState = 'connecting' | 'live' | 'reconnecting' | 'blocked';

export type Follower = {
  onUpdates: (updates: RunUpdate[]) => void;
  onState: (state: StreamState) => void;
  /** Nothing more will come: the run has ended, or cannot be followed. */
  onEnd: () => void;
};

/** The server shows that it lives every 5 seconds; three of them missing is a dead stream. */
const silence = 16_000;
/** How long updates are gathered, so that a thousand steps are drawn a few times, not a thousand. */
const gather = 150;
const firstPause = 500;
const longestPause = 10_000;
/** After so many failures in a row the reader should ask for the run instead. */
const patience = 3;

/** Follows a run until it ends or the returned function is called. */
export function followRun(run: string, follower: Follower): () => void {
  const stopped = new AbortController();
  void new Following(run, follower, stopped.signal).go();
  return () => stopped.abort();
}

class Following {
  private lastEventID = '';
  private failures = 0;
  private ended = false;
  private state: StreamState = 'connecting';
  private waiting: RunUpdate[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly run: string,
    private readonly follower: Follower,
    private readonly stopped: AbortSignal,
  ) {
    stopped.addEventListener('abort', () => clearTimeout(this.timer));
  }

  async go(): Promise<void> {
    for (;;) {
      const ended = await this.read();
      if (this.stopped.aborted) return;
      this.flush();
      if (ended) return this.follower.onEnd();
      this.failures++;
      this.tell(this.failures < patience ? 'reconnecting' : 'blocked');
      await pause(Math.min(firstPause * 2 ** (this.failures - 1), longestPause), this.stopped);
      if (this.stopped.aborted) return;
    }
  }

  /** Reads one connection to its end; true when there is nothing more to come. */
  private async read(): Promise<boolean> {
    const cut = new AbortController();
    const signal = AbortSignal.any([cut.signal, this.stopped]);
    let watchdog = setTimeout(() => cut.abort(), silence);
    try {
      const body = await openStream(`/runs/${encodeURIComponent(this.run)}/events`, this.lastEventID, signal);
      if (body === null) return true;
      const reader = body.getReader();
      const decoder = new TextDecoder();
      const parser = new EventParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return this.ended;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => cut.abort(), silence);
        this.alive();
        parser.push(decoder.decode(value, { stream: true })).forEach((event) => this.take(event));
      }
    } catch (error) {
      return error instanceof ApiError && error.status >= 400 && error.status < 500;
    } finally {
      clearTimeout(watchdog);
    }
  }

  private alive() {
    this.failures = 0;
    this.tell('live');
  }

  private tell(state: StreamState) {
    if (state === this.state || this.stopped.aborted) return;
    this.state = state;
    this.follower.onState(state);
  }

  private take({ event, id, data }: ServerEvent) {
    if (id) this.lastEventID = id;
    const value = parseJSON(data);
    if (typeof value !== 'object' || value === null) return;
    if (event === 'run') {
      const run = value as RunSummary;
      this.ended = !isUnfinished(run.status);
      this.waiting.push({ run });
    }
    if (event === 'step') this.waiting.push({ step: value as Step });
    this.timer ??= setTimeout(() => this.flush(), gather);
  }

  private flush() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.waiting.length > 0 && !this.stopped.aborted) this.follower.onUpdates(this.waiting.splice(0));
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
