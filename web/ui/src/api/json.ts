// JSON without the loss of a digit: JavaScript's numbers hold some 16, but those of workflows
// have as many as their authors write.

/** A number that JavaScript cannot hold or would write differently: 9007199254740993, 1.10. */
export class ExactNumber {
  constructor(readonly text: string) {}

  toJSON(): string {
    return mark + this.text;
  }

  toString(): string {
    return this.text;
  }
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
// Begins a string that stands for a number; unknown to those who write the JSON that is read.
const mark = `number:${Math.random().toString(36).slice(2)}:`;
const marked = new RegExp(`"${mark}([^"]*)"`, 'g');

/** Parses JSON, with an ExactNumber for each number that a number cannot hold; undefined when it is none. */
export function parseJSON(text: string): unknown {
  try {
    const prepared = markNumbers(text);
    return prepared === text ? JSON.parse(text) : JSON.parse(prepared, revive);
  } catch {
    return undefined;
  }
}

/** The JSON text of a value that parseJSON gave; undefined has none. */
export function stringify(value: unknown, indent?: number): string | undefined {
  const text = JSON.stringify(value, null, indent) as string | undefined;
  return text?.replaceAll(marked, '$1');
}

function revive(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value;
}

function markNumbers(text: string): string {
  const parts: string[] = [];
  let at = 0;
  while (at < text.length) {
    const quote = text.indexOf('"', at);
    const begin = quote < 0 ? text.length : quote;
    parts.push(text.slice(at, begin).replaceAll(number, (each) => (String(Number(each)) === each ? each : `"${mark}${each}"`)));
    at = endOfString(text, begin);
    parts.push(text.slice(begin, at));
  }
  return parts.join('');
}

/** Where the string that begins at a quote ends, behind its closing quote. */
function endOfString(text: string, begin: number): number {
  let end = begin;
  do {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
  } while (isEscaped(text, end));
  return end + 1;
}

function isEscaped(text: string, quote: number): boolean {
  let slashes = 0;
  while (text[quote - 1 - slashes] === '\\') slashes++;
  return slashes % 2 === 1;
}
