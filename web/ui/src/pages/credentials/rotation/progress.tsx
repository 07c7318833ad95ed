import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Icon } from '../../../components/icons';

export const steps = ['values', 'test', 'promote', 'done'] as const;
export type Step = (typeof steps)[number];

/** Where in the rotation one is. */
export function Progress({ step }: { step: Step }) {
  const { t } = useTranslation();
  const at = steps.indexOf(step);
  return (
    <ol className="kf-progress" aria-label={t('rotation.title')}>
      {steps.map((each, position) => (
        <li key={each} aria-current={each === step ? 'step' : undefined} data-past={position < at || undefined}>
          <span className="kf-progress-mark">{position < at ? <Icon name="check" size={12} /> : position + 1}</span>
          <Text span size="sm">
            {t(`rotation.step_${each}`)}
          </Text>
        </li>
      ))}
    </ol>
  );
}
