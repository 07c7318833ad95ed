import { expect, it } from 'vitest';
import { basicAuth, credential } from '../../../testing/records';
import { exportText } from './exporttext';
import { formatOf } from './format';

it.each([
  ['{"items": []}', 'json'],
  ['  [\n]', 'json'],
  ['\uFEFF{"items": []}', 'json'],
  ['id,type\nerp,basic_auth', 'csv'],
  ['', 'csv'],
])('takes %j for %s', (text, format) => {
  expect(formatOf(text)).toBe(format);
});

it('exports what an import reads, and of secrets only which are set', () => {
  const record = credential(basicAuth, {
    fields: { username: 'it@acme.kr' },
    folder: '/erp',
    allowed_workflows: ['/erp/**'],
    secrets: { password: { set: true, updated_at: null, fingerprint: '3f9a0c11d2e4' }, other: { set: false, updated_at: null } },
    expires_at: '2026-12-31T00:00:00Z',
    warnings: ['short'],
  });
  expect(JSON.parse(exportText([record]))).toEqual({
    items: [
      {
        id: 'erp',
        name: 'ERP',
        folder: '/erp',
        type: 'basic_auth',
        fields: { username: 'it@acme.kr', username_secret: false },
        allowed_hosts: ['erp.acme.kr'],
        expires_at: '2026-12-31T00:00:00Z',
        secrets: { password: { set: true } },
      },
    ],
  });
});
