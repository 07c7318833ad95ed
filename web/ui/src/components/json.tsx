import { Button, Group, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Copy } from './copy';

/** How much of a payload is put on the screen; the rest is only copied or downloaded. */
export const shownCharacters = 64 * 1024;

/** A JSON value, formatted; long ones are cut and can be had in full as a file. */
export function Json({ value, name }: { value: unknown; name: string }) {
  const { t } = useTranslation();
  const [all, setAll] = useState(false);
  const text = JSON.stringify(value, null, 2) ?? 'null';
  const cut = text.length > shownCharacters;
  return (
    <div className="kf-json">
      <Group gap={4} className="kf-json-tools">
        {cut && (
          <Text size="xs" c="dimmed">
            {t('json.cut', { size: Math.round(text.length / 1024) })}
          </Text>
        )}
        {cut && (
          <Button variant="subtle" size="compact-xs" onClick={() => setAll(!all)}>
            {all ? t('json.less') : t('json.all')}
          </Button>
        )}
        <Copy value={text} name={name} />
      </Group>
      <pre className="kf-code" tabIndex={0} role="group" aria-label={name}>
        {cut && !all ? text.slice(0, shownCharacters) : text}
      </pre>
    </div>
  );
}
