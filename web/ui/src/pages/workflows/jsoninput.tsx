import { Textarea } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { jsonProblem } from './jsontext';

type Props = { label: string; description?: string; minRows: number; text: string; onChange: (text: string) => void };

/** A field for JSON that says where it is not JSON. It has the focus when its dialog opens. */
export function JsonInput({ label, description, minRows, text, onChange }: Props) {
  const { t } = useTranslation();
  const problem = jsonProblem(text);
  return (
    <Textarea
      className="kf-editor"
      label={label}
      description={description}
      autosize
      minRows={minRows}
      maxRows={18}
      spellCheck={false}
      data-autofocus
      value={text}
      error={problem && t('editor.notJson', { line: problem.line, column: problem.column })}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
