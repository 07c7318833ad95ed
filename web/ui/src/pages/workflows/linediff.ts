export type DiffLine = { kind: 'same' | 'added' | 'removed'; text: string } | { kind: 'skipped'; count: number };

/** More lines than this on either side of a change are not compared: the work grows with their product. */
const most = 3_000;
const around = 3;

/** The lines that differ between two texts, each with its neighbours; null when it is too much. */
export function lineDiff(from: string, to: string): DiffLine[] | null {
  const [a, b] = [from.split('\n'), to.split('\n')];
  let head = 0;
  while (head < Math.min(a.length, b.length) && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const [left, right] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  if (left.length > most || right.length > most) return null;
  const same = (text: string): DiffLine => ({ kind: 'same', text });
  return folded([...a.slice(0, head).map(same), ...changes(left, right), ...a.slice(a.length - tail).map(same)]);
}

// The shortest way from one list of lines to the other, by their longest common part.
function changes(a: string[], b: string[]): DiffLine[] {
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: 'same', text: a[i++] ?? '' });
      j++;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: 'removed', text: a[i++] ?? '' });
    } else {
      lines.push({ kind: 'added', text: b[j++] ?? '' });
    }
  }
  return lines;
}

// Leaves out what is the same, but for a few lines around each change.
function folded(lines: DiffLine[]): DiffLine[] {
  const near = new Set<number>();
  lines.forEach(({ kind }, position) => {
    for (let i = position - around; kind !== 'same' && i <= position + around; i++) near.add(i);
  });
  const shown: DiffLine[] = [];
  lines.forEach((line, position) => {
    const last = shown.at(-1);
    if (near.has(position)) shown.push(line);
    else if (last?.kind === 'skipped') last.count++;
    else shown.push({ kind: 'skipped', count: 1 });
  });
  return shown;
}
