import { Button, Group, Text } from '@mantine/core';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { stringify } from '../api/json';
import { saveAs } from '../saveas';
import { Copy } from './copy';

/** How much of a payload is put on the screen; the rest is only copied or downloaded. */
export const shownCharacters = 64 * 1024;

/** A JSON value, formatted; long ones are cut and can be had in full as a file. */
export function Json({ value, name }: { value: unknown; name: string }) {
  const { t } = useTranslation();
  const text = useMemo(() => stringify(value, 2) ?? 'null', [value]);
  const cut = text.length > shownCharacters;
  return (
    <div className="kf-json">
      <Group gap={4} className="kf-json-tools">
        {cut && (
          <>
            <Text size="xs" c="dimmed">
              {t('json.cut', { size: Math.round(text.length / 1024) })}
            </Text>
            <Button variant="subtle" size="compact-xs" onClick={() => saveAs(`${name.replaceAll(/[^\p{L}\p{N}]+/gu, '-')}.json`, text)}>
              {t('json.download')}
            </Button>
          </>
        )}
        <Copy value={text} name={name} />
      </Group>
      <pre className="kf-code" tabIndex={0} role="group" aria-label={name}>
        {cut ? `${text.slice(0, shownCharacters)}…` : text}
      </pre>
    </div>
  );
}
