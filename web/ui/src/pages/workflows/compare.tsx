import { Text } from '@mantine/core';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { stringify } from '../../api/json';
import { lineDiff, type DiffLine } from './linediff';

const signs = { same: ' ', added: '+', removed: '-' } as const;

type Props = { from: { version: number; definition: unknown }; to: { version: number; definition: unknown } };

/** What changed between two versions of a definition, line by line. */
export function Compare({ from, to }: Props) {
  const { t } = useTranslation();
  const lines = useMemo(
    () => lineDiff(stringify(from.definition, 2) ?? '', stringify(to.definition, 2) ?? ''),
    [from.definition, to.definition],
  );
  const title = t('compare.title', { from: from.version, to: to.version });
  if (lines === null) return <Text size="sm">{t('compare.long')}</Text>;
  if (lines.every(({ kind }) => kind === 'skipped')) return <Text size="sm">{t('compare.same')}</Text>;
  return (
    <>
      <Text size="xs" c="dimmed" mb={4}>
        {title}
      </Text>
      <pre className="kf-code" tabIndex={0} role="group" aria-label={title}>
        {lines.map((line, position) => (
          <Line key={position} line={line} />
        ))}
      </pre>
    </>
  );
}

function Line({ line }: { line: DiffLine }) {
  const { t } = useTranslation();
  if (line.kind === 'skipped') return <div className="kf-diff-skipped">{t('compare.skipped', { count: line.count })}</div>;
  return <div className={`kf-diff-${line.kind}`}>{`${signs[line.kind]} ${line.text}`}</div>;
}
