// What waits for a person, and what the person decided.
import { Alert, Button, Group, Modal, Stack, Text, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { runs } from '../../api/resources';
import type { Decision, Step } from '../../api/types';
import { Failure } from '../../components/feedback';
import { Icon } from '../../components/icons';
import { Until, When } from '../../components/when';
import { needsDecision } from './waiting';

type Props = { run: string; onDecided: () => void };
type Deciding = { step: Step; approve: boolean };

/** Asks for each decision that a run waits for. The question stays open when others decide. */
export function Approvals({ steps, ...props }: Props & { steps: Step[] }) {
  const [deciding, setDeciding] = useState<Deciding | null>(null);
  return (
    <>
      {steps.filter(needsDecision).map((step) => (
        <ApprovalCard key={step.node} step={step} onDecide={(approve) => setDeciding({ step, approve })} />
      ))}
      {deciding && <DecisionDialog {...props} {...deciding} onClose={() => setDeciding(null)} />}
    </>
  );
}

function ApprovalCard({ step, onDecide }: { step: Step; onDecide: (approve: boolean) => void }) {
  const { t } = useTranslation();
  return (
    <Alert color="yellow" icon={<Icon name="user" />} title={t('approval.title', { node: step.node })}>
      <Stack gap="xs">
        <Text size="sm" style={{ whiteSpace: 'pre-wrap' }}>
          {step.error?.message}
        </Text>
        <Group gap="xs">
          <Button onClick={() => onDecide(true)}>{t('approval.approve')}</Button>
          <Button variant="default" onClick={() => onDecide(false)}>
            {t('approval.reject')}
          </Button>
          <Text size="xs" c="dimmed">
            {step.due_at ? (
              <Until time={step.due_at} past={t('waits.now')} words={(time) => t('waits.givesUp', { time })} />
            ) : (
              t('waits.noLimit')
            )}
          </Text>
        </Group>
      </Stack>
    </Alert>
  );
}

function DecisionDialog({ run, step, approve, onDecided, onClose }: Props & Deciding & { onClose: () => void }) {
  const { t } = useTranslation();
  const [comment, setComment] = useState('');
  const decide = useMutation({
    mutationFn: () => runs.decide(run, step.node, approve, comment),
    onSuccess: onClose,
    onSettled: onDecided,
  });
  const late = decide.error instanceof ApiError && decide.error.status === 409;
  return (
    <Modal
      opened
      onClose={onClose}
      title={t(approve ? 'approval.approveTitle' : 'approval.rejectTitle', { node: step.node })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack gap="sm">
        <Text size="sm" style={{ whiteSpace: 'pre-wrap' }}>
          {step.error?.message}
        </Text>
        {!late && (
          <>
            <Text size="sm" c="dimmed">
              {t('approval.text')}
            </Text>
            <Textarea
              label={t('approval.comment')}
              description={t('approval.commentHelp')}
              autosize
              minRows={2}
              data-autofocus
              value={comment}
              onChange={(event) => setComment(event.currentTarget.value)}
            />
          </>
        )}
        {late && (
          <Alert color="orange" role="alert" title={t('approval.late')}>
            {t('approval.lateText')} ({decide.error?.message})
          </Alert>
        )}
        {decide.isError && !late && <Failure error={decide.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            {t(late ? 'common.close' : 'common.cancel')}
          </Button>
          {!late && (
            <Button color={approve ? undefined : 'red'} onClick={() => decide.mutate()} loading={decide.isPending}>
              {t(approve ? 'approval.approve' : 'approval.reject')}
            </Button>
          )}
        </Group>
      </Stack>
    </Modal>
  );
}

/** What was decided at a step of a type; null when nothing was. */
export function decisionOf({ status, output }: Step, type: string | undefined): Decision | null {
  if (type !== 'approval' || status !== 'succeeded' || typeof output !== 'object' || output === null) return null;
  const { approved, at } = output as Partial<Decision>;
  return typeof approved === 'boolean' && typeof at === 'string' ? (output as Decision) : null;
}

/** Who decided, what, when and why. */
export function DecisionLine({ decision }: { decision: Decision }) {
  const { t } = useTranslation();
  const name = decision.by ?? t('approval.nobody');
  return (
    <Text size="xs" maw={420}>
      {t(decision.approved ? 'approval.approvedBy' : 'approval.rejectedBy', { name })} <When time={decision.at} />
      {decision.comment && <> · {decision.comment}</>}
    </Text>
  );
}
