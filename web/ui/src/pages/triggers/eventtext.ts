/** An event to be written; the data is JSON text. */
export type EventDraft = { id: string; type: string; source: string; data: string };

/** The event as structured CloudEvents 1.0; the data goes as it was typed. */
export function eventText({ data, ...attributes }: EventDraft): string {
  const head = JSON.stringify({ specversion: '1.0', ...attributes, datacontenttype: 'application/json' });
  return `${head.slice(0, -1)},"data":${data}}`;
}

/** A type that a pattern of types allows. */
export function typeFor(pattern: string): string {
  return pattern.replaceAll(/\*+/g, 'test');
}
