import { Stack } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { workflows } from '../../api/resources';
import { Failure } from '../../components/feedback';
import { PageHead, Section } from '../../components/layout';
import { LeaveGuard } from '../leaveguard';
import { useTrail } from './detail';
import { DefinitionText, EditorButtons, useDefinition } from './editor';

const starter = `{
  "id": "my-workflow",
  "name": "My workflow",
  "nodes": {
    "fetch": {
      "type": "web_request",
      "credential": "credential-id",
      "with": {
        "url": "https://api.example.com/items"
      }
    }
  }
}
`;

/** The id a definition's text states; "" when it states none. */
export function idOf(text: string): string {
  try {
    const { id } = JSON.parse(text) as { id?: unknown };
    return typeof id === 'string' ? id : '';
  } catch {
    return '';
  }
}

export function NewWorkflowPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const trail = useTrail();
  const edit = useDefinition(
    starter,
    (text) => workflows.put(idOf(text) || 'unnamed', text, null, true),
    (applied) => navigate({ to: '/workflows/$id', params: { id: applied.id } }),
  );
  return (
    <>
      <PageHead trail={trail} title={t('workflows.new')} name={t('workflows.new')} />
      <LeaveGuard dirty={edit.dirty} />
      <Section title={t('workflows.definition')} help={t('editor.newHelp')}>
        <Stack gap="sm">
          <DefinitionText {...edit} onChange={edit.change} />
          {edit.failure && <Failure error={edit.failure} />}
          <EditorButtons edit={edit} onCancel={() => void navigate({ to: '/workflows' })} />
        </Stack>
      </Section>
    </>
  );
}
