import { Badge, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { ImportAction, ImportResult } from '../../../api/types';
import { Section } from '../../../components/layout';

const colors: Record<ImportAction, string> = { create: 'teal', update: 'blue', unchanged: 'gray.6' };

// How many rows of a plan are shown; the counts tell of all of them.
const shown = 500;

/** What an import would do, row by row. */
export function Plan({ result }: { result: ImportResult }) {
  const { t } = useTranslation();
  return (
    <Section title={t('import.plan')} help={t('import.counts', result)}>
      <Table.ScrollContainer minWidth={560}>
        <Table className="kf-table" aria-label={t('import.plan')}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('form.id')}</Table.Th>
              <Table.Th>{t('import.action')}</Table.Th>
              <Table.Th>{t('import.changed')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {result.items.slice(0, shown).map((item) => (
              <Table.Tr key={item.id}>
                <Table.Td className="kf-mono">{item.id}</Table.Td>
                <Table.Td>
                  <Badge color={colors[item.action]}>{t(`import.action_${item.action}`)}</Badge>
                </Table.Td>
                <Table.Td className="kf-mono">{(item.changed ?? []).join(', ') || '–'}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {result.items.length > shown && (
        <Text size="xs" c="dimmed">
          {t('import.rest', { count: result.items.length - shown })}
        </Text>
      )}
    </Section>
  );
}
