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
  'secrets', // an import ignores them
] as const;

/** Credentials as an import reads them, in the form of `keyflow credentials export`: of secrets only which are set. */
export function exportText(items: Credential[]): string {
  const written = items.map((item) => {
    const own = `${item.folder.replace(/\/+$/, '')}/**`;
    const byDefault = item.allowed_workflows.length === 1 && item.allowed_workflows[0] === own;
    const set = Object.entries(item.secrets).filter(([, secret]) => secret.set);
    const record: Record<string, unknown> = {
      ...item,
      allowed_workflows: byDefault ? undefined : item.allowed_workflows,
      secrets: Object.fromEntries(set.map(([name]) => [name, { set: true }])),
    };
    return Object.fromEntries(parts.map((part) => [part, record[part]] as const).filter(([, value]) => !isEmpty(value)));
  });
  return `${JSON.stringify({ items: written }, null, 2)}\n`;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
