import { Text } from '@mantine/core';
import { useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { absoluteTime, duration, elapsed, relativeTime } from '../time';

// One clock for the page: ticks each second while anything that shows a time is mounted.
let now = Date.now();
const subscribers = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(notify: () => void): () => void {
  subscribers.add(notify);
  timer ??= setInterval(() => {
    now = Date.now();
    subscribers.forEach((each) => each());
  }, 1000);
  return () => {
    subscribers.delete(notify);
    if (subscribers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The current time in milliseconds, renewed each second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

type WhenProps = {
  time: string | null | undefined;
  by?: string;
  fallback?: string;
  /** Puts "3 days ago" into a phrase. */
  words?: (relative: string) => string;
};

/** A point in time as "3 days ago", with the exact time on hover and for screen readers. */
export function When({ time, by, fallback = '–', words = (relative) => relative }: WhenProps) {
  const { i18n } = useTranslation();
  const at = useNow();
  if (!time) return <Text span size="sm" c="dimmed">{fallback}</Text>;
  return (
    <time dateTime={time} title={absoluteTime(time, i18n.language)}>
      {words(relativeTime(time, at, i18n.language))}
      {by ? ` · ${by}` : ''}
    </time>
  );
}

/** A point in time in full. */
export function At({ time }: { time: string | null | undefined }) {
  const { i18n } = useTranslation();
  return time ? <time dateTime={time}>{absoluteTime(time, i18n.language)}</time> : <>–</>;
}

/** How long something took, or takes so far. */
export function Took({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  const { i18n } = useTranslation();
  const at = useNow();
  const length = elapsed(from, to, at);
  return <>{length === null ? '–' : duration(length, i18n.language)}</>;
}

/** How long it is until a time, counting down each second; `past` once it has come. */
export function Until({ time, past, words }: { time: string; past: string; words: (left: string) => string }) {
  const { i18n } = useTranslation();
  const left = Date.parse(time) - useNow();
  return (
    <time dateTime={time} title={absoluteTime(time, i18n.language)}>
      {left <= 0 ? past : words(duration(Math.ceil(left / 1000) * 1000, i18n.language))}
    </time>
  );
}
