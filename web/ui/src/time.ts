// Times and durations as text, in the language of the page.

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "3 days ago", "in 5 minutes", "now"; under a minute counts as now. */
export function relativeTime(time: string, now: number, language: string): string {
  const seconds = (Date.parse(time) - now) / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  for (const [unit, length] of units) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, 'second');
}

/** The full date and time in a zone, the viewer's without one, with the zone's short name. */
export function absoluteTime(time: string, language: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(language, {
    timeZone,
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  }).format(Date.parse(time));
}

/** "12ms", "3.4s", "2m 5s", "1h 12m": how long something took. */
export function duration(milliseconds: number, language: string): string {
  const number = (value: number, unit: string, digits = 0) =>
    new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'narrow', maximumFractionDigits: digits }).format(value);
  if (milliseconds < 1000) return number(Math.max(0, Math.round(milliseconds)), 'millisecond');
  const seconds = milliseconds / 1000;
  if (seconds < 60) return number(seconds, 'second', 1);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${number(minutes, 'minute')} ${number(Math.floor(seconds % 60), 'second')}`;
  return `${number(Math.floor(minutes / 60), 'hour')} ${number(minutes % 60, 'minute')}`;
}

/** The milliseconds between two times; to now while the second is missing, null before the first. */
export function elapsed(from: string | null | undefined, to: string | null | undefined, now: number): number | null {
  if (!from) return null;
  return (to ? Date.parse(to) : now) - Date.parse(from);
}

/** A time as an input of type datetime-local has it: in the viewer's zone, to the minute. */
export function localTime(time: string): string {
  const at = new Date(time);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The moment of a local time as an input has it; a text that is none stays, for the server to refuse. */
export function timeOf(local: string): string {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? local : at.toISOString();
}
