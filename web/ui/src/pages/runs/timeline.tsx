// When each step ran: a bar per node, its attempts within it. Only the rows in view are drawn,
// so that a thousand nodes cost no more than twenty.
import { Text } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isUnfinished, type Run, type Step } from '../../api/types';
import type { GraphNode } from '../../components/graph/layout';
import { useNow } from '../../components/when';
import { duration } from '../../time';
import type { NodeSteps } from './merge';

const row = 26;
const labels = 170;
const axis = 24;
const tallest = 420;
const end = 12;

export type Bar = { node: string; step: Step; from: number; to: number; parts: [number, number][] };

/**
 * The bars in milliseconds since the run began: from when a node's needs had ended, so that its
 * wait shows, to its end or now.
 */
export function barsOf(nodes: NodeSteps[], graph: GraphNode[], begin: number, now: number): Bar[] {
  // A retry keeps steps of an earlier run, which were done before it began.
  const at = (time: string | null | undefined) => Math.max(0, (time ? Date.parse(time) : now) - begin);
  const needs = new Map(graph.map((node) => [node.id, node.needs]));
  const ends = new Map(nodes.flatMap(({ node, step }) => (step?.finished_at ? [[node, at(step.finished_at)]] : [])));
  return nodes.flatMap(({ node, step, elements }) => {
    const shown = step ?? elements[0];
    if (!shown || (!shown.started_at && shown.status !== 'waiting')) return [];
    const ready = Math.max(0, ...(needs.get(node) ?? []).map((need) => ends.get(need) ?? 0));
    const parts = (shown.attempts ?? []).map((attempt): [number, number] => [
      at(attempt.started_at),
      at(attempt.finished_at ?? (shown.status === 'running' ? null : (shown.finished_at ?? attempt.started_at))),
    ]);
    const from = needs.has(node) ? Math.min(ready, at(shown.started_at)) : at(shown.started_at);
    return [{ node, step: shown, from, to: at(shown.finished_at), parts }];
  });
}

/** Round distances for the marks of an axis of a length, about five of them. */
export function marksOf(length: number): number[] {
  const rough = Math.max(1, length / 5);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, i) => i * step);
}

type Props = { run: Run; graph: GraphNode[]; nodes: NodeSteps[]; selected?: string; onSelect: (node: string) => void };

export function Timeline({ run, graph, nodes, selected, onSelect }: Props) {
  const { t } = useTranslation();
  const ticking = useNow();
  const { ref, width } = useElementSize();
  const [scrolled, setScrolled] = useState(0);
  const begin = Date.parse(run.started_at ?? run.created_at);
  const now = isUnfinished(run.status) ? ticking : Date.parse(run.finished_at ?? run.created_at);
  const bars = barsOf(nodes, graph, begin, now);
  const length = Math.max(1, now - begin, ...bars.map((bar) => bar.to));
  const scale = Math.max(0, width - labels - end) / length;
  if (bars.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t('runs.noSteps')}
      </Text>
    );
  }
  const first = Math.max(0, Math.floor(scrolled / row) - 5);
  const shown = bars.slice(first, first + Math.ceil(tallest / row) + 10);
  const height = axis + bars.length * row;
  return (
    <div className="kf-timeline" onScroll={(event) => setScrolled(event.currentTarget.scrollTop)} tabIndex={0} role="group" aria-label={t('timeline.name')}>
      <div ref={ref}>
        <svg width="100%" height={height} role="presentation">
          <Axis length={length} scale={scale} height={height} />
          {shown.map((bar, position) => (
            <BarRow
              key={bar.node}
              bar={bar}
              y={axis + (first + position) * row}
              scale={scale}
              selected={bar.node === selected}
              onSelect={onSelect}
            />
          ))}
        </svg>
      </div>
    </div>
  );
}

function Axis({ length, scale, height }: { length: number; scale: number; height: number }) {
  const { i18n } = useTranslation();
  return (
    <g className="kf-axis" aria-hidden>
      {marksOf(length).map((mark) => (
        <g key={mark} transform={`translate(${String(labels + mark * scale)},0)`}>
          <line y1={axis - 6} y2={height} />
          <text y={12} textAnchor={mark === 0 ? 'start' : 'middle'}>
            {duration(mark, i18n.language)}
          </text>
        </g>
      ))}
    </g>
  );
}

type BarProps = { bar: Bar; y: number; scale: number; selected: boolean; onSelect: (node: string) => void };

function BarRow({ bar, y, scale, selected, onSelect }: BarProps) {
  const { t, i18n } = useTranslation();
  const { node, step, from, to, parts } = bar;
  const wide = (a: number, b: number) => Math.max(2, (b - a) * scale);
  return (
    <g className="kf-bar-row" data-status={step.status} data-selected={selected || undefined} onClick={() => onSelect(node)}>
      <title>{`${node}: ${t(`status.${step.status}`)}, ${duration(to - from, i18n.language)}`}</title>
      <rect className="kf-bar-ground" x={0} y={y} width="100%" height={row} />
      <text x={6} y={y + 17}>
        {node.length > 24 ? `${node.slice(0, 23)}…` : node}
      </text>
      <rect className="kf-bar-whole" x={labels + from * scale} y={y + 6} width={wide(from, to)} height={row - 12} rx={3} />
      {parts.map(([a, b], position) => (
        <rect key={position} className="kf-bar-part" x={labels + a * scale} y={y + 6} width={wide(a, b)} height={row - 12} rx={3} />
      ))}
    </g>
  );
}
