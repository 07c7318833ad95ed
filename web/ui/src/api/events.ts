// Server-sent events (WHATWG HTML, section 9.2), as far as the server of this page uses them.

export type ServerEvent = { event: string; id: string; data: string };

/** Takes a stream apart; give it the text as it comes. */
export class EventParser {
  private rest = '';

  /** The events that are complete with this piece. Comments (heartbeats) give none. */
  push(piece: string): ServerEvent[] {
    const blocks = (this.rest + piece).split('\n\n');
    this.rest = blocks.pop() ?? '';
    return blocks.map(parseBlock).filter((event) => event.data !== '');
  }
}

function parseBlock(block: string): ServerEvent {
  const event: ServerEvent = { event: 'message', id: '', data: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') event.data += (event.data && '\n') + value;
    else if (name === 'event' || name === 'id') event[name] = value;
  }
  return event;
}
