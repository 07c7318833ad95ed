import { Accordion, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { ApiError } from '../../api/client';
import { OptionFields } from './advanced/optionfields';
import { countOptions, type Options } from './options';

type Props = { options: Options; onChange: (options: Options) => void; problem?: ApiError };

const pointers = ['/limits', '/failure_rules', '/expires_at', '/rotate_every', '/grace', '/rotatable_by'];

/** Limits, failure rules, reminders and rotation, folded away until somebody wants them. */
export function MoreSection(props: Props) {
  const { t } = useTranslation();
  const { problem } = props;
  const [opened, setOpened] = useState<string | null>(null);
  const set = countOptions(props.options);
  const hasProblem = pointers.some((pointer) => (problem?.at(pointer).length ?? 0) > 0);
  const value = hasProblem ? 'more' : opened;
  return (
    <Accordion variant="contained" className="kf-card" value={value} onChange={setOpened}>
      <Accordion.Item value="more">
        <Accordion.Control>
          {t('options.title')}{' '}
          <Text span size="xs" c="dimmed" ml="xs">
            {set > 0 ? t('options.set', { count: set }) : t('options.summary')}
          </Text>
        </Accordion.Control>
        <Accordion.Panel>
          {value !== null && <OptionFields {...props} />}
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}
