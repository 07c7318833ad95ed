// Connecting an OAuth credential: the provider's page in a window of its own, and two ways
// to learn the end. The result page's message comes through a BroadcastChannel; the server
// is asked as well. Neither `opener` nor `closed` means anything: a provider's opener policy
// cuts the first and sets the second at once.
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { queries } from '../../api/queries';
import { credentials } from '../../api/resources';
import type { Credential } from '../../api/types';

export const channelName = 'keyflow.credential.connect';
export const pollInterval = 2_000;
const giveUpAfter = 10 * 60_000;

export type ConnectPhase = 'idle' | 'starting' | 'waiting' | 'connected' | 'refused' | 'timeout' | 'blocked';

type State = Pick<Credential, 'state'>;

/** Whether the server's state shows that a connect begun at `before` has succeeded. */
export function hasConnected(before: State, now: State): boolean {
  return now.state.status === 'ok' && (before.state.status !== 'ok' || before.state.since !== now.state.since);
}

/** The result page's message, when it is one about this credential; a failure may name none. */
export function readMessage(data: unknown, id: string): boolean | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const message = data as { id?: unknown; ok?: unknown };
  if (message.id === '' && message.ok === false) return false;
  return message.id === id ? message.ok === true : undefined;
}

function isWebURL(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);
}

export function useConnect(credential: Credential) {
  const client = useQueryClient();
  const [phase, setPhase] = useState<ConnectPhase>('idle');
  const [error, setError] = useState<unknown>(null);
  const before = useRef<State>(credential);
  const { id } = credential;

  useEffect(() => {
    if (phase !== 'waiting') return;
    const refresh = () => client.invalidateQueries({ queryKey: queries.credential(id).queryKey });
    const end = (ok: boolean) => {
      setPhase(ok ? 'connected' : 'refused');
      void refresh();
    };
    const channel = new BroadcastChannel(channelName);
    channel.onmessage = (event) => {
      const ok = readMessage(event.data, id);
      if (ok !== undefined) end(ok);
    };
    const began = Date.now();
    const timer = setInterval(() => {
      if (Date.now() - began > giveUpAfter) setPhase('timeout');
      else credentials.get(id).then((now) => hasConnected(before.current, now) && end(true), setError);
    }, pollInterval);
    return () => {
      channel.close();
      clearInterval(timer);
    };
  }, [phase, id, client]);

  const authorizationURL = async () => {
    before.current = credential;
    setError(null);
    setPhase('starting');
    const url = await credentials.connect(id);
    if (!isWebURL(url)) throw new Error('the authorization URL is no http or https URL');
    return url;
  };
  const fail = (cause: unknown) => {
    setError(cause);
    setPhase('idle');
  };

  /** Opens the provider's page; must be called by a click, or browsers block the window. */
  const start = () => {
    const opened = window.open('', 'keyflow-connect', 'popup,width=640,height=780');
    // The provider's page must not steer this one; in turn this one cannot close it any more.
    // The result page closes itself.
    if (opened) opened.opener = null;
    authorizationURL().then(
      (url) => {
        opened?.location.replace(url);
        setPhase(opened ? 'waiting' : 'blocked');
      },
      (cause: unknown) => {
        opened?.close(); // still empty and ours
        fail(cause);
      },
    );
  };
  /** Leaves this page for the provider's; its result page leads back. */
  const startHere = () => {
    authorizationURL().then((url) => window.location.assign(url), fail);
  };
  const cancel = () => setPhase('idle');
  return { phase, error, start, startHere, cancel };
}
