import { expect, it } from 'vitest';
import { EventParser } from './events';

it('puts pieces together, wherever they are cut', () => {
  const text = ':\n\nevent: run\nid: 7\ndata: {"a":1}\n\n:\n\nevent: step\nid: 8\ndata: {"b":\n\ndata: x\ndata: y\n\n';
  const whole = new EventParser().push(text);
  expect(whole.map(({ event, id, data }) => [event, id, data])).toEqual([
    ['run', '7', '{"a":1}'],
    ['step', '8', '{"b":'],
    ['message', '', 'x\ny'],
  ]);
  for (let size = 1; size < 9; size++) {
    const parser = new EventParser();
    const pieces = text.match(new RegExp(`[^]{1,${String(size)}}`, 'g')) ?? [];
    expect(pieces.flatMap((piece) => parser.push(piece))).toEqual(whole);
  }
});

it('keeps what is not complete for the next piece', () => {
  const parser = new EventParser();
  expect(parser.push('data: 1\n')).toEqual([]);
  expect(parser.push('\n')).toHaveLength(1);
  expect(parser.push('\n')).toEqual([]);
});
