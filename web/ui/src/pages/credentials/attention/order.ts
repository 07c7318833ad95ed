import type { Credential } from '../../../api/types';

/** What somebody has to do about a credential, or that it passes by itself. */
export type Remedy = 'connect' | 'reconnect' | 'newSecret' | 'wait' | 'extend' | 'rotate' | 'look';

/** One line of "what will stop working". */
export type Concern = {
  credential: Credential;
  /** Whether it does not work already. */
  stopped: boolean;
  /** Since when it does not work, or when it stops. */
  at: string | null;
  remedy: Remedy;
};

const remedies: Partial<Record<Credential['state']['status'], Remedy>> = {
  needs_connect: 'connect',
  needs_reconnect: 'reconnect',
  refused: 'newSecret',
  quota: 'wait',
};

/** What is wrong with a credential, or will be. */
export function concernOf(credential: Credential): Concern {
  const { state, expires } = credential;
  const remedy = remedies[state.status];
  if (remedy) return { credential, stopped: true, at: state.since, remedy };
  if (!expires) return { credential, stopped: false, at: state.since, remedy: 'look' };
  return {
    credential,
    // Age is only a reminder: calls go on with secrets that are due.
    stopped: expires.reason === 'expires_at' && state.status === 'expired',
    at: expires.at,
    remedy: expires.reason === 'rotate_every' ? 'rotate' : 'extend',
  };
}

/** What does not work first, the longest first; then what stops, the soonest first. */
export function inOrder(items: Credential[]): Concern[] {
  const time = (concern: Concern) => (concern.at === null ? Number.POSITIVE_INFINITY : Date.parse(concern.at));
  return items
    .map(concernOf)
    .sort((a, b) => Number(b.stopped) - Number(a.stopped) || time(a) - time(b) || a.credential.id.localeCompare(b.credential.id));
}
