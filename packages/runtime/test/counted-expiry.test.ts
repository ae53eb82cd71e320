/** Hunts expiries that are handed on although a newer lease was before them, and ones that are kept back although they count. */
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { Msg } from '@nats-io/nats-core';
import { expect, test } from 'vitest';
import { NO_COMMANDS, recentHeader, remember } from '../src/core/recent.ts';
import { isCountedExpiry } from '../src/nats/counted-expiry.ts';
import type { RequestPort } from '../src/nats/requester.ts';

interface Logged {
  slot: string;
  version: number;
  sequence: number;
  /** Versions and sequences of the commits before it. */
  recent?: [version: number, sequence: number][];
}

function messageOf({ recent, sequence, slot, version }: Logged): Msg {
  const headers = new MsgHdrsImpl();
  headers.append('Nats-Subject', slot === 'record' ? 'ent.lock.a.refused' : `ent.lock.a.${slot}.acquired`);
  headers.append('Nats-Sequence', String(sequence));
  if (recent !== undefined) {
    let commands = NO_COMMANDS;
    for (const [of, at] of recent)
      commands = remember(commands, { digest: `d${at}`.padEnd(12, '_'), body: '', version: of, sequence: at });
    headers.append('Mesh-Recent', recentHeader(commands));
  }
  return { headers, data: Buffer.from(JSON.stringify({ entity_version: version, state: null })) } as unknown as Msg;
}

const ask = async (log: Logged[], expiry = { version: 3, sequence: 10 }): Promise<boolean> => {
  const answer = { kind: 'answer' as const, messages: log.map(messageOf) };
  const requester = { requestBatch: () => Promise.resolve(answer) } as unknown as RequestPort;
  return await isCountedExpiry(requester, { agent: 'lock', entityId: 'a', ...expiry });
};

const expired: Logged = { slot: 'x', version: 3, sequence: 10 };

test('it counts when its version is the highest before it', async () => {
  expect(await ask([{ slot: '0', version: 2, sequence: 8 }, expired])).toBe(true);
  expect(await ask([expired])).toBe(true);
});

test('it counts although a new lease has come behind it', async () => {
  expect(await ask([expired, { slot: '4', version: 4, sequence: 11, recent: [[3, 9]] }])).toBe(true);
});

test('it is void when a higher version is before it: a lease, another commit, or what tells of one', async () => {
  expect(await ask([{ slot: '4', version: 4, sequence: 9 }, expired])).toBe(false);
  expect(await ask([{ slot: '0', version: 4, sequence: 9 }, expired])).toBe(false);
  expect(await ask([{ slot: 'record', version: 4, sequence: 9 }, expired])).toBe(false);
});

test('it is void when the lease before it has left the log since, as long as that is remembered', async () => {
  const later: Logged = {
    slot: '5',
    version: 5,
    sequence: 12,
    recent: [
      [3, 8],
      [4, 9],
      [5, 11],
    ],
  };
  expect(await ask([expired, later])).toBe(false);
  expect(await ask([expired, { ...later, recent: [[5, 11]] }])).toBe(true);
});

test('a later expiry says nothing of an earlier one', async () => {
  expect(await ask([{ slot: 'x', version: 4, sequence: 12 }])).toBe(true);
});

test('a server that lags is asked again later', async () => {
  await expect(ask([{ slot: '3', version: 3, sequence: 9 }])).rejects.toThrow('lags');
  await expect(ask([])).rejects.toThrow('lags');
});
