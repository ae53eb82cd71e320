import { randomBytes } from 'node:crypto';
import { commandSubject, inventoryContract, lockContract } from '@meshforge/protocol';

const defaultUrl = 'nats://127.0.0.1:4222';

/** Three commands to paste into another terminal. */
export function suggestions(url: string): string[] {
  // A new name each time: what an earlier start left would answer `already_exists`.
  const id = `bolt-${randomBytes(2).toString('hex')}`;
  const inventory = (action: string): string => commandSubject(inventoryContract.name, action);
  const commands = [
    {
      about: 'create an entity: version 1',
      subject: inventory('create'),
      body: { entity_id: id, data: { name: 'Bolt', quantity: 10 } },
    },
    {
      about: 'change it, if it still is version 1; send it twice and the second one is a conflict',
      subject: inventory('adjust'),
      body: { entity_id: id, expected_version: 1, data: { delta: -2 } },
    },
    {
      about: 'take a lock for five seconds, and watch it expire',
      subject: commandSubject(lockContract.name, 'acquire'),
      body: { entity_id: id, data: { owner_id: 'me', ttl_ms: 5_000 } },
    },
  ];
  const elsewhere = url === defaultUrl ? [] : [`  export NATS_URL=${quoted(url)}`];
  return [
    'Try it in another terminal, in this directory:',
    ...elsewhere,
    ...commands.flatMap(({ about, subject, body }) => [
      `  # ${about}`,
      `  node tooling/dev/ask.mjs ${subject} \\`,
      `    '${JSON.stringify(body)}'`,
    ]),
    'With the nats CLI, write `nats request` in place of `node tooling/dev/ask.mjs`.',
  ];
}

/** As a shell takes it literally. */
function quoted(text: string): string {
  return /^[\w:/.,@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
