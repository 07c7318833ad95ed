// Words for the authentication types' fields. The server declares each field once, with its
// English words; other languages are laid over them here by type and name.
import { useTranslation } from 'react-i18next';
import type { CredentialField, CredentialType } from '../api/types';
import { koFields, koTypes } from './fields.ko';
import { currentLanguage } from './index';

export type FieldWords = { label: string; help?: string; choices?: Record<string, string> };

const enChoices: Record<string, string> = {
  authorization_code: 'Authorization Code',
  client_credentials: 'Client Credentials',
  header: 'Header',
  query: 'Query',
  cookie: 'Cookie',
  body: 'Body',
  none: 'None',
  seconds: 'Seconds',
  milliseconds: 'Milliseconds',
  minutes: 'Minutes',
  hours: 'Hours',
  form: 'Form',
  json: 'JSON',
  private_key_jwt: 'Private key JWT',
  standard_webhooks: 'Standard Webhooks',
  hmac: 'HMAC',
  text: 'Text',
  value: 'Value',
  pairs: 'Pairs',
};

/** The words for one field in the language of the page. */
export function useFieldText(type: string, field: CredentialField) {
  useTranslation(); // renders again when the language changes
  const words = currentLanguage() === 'ko' ? (koFields[`${type}.${field.name}`] ?? koFields[field.name]) : undefined;
  return {
    label: words?.label ?? field.label,
    help: words ? words.help : field.help || undefined,
    choice: (value: string) => words?.choices?.[value] ?? enChoices[value] ?? value,
  };
}

/** The name and one line about an authentication type in the language of the page. */
export function useTypeText() {
  useTranslation();
  return (type: CredentialType | undefined, id: string) => {
    const words = currentLanguage() === 'ko' ? koTypes[id] : undefined;
    return { label: words?.label ?? type?.name ?? id, summary: words?.summary ?? type?.summary };
  };
}
