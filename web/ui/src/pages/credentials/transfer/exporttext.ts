import type { Credential } from '../../../api/types';

const parts = [
  'id',
  'name',
  'description',
  'labels',
  'folder',
  'type',
  'fields',
  'allowed_hosts',
  'allowed_workflows',
  'rotatable_by',
  'limits',
  'failure_rules',
  'test_url',
  'expires_at',
  'rotate_every',
  'grace',
] as const;

/** Credentials as an import reads them: what can be set and is not empty, and no secret. */
export function exportText(items: Credential[]): string {
  const written = items.map((item) => {
    const record = item as unknown as Record<string, unknown>;
    return Object.fromEntries(parts.map((part) => [part, record[part]] as const).filter(([, value]) => !isEmpty(value)));
  });
  return `${JSON.stringify({ items: written }, null, 2)}\n`;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
