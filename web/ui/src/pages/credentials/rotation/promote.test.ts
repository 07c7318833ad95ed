import { expect, it } from 'vitest';
import { basicAuth, credential, oauth2 } from '../../../testing/records';
import { canFallBack } from './promote';

it('falls back only where nobody is needed to find out whether the former values work', () => {
  expect(canFallBack(credential(basicAuth))).toBe(false);
  expect(canFallBack(credential(basicAuth, { test_url: 'https://erp.acme.kr/me' }))).toBe(true);
  expect(canFallBack(credential(oauth2, { fields: { grant_type: 'client_credentials' } }))).toBe(true);
  expect(canFallBack(credential(oauth2, { fields: { grant_type: 'authorization_code' }, test_url: 'https://a.example' }))).toBe(false);
});
