// Places in a JSON text. The server checks definitions; this only finds where a text stops
// being JSON, so that a slip of the keyboard shows before anything is sent.

export type Place = { line: number; column: number };

/** The 1-based line and column of a character. */
export function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
}

const token = /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.]))/y;

/** Where a text stops being JSON; null when all of it is. */
export function jsonProblem(text: string): Place | null {
  try {
    JSON.parse(text);
    return null;
  } catch {
    return placeOf(text, stopOf(text));
  }
}

type Expected = 'value' | 'valueOrEnd' | 'key' | 'keyOrEnd' | 'colon' | 'next' | 'nothing';

// The offset of the first token that cannot stand where it is.
function stopOf(text: string): number {
  const open: string[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (!match) return at + (/^[ \t\r\n]*/.exec(text.slice(at))?.[0].length ?? 0);
    const next = follow(expected, match, open);
    if (next === null) return token.lastIndex - match[0].trimStart().length;
    expected = next;
    at = token.lastIndex;
  }
}

// What may come after a token, or null when it may not come here itself.
function follow(expected: Expected, [, mark, string, atom]: RegExpExecArray, open: string[]): Expected | null {
  const ended = (): Expected => (open.length === 0 ? 'nothing' : 'next');
  const inValue = expected === 'value' || expected === 'valueOrEnd';
  if (string !== undefined && (expected === 'key' || expected === 'keyOrEnd')) return 'colon';
  if (string !== undefined || atom !== undefined) return inValue ? ended() : null;
  switch (mark) {
    case '{':
    case '[':
      if (!inValue) return null;
      open.push(mark);
      return mark === '{' ? 'keyOrEnd' : 'valueOrEnd';
    case '}':
    case ']': {
      const empty: Expected = mark === '}' ? 'keyOrEnd' : 'valueOrEnd';
      if ((expected !== 'next' && expected !== empty) || open.at(-1) !== (mark === '}' ? '{' : '[')) return null;
      open.pop();
      return ended();
    }
    case ',':
      if (expected !== 'next') return null;
      return open.at(-1) === '{' ? 'key' : 'value';
    default:
      return expected === 'colon' ? 'value' : null;
  }
}
