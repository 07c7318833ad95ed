import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { expect, it } from 'vitest';
import type { SecretInfo } from '../../api/types';
import { renderPage } from '../../testing/render';
import type { SecretDraft } from './draft';
import { SecretField } from './secret';

function Harness({ sources, stored, onChange }: { sources: string[]; stored?: SecretInfo; onChange: (draft: SecretDraft) => void }) {
  const [draft, setDraft] = useState<SecretDraft>({ mode: 'keep' });
  const change = (next: SecretDraft) => {
    setDraft(next);
    onChange(next);
  };
  return <SecretField label="Password" sources={sources} stored={stored} draft={draft} onChange={change} />;
}

const reference = { set: true, updated_at: null, ref: 'env:ERP_PASSWORD' };

it('offers a reference only where a source is switched on', async () => {
  await renderPage(<Harness sources={[]} onChange={() => undefined} />);
  expect(screen.queryByRole('button', { name: 'Reference: Password' })).toBeNull();
});

it('takes a reference in place of a value, and a value in place of a reference', async () => {
  const last: { draft?: SecretDraft } = {};
  await renderPage(<Harness sources={['env', 'vault']} stored={reference} onChange={(draft) => (last.draft = draft)} />);
  expect(screen.getByRole('group', { name: 'Password' }).textContent).toContain('Stored externally: env:ERP_PASSWORD');
  const user = userEvent.setup();
  await user.click(screen.getByRole('button', { name: 'Replace: Password' }));
  await user.click(screen.getByRole('button', { name: 'Reference: Password' }));
  const input = screen.getByLabelText('Password: Location of the value');
  expect((input as HTMLInputElement).value).toBe('env:ERP_PASSWORD');
  expect(screen.getByText(/env:NAME, vault:path#key/)).toBeTruthy();
  await user.clear(input);
  await user.type(input, 'env:NEW');
  expect(last.draft).toEqual({ mode: 'refer', ref: 'env:NEW' });
  await user.click(screen.getByRole('button', { name: 'Enter a value instead' }));
  expect(last.draft).toEqual({ mode: 'keep' });
});
