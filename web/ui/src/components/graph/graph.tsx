// The graph of a workflow, coloured by the states of its nodes where there are any.
import { ActionIcon, Group } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { memo, useMemo, useState, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';
import type { StepStatus } from '../../api/types';
import { Icon } from '../icons';
import { layout, type Cell, type GraphNode, type Placed } from './layout';

type Props = {
  nodes: GraphNode[];
  /** The state of a node, and a word about it, such as how long it took. */
  states?: ReadonlyMap<string, { status: StepStatus; note?: string }>;
  selected?: string;
  onSelect?: (id: string) => void;
};

/** How small a graph is drawn to fit: names must stay readable. */
const smallest = (cell: Cell) => (cell.named ? 0.75 : 0.35);

export function Graph({ nodes, states, selected, onSelect }: Props) {
  const { t } = useTranslation();
  const drawn = useMemo(() => layout(nodes), [nodes]);
  const { ref, width } = useElementSize();
  const [zoom, setZoom] = useState<number | null>(null);
  const scale = zoom ?? Math.min(1, Math.max(smallest(drawn.cell), width === 0 ? 1 : width / drawn.width));
  const onKeyDown = arrowsOver(drawn.nodes, onSelect);
  const stop = selected !== undefined && drawn.nodes.some((node) => node.id === selected) ? selected : drawn.nodes[0]?.id;
  return (
    <div>
      <div ref={ref} className="kf-graph-scroll">
        <svg
          role="group"
          aria-label={t('graph.name')}
          width={drawn.width * scale}
          height={drawn.height * scale}
          viewBox={`0 0 ${String(drawn.width)} ${String(drawn.height)}`}
          onKeyDown={onKeyDown}
        >
          <Edges edges={drawn.edges} cell={drawn.cell} />
          {drawn.nodes.map((node) => (
            <Node
              key={node.id}
              node={node}
              cell={drawn.cell}
              status={states?.get(node.id)?.status ?? (states ? 'pending' : undefined)}
              note={states?.get(node.id)?.note}
              selected={node.id === selected}
              stop={node.id === stop}
              onSelect={onSelect}
            />
          ))}
        </svg>
      </div>
      <Group gap={2} mt={4} justify="flex-end">
        <Zoom name={t('graph.smaller')} icon="minus" onClick={() => setZoom(Math.max(0.35, scale / 1.25))} />
        <Zoom name={t('graph.fit')} icon="fit" onClick={() => setZoom(null)} />
        <Zoom name={t('graph.larger')} icon="plus" onClick={() => setZoom(Math.min(2, scale * 1.25))} />
      </Group>
    </div>
  );
}

function Zoom(props: { name: string; icon: 'minus' | 'plus' | 'fit'; onClick: () => void }) {
  return (
    <ActionIcon size="sm" variant="default" aria-label={props.name} title={props.name} onClick={props.onClick}>
      <Icon name={props.icon} size={14} />
    </ActionIcon>
  );
}

const arrows: Record<string, number | undefined> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

// One stop for the Tab key; the arrows go from node to node.
function arrowsOver(nodes: Placed[], onSelect?: (id: string) => void) {
  return (event: KeyboardEvent<SVGSVGElement>) => {
    const step = arrows[event.key];
    const at = nodes.findIndex((node) => node.id === (event.target as Element).getAttribute('data-node'));
    if (at < 0) return;
    if (event.key === 'Enter' || event.key === ' ') onSelect?.(nodes[at]?.id ?? '');
    else if (step === undefined) return;
    else focusNode(event.currentTarget, nodes[at + step]?.id);
    event.preventDefault();
  };
}

function focusNode(svg: SVGSVGElement, id: string | undefined) {
  if (id !== undefined) svg.querySelector<SVGElement>(`[data-node="${CSS.escape(id)}"]`)?.focus();
}

type NodeProps = {
  node: Placed;
  cell: Cell;
  status?: StepStatus;
  note?: string;
  selected: boolean;
  stop: boolean;
  onSelect?: (id: string) => void;
};

const Node = memo(function Node({ node, cell, status, note, selected, stop, onSelect }: NodeProps) {
  const { t } = useTranslation();
  const word = status && t(`status.${status}`);
  const below = [word ?? node.type, note].filter(Boolean).join(' · ');
  const act = onSelect && { role: 'button', tabIndex: stop ? 0 : -1, 'aria-pressed': selected, onClick: () => onSelect(node.id) };
  return (
    <g
      className="kf-node"
      data-node={node.id}
      data-status={status}
      data-selected={selected || undefined}
      transform={`translate(${String(node.x)},${String(node.y)})`}
      aria-label={`${node.id}: ${below}`}
      role="img"
      {...act}
    >
      <title>{`${node.id} (${node.type}): ${below}`}</title>
      <rect width={cell.width} height={cell.height} rx={cell.named ? 6 : 3} />
      {cell.named && (
        <>
          <rect className="kf-node-mark" x={0} y={8} width={4} height={cell.height - 16} rx={2} />
          <text x={14} y={18}>
            {cut(node.id, 22)}
          </text>
          <text x={14} y={33} className="kf-node-note">
            {cut(below, 26)}
          </text>
        </>
      )}
    </g>
  );
});

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

const Edges = memo(function Edges({ edges, cell }: { edges: [Placed, Placed][]; cell: Cell }) {
  const path = edges.map(([from, to]) => {
    const [x1, y1] = [from.x + cell.width, from.y + cell.height / 2];
    const [x2, y2] = [to.x, to.y + cell.height / 2];
    const bend = Math.max(12, (x2 - x1) / 2);
    return `M${String(x1)} ${String(y1)}C${String(x1 + bend)} ${String(y1)} ${String(x2 - bend)} ${String(y2)} ${String(x2)} ${String(y2)}`;
  });
  return <path className="kf-edge" d={path.join('')} />;
});
