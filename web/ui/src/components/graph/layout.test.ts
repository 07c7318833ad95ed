import { expect, it } from 'vitest';
import { layout, nodesOf, type GraphNode } from './layout';

const node = (id: string, ...needs: string[]): GraphNode => ({ id, needs, type: 'transform' });
const overlaps = (nodes: { x: number; y: number }[]) => nodes.length - new Set(nodes.map(({ x, y }) => `${String(x)} ${String(y)}`)).size;

it('puts every node to the right of what it needs', () => {
  const { nodes, edges } = layout([node('d', 'b', 'c'), node('c', 'b'), node('b', 'a'), node('a'), node('alone')]);
  expect(nodes).toHaveLength(5);
  expect(edges).toHaveLength(4);
  for (const [from, to] of edges) expect([from.id, to.id, from.x < to.x]).toEqual([from.id, to.id, true]);
  expect(overlaps(nodes)).toBe(0);
});

it('keeps parallel chains apart instead of crossing them', () => {
  const { nodes } = layout([node('a'), node('b'), node('b2', 'b'), node('a2', 'a'), node('a3', 'a2'), node('b3', 'b2')]);
  const y = new Map(nodes.map((each) => [each.id, each.y]));
  expect(y.get('a3')).toBe(y.get('a'));
  expect(y.get('b3')).toBe(y.get('b'));
});

it('draws a cycle while it is being fixed', () => {
  const { nodes, edges } = layout([node('a', 'b'), node('b', 'a'), node('c')]);
  expect([nodes.length, edges.length, overlaps(nodes)]).toEqual([3, 2, 0]);
});

it('places a thousand nodes at once, side by side and in a row', () => {
  const wide = Array.from({ length: 1000 }, (_, i) => (i === 0 ? node('n0') : node(`n${String(i)}`, 'n0')));
  const long = Array.from({ length: 1000 }, (_, i) => (i === 0 ? node('n0') : node(`n${String(i)}`, `n${String(i - 1)}`)));
  for (const nodes of [wide, long]) {
    const placed = layout(nodes);
    expect([placed.nodes.length, overlaps(placed.nodes), placed.cell.named]).toEqual([1000, 0, false]);
    expect(placed.height).toBeLessThan(700);
  }
});

it('reads what it can of a definition', () => {
  expect(nodesOf({ nodes: { a: { type: 'fail' }, b: { needs: ['a', 'b', 'x', 7] }, c: null } })).toEqual([
    { id: 'a', type: 'fail', needs: [] },
    { id: 'b', type: '', needs: ['a'] },
    { id: 'c', type: '', needs: [] },
  ]);
  for (const wrong of [undefined, null, 7, 'x', [], {}, { nodes: [] }]) expect(nodesOf(wrong)).toEqual([]);
  expect(layout([])).toMatchObject({ nodes: [], edges: [] });
});
