import type { CredentialVersion } from '../../../api/types';

export type Value = { name: string; text: string; secret: boolean; differs: boolean };

/** The fields of a version as text, secrets by their fingerprint, and which differ from another version. */
export function valuesOf(version: CredentialVersion, other: CredentialVersion | undefined): Value[] {
  const plain = Object.entries(version.fields ?? {}).map(([name, value]) => ({
    name,
    text: typeof value === 'string' ? value : JSON.stringify(value),
    secret: false,
    differs: other !== undefined && JSON.stringify(other.fields?.[name]) !== JSON.stringify(value),
  }));
  const secret = Object.entries(version.fingerprints ?? {}).map(([name, fingerprint]) => ({
    name,
    text: fingerprint,
    secret: true,
    differs: other !== undefined && other.fingerprints?.[name] !== fingerprint,
  }));
  return [...secret, ...plain].sort((a, b) => Number(b.differs) - Number(a.differs));
}
