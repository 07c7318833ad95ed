// A call of a webhook as a line of a shell, to try it out. Secrets are left to be filled in.
import type { Credential, Trigger } from '../../api/types';

export type SampleAuth = 'basic_auth' | 'api_key' | 'bearer_token' | 'jwt' | 'signing' | 'other';

/** How the caller of a webhook proves itself, as far as a sample can show it. */
export function authOf(credential: Credential | undefined): SampleAuth {
  if (credential === undefined) return 'other';
  const { type, fields } = credential;
  if (type === 'signing') return (fields.scheme ?? 'standard_webhooks') === 'standard_webhooks' ? 'signing' : 'other';
  if (type === 'basic_auth' || type === 'api_key' || type === 'bearer_token' || type === 'jwt') return type;
  return 'other';
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The header that a dedupe template reads the delivery id from. */
function deliveryHeader(dedupe: unknown): string | null {
  const found = typeof dedupe === 'string' ? /headers\[['"]([\w-]+)['"]\]/.exec(dedupe) : null;
  return found?.[1] ?? null;
}

const body = '{"hello": "world"}';
const secret = 'THE_SECRET';

type Options = { trigger: Trigger; url: string; dedupe?: unknown; credential?: Credential };

/** The shell line for a trigger; parameters of its path stay as their names. */
export function curlSample({ trigger, url, dedupe, credential }: Options): string {
  const method = trigger.methods?.[0] ?? 'POST';
  const auth = trigger.credential ? authOf(credential) : null;
  const target = urlWith(url.replaceAll(/[{}]/g, ''), auth, credential);
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const header = deliveryHeader(dedupe);
  const lines = [
    `curl -X ${method} ${quoted(target)}`,
    ...(hasBody ? [`-H 'Content-Type: application/json'`] : []),
    ...(header ? [`-H ${quoted(`${header}: delivery-1`)}`] : []),
    ...authLines(auth, credential),
    ...(hasBody ? [auth === 'signing' ? '-d "$body"' : `-d ${quoted(body)}`] : []),
  ];
  const call = lines.join(' \\\n  ');
  return auth === 'signing' ? `${signature}\n${call}` : call;
}

function urlWith(url: string, auth: SampleAuth | null, credential: Credential | undefined): string {
  const { key, in: place } = (credential?.fields ?? {}) as { key?: string; in?: string };
  return auth === 'api_key' && place === 'query' ? `${url}?${encodeURIComponent(key ?? '')}=${secret}` : url;
}

// Standard Webhooks: HMAC-SHA-256 over id, time and body with the decoded secret.
const signature = [
  `secret='whsec_${secret}'; body='${body}'; id="msg_$(date +%s)"; time=$(date +%s)`,
  `key=$(printf %s "\${secret#whsec_}" | base64 -d | od -An -tx1 | tr -d ' \\n')`,
  `signature=$(printf %s "$id.$time.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)`,
].join('\n');

function authLines(auth: SampleAuth | null, credential: Credential | undefined): string[] {
  const { username, key, in: place } = (credential?.fields ?? {}) as { username?: string; key?: string; in?: string };
  switch (auth) {
    case 'basic_auth':
      return [`-u ${quoted(`${username ?? 'USER'}:${secret}`)}`];
    case 'bearer_token':
    case 'jwt':
      return [`-H 'Authorization: Bearer ${secret}'`];
    case 'api_key':
      if (place === 'query') return [];
      return place === 'cookie' ? [`-b ${quoted(`${key ?? 'KEY'}=${secret}`)}`] : [`-H ${quoted(`${key ?? 'X-Api-Key'}: ${secret}`)}`];
    case 'signing':
      return ['-H "webhook-id: $id"', '-H "webhook-timestamp: $time"', '-H "webhook-signature: v1,$signature"'];
    default:
      return [];
  }
}
