// Places the nodes of a workflow: from left to right by how many needs lie before them, in each
// column near what they need, tall columns broken into several. Linear in nodes and edges, so
// that a thousand nodes take milliseconds.

export type GraphNode = { id: string; needs: string[]; type: string };
export type Placed = GraphNode & { x: number; y: number };
export type Layout = { nodes: Placed[]; edges: [Placed, Placed][]; width: number; height: number; cell: Cell };
export type Cell = { width: number; height: number; gapX: number; gapY: number; rows: number; named: boolean };

const roomy: Cell = { width: 172, height: 42, gapX: 44, gapY: 14, rows: 12, named: true };
const dense: Cell = { width: 18, height: 18, gapX: 14, gapY: 6, rows: 24, named: false };
/** From so many nodes on they are squares without names. */
const manyNodes = 120;
const margin = 8;

/** The nodes of a definition; none when it has none that could be drawn. */
export function nodesOf(definition: unknown): GraphNode[] {
  const nodes = field(definition, 'nodes');
  if (!isObject(nodes)) return [];
  return Object.entries(nodes).map(([id, node]) => {
    const needs = field(node, 'needs');
    const type = field(node, 'type');
    return {
      id,
      type: typeof type === 'string' ? type : '',
      needs: Array.isArray(needs) ? needs.filter((need) => typeof need === 'string' && need !== id && need in nodes) : [],
    };
  });
}

/** Places the nodes; those of a cycle come first, as if they needed nothing. */
export function layout(nodes: GraphNode[]): Layout {
  const cell = nodes.length >= manyNodes ? dense : roomy;
  const columns = order(columnsOf(nodes));
  const placed = new Map<string, Placed>();
  const tallest = Math.min(cell.rows, Math.max(0, ...columns.map((column) => column.length)));
  let column = 0;
  for (const layer of columns) {
    for (let start = 0; start < layer.length; start += cell.rows) {
      const part = layer.slice(start, start + cell.rows);
      const above = ((tallest - part.length) * (cell.height + cell.gapY)) / 2;
      part.forEach((node, row) =>
        placed.set(node.id, {
          ...node,
          x: margin + column * (cell.width + cell.gapX),
          y: margin + above + row * (cell.height + cell.gapY),
        }),
      );
      column++;
    }
  }
  const all = [...placed.values()];
  return {
    nodes: all,
    edges: all.flatMap((node) => node.needs.map((need): [Placed, Placed] => [placed.get(need) ?? node, node])),
    width: 2 * margin + Math.max(0, column * (cell.width + cell.gapX) - cell.gapX),
    height: 2 * margin + Math.max(0, tallest * (cell.height + cell.gapY) - cell.gapY),
    cell,
  };
}

// The nodes by the length of the longest way to them.
function columnsOf(nodes: GraphNode[]): GraphNode[][] {
  const depth = new Map<string, number>(nodes.map((node) => [node.id, 0]));
  const open = new Map(nodes.map((node) => [node.id, node.needs.length]));
  const dependents = new Map<string, GraphNode[]>(nodes.map((node) => [node.id, []]));
  for (const node of nodes) node.needs.forEach((need) => dependents.get(need)?.push(node));
  const ready = nodes.filter((node) => node.needs.length === 0);
  for (let next = ready.pop(); next; next = ready.pop()) {
    for (const dependent of dependents.get(next.id) ?? []) {
      depth.set(dependent.id, Math.max(depth.get(dependent.id) ?? 0, (depth.get(next.id) ?? 0) + 1));
      const left = (open.get(dependent.id) ?? 1) - 1;
      open.set(dependent.id, left);
      if (left === 0) ready.push(dependent);
    }
  }
  const columns: GraphNode[][] = [];
  for (const node of nodes) (columns[depth.get(node.id) ?? 0] ??= []).push(node);
  return [...columns].map((column) => column ?? []);
}

// Puts each node at the mean height of what it needs; a node alone keeps its place.
function order(columns: GraphNode[][]): GraphNode[][] {
  const height = new Map<string, number>();
  return columns.map((column) => {
    const wanted = column.map((node, position) => {
      const heights = node.needs.map((need) => height.get(need) ?? 0);
      const mean = heights.length === 0 ? position / column.length : heights.reduce((a, b) => a + b, 0) / heights.length;
      return { node, mean };
    });
    wanted.sort((a, b) => a.mean - b.mean);
    wanted.forEach(({ node }, position) => height.set(node.id, (position + 0.5) / column.length));
    return wanted.map(({ node }) => node);
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}
