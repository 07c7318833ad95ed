import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { expect, it } from 'vitest';
import { ApiError } from '../../api/client';
import type { Credential, CredentialType } from '../../api/types';
import { apiKey, basicAuth, credential, oauth2 } from '../../testing/records';
import { renderPage } from '../../testing/render';
import { draftFor, draftOf, inputOf, patchOf } from './draft';
import { TypeFields } from './fields';
import { linesOf, mapOf } from './maps';

type HarnessProps = { type: CredentialType; stored?: Credential; problem?: ApiError; onSent: (sent: unknown) => void };

// The form with its draft, telling what would be sent after each change.
function Harness({ type, stored, problem, onSent }: HarnessProps) {
  const [draft, setDraft] = useState(() => (stored ? draftOf(stored, type) : draftFor(type)));
  return (
    <TypeFields
      type={type}
      draft={draft}
      credential={stored}
      problem={problem}
      onChange={(next) => {
        setDraft(next);
        onSent(stored ? patchOf(next, stored, type) : inputOf(next, type).fields);
      }}
    />
  );
}

async function show(props: Omit<HarnessProps, 'onSent'>) {
  const last: { sent?: unknown } = {};
  const view = await renderPage(<Harness {...props} onSent={(sent) => (last.sent = sent)} />);
  return { ...view, last, user: userEvent.setup() };
}

const stored = credential(basicAuth, {
  fields: { username: 'it@acme.kr' },
  secrets: { password: { set: true, updated_at: '2026-11-01T00:00:00Z', fingerprint: '3f9a0c11d2e4' } },
});

it('never puts a stand-in for a stored secret into an input', async () => {
  const { container } = await show({ type: basicAuth, stored });
  expect(screen.queryByLabelText('Password', { selector: 'input' })).toBeNull();
  expect(screen.getByRole('group', { name: 'Password' }).textContent).toContain('Set');
  expect(container.querySelectorAll('input[type="password"]')).toHaveLength(0);
  expect(container.innerHTML).not.toContain('3f9a0c11d2e4');
});

it('replaces a secret only after Replace, with what was typed', async () => {
  const { user, last } = await show({ type: basicAuth, stored });
  await user.click(screen.getByRole('button', { name: 'Replace: Password' }));
  expect(last.sent).toEqual({});
  await user.type(screen.getByLabelText('Password', { selector: 'input' }), 'new secret');
  expect(last.sent).toEqual({ fields: { password: 'new secret' } });
  await user.click(screen.getByRole('button', { name: 'Keep the current value' }));
  expect(last.sent).toEqual({});
});

it('clears a secret with null, and can take that back', async () => {
  const { user, last } = await show({ type: basicAuth, stored });
  await user.click(screen.getByRole('button', { name: 'Clear: Password' }));
  expect(last.sent).toEqual({ fields: { password: null } });
  await user.click(screen.getByRole('button', { name: 'Undo' }));
  expect(last.sent).toEqual({});
});

it('offers an empty input for a secret that is not set', async () => {
  const unset = credential(apiKey, { fields: { key: 'X-Key' }, secrets: { value: { set: false, updated_at: null } } });
  const { user, last } = await show({ type: apiKey, stored: unset });
  const input = screen.getByLabelText(/^Value/, { selector: 'input' });
  expect((input as HTMLInputElement).value).toBe('');
  await user.type(input, 'k1');
  expect(last.sent).toEqual({ fields: { value: 'k1' } });
});

it('names the fields with the words of the page', async () => {
  await show({ type: oauth2 });
  for (const label of [
    /^Grant Type/,
    /^Authorization URL/,
    /^Access Token URL/,
    /^Client ID/,
    /^Client Secret/,
    /^Scope/,
    /^Client Authentication/,
  ]) {
    expect(screen.getAllByLabelText(label).length).toBeGreaterThan(0);
  }
});

it('shows the redirect URL above Client ID, only for the authorization code', async () => {
  const { user, container } = await show({ type: oauth2 });
  const redirect = screen.getByTestId('redirect-url');
  expect(redirect.textContent).toMatch(/\/api\/_\/credentials\/oauth_callback$/);
  const clientID = screen.getByLabelText(/^Client ID/);
  expect(redirect.compareDocumentPosition(clientID) & Node.DOCUMENT_POSITION_FOLLOWING).toBeTruthy();

  await user.click(screen.getByLabelText(/^Grant Type/, { selector: 'input' }));
  await user.click(screen.getByRole('option', { name: 'Client Credentials' }));
  expect(screen.queryByTestId('redirect-url')).toBeNull();
  expect(screen.queryByLabelText(/^Authorization URL/)).toBeNull();
  expect(container.textContent).toContain('Access Token URL');
});

it('warns when providers would send people back to another origin', async () => {
  const redirect_url = 'https://keyflow.acme.kr/api/_/credentials/oauth_callback';
  const record = credential(oauth2, { fields: { grant_type: 'authorization_code' }, redirect_url });
  await show({ type: oauth2, stored: record });
  expect(screen.getByTestId('redirect-url').textContent).toBe(redirect_url);
  expect(screen.getByRole('alert').textContent).toContain('https://keyflow.acme.kr');
});

it('puts the server\'s findings at their fields', async () => {
  const problem = new ApiError(422, 'Unprocessable', 'one problem', 'r1', [
    { path: '/fields/username', code: 'required', message: 'is required' },
  ]);
  await show({ type: basicAuth, problem });
  expect(screen.getByText('is required')).toBeTruthy();
});

it('writes maps as lines', () => {
  expect(mapOf('a=1\n\n b = x=y \nc')).toEqual({ a: '1', b: 'x=y', c: '' });
  expect(linesOf({ a: '1', b: 'x=y' })).toBe('a=1\nb=x=y');
  expect(linesOf(undefined)).toBe('');
});

it('takes keys of several lines and maps of secrets', async () => {
  const custom: CredentialType = {
    id: 'custom',
    name: 'Custom',
    fields: [
      { name: 'client_certificate', label: 'Client certificate', kind: 'lines', required: true },
      { name: 'client_key', label: 'Private key', kind: 'lines', secret: true, required: true },
      { name: 'secret_headers', label: 'Secret headers', kind: 'map', secret: true },
    ],
  };
  const { user, last } = await show({ type: custom });
  await user.type(screen.getByLabelText(/^Client certificate/), '-----BEGIN{enter}AAAA');
  await user.type(screen.getByLabelText(/^Private key/), '-----BEGIN{enter}BBBB');
  await user.type(screen.getByLabelText(/^Secret headers/), 'X-Key=a=b{enter}X-App=c');
  expect(last.sent).toEqual({
    client_certificate: '-----BEGIN\nAAAA',
    client_key: '-----BEGIN\nBBBB',
    secret_headers: { 'X-Key': 'a=b', 'X-App': 'c' },
  });
});
