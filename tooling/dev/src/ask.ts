import { decodeJson, printable } from '@meshforge/protocol';
import { headers } from '@nats-io/transport-node';
import { addressFrom, connectTo } from './connection.ts';

const defaultUrl = 'nats://127.0.0.1:4222';
const timeoutMs = 10_000;
const maxLineCharacters = 10_000;

export const usage = `usage: node tooling/dev/ask.mjs <subject> [<json>] [<header>:<value> …]

Sends one request and prints the answer: its headers, then its body.
  node tooling/dev/ask.mjs cmd.inventory.create '{"entity_id":"sku-1","data":{"name":"Bolt"}}' Mesh-Command-Id:first-try
NATS_URL, NATS_CREDS, NATS_NKEY_SEED_FILE, NATS_TLS_CA: where and as whom; without them ${defaultUrl}.`;

/** One request, as any client may send it. @returns the exit code: 0 for an answer, also for one that says no */
export async function ask(args: readonly string[], say: (line: string) => void): Promise<number> {
  const [subject, body = '{}', ...headerLines] = args;
  if (subject === undefined || subject.startsWith('-')) {
    say(usage);
    return subject === undefined ? 2 : 0;
  }
  const sent = headers();
  for (const line of headerLines) {
    const colon = line.indexOf(':');
    sent.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const connection = await connectTo(addressFrom(process.env) ?? { url: defaultUrl });
  try {
    const reply = await connection.request(subject, body, { headers: sent, timeout: timeoutMs });
    for (const key of reply.headers?.keys() ?? [])
      say(printable(`${key}: ${reply.headers?.get(key)}`, maxLineCharacters));
    const decoded = decodeJson(reply.data);
    const text = decoded.ok ? JSON.stringify(decoded.value, null, 2) : reply.string();
    for (const line of text.split('\n')) say(printable(line, maxLineCharacters));
    return 0;
  } finally {
    await connection.close();
  }
}
