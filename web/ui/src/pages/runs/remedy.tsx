import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { enRuns } from '../../i18n/en.runs';

type Code = keyof typeof enRuns.remedy;

function isKnown(code: string): code is Code {
  return code in enRuns.remedy;
}

/** What to do about an error of a step, by its code. */
export function Remedy({ code }: { code: string }) {
  const { t } = useTranslation();
  if (!isKnown(code)) return null;
  return (
    <Text size="sm" c="dimmed">
      {t(`remedy.${code}`)}
    </Text>
  );
}
