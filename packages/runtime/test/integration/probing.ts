import { entityStream } from '@meshforge/protocol';
import { jetstreamManager } from '@nats-io/jetstream';
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { startAgent } from '../../src/index.ts';
import { probe } from '../../src/nats/commit-publisher.ts';
import { Requester } from '../../src/nats/requester.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { openConnection, sendCommand } from '../support/wire.ts';
import { guarded } from './guarded.ts';
import { tally } from './tally.ts';

/** Asks agents' logs for ids that they know and ids that they do not. The log of one allows roll-ups, that of the other does not. */
export async function expectHarmlessProbes(servers: string, streamReplicas: 1 | 3): Promise<void> {
  const connection = endWithTest(await openConnection(servers));
  const requester = new Requester(connection, '_INBOX', systemClock, 10_000);
  const manager = await jetstreamManager(connection, { timeout: 20_000 });
  for (const [agent, isRolledUp] of [
    [tally, false],
    [guarded, true],
  ] as const) {
    endWithTest(await startAgent(agent, { nats: { servers }, streamReplicas }));
    const name = entityStream(agent.name);
    expect((await manager.streams.info(name)).config.allow_rollup_hdrs ?? false).toBe(isRolledUp);
    const send = (commandId: string) => sendCommand(connection, agent.name, 'open', { entityId: commandId, commandId });
    await send('known');
    const before = await manager.streams.info(name);
    for (let i = 0; i < 10; i++) {
      expect(await probe(requester, agent.name, `unknown ${i}`)).toEqual({ kind: 'not_taken' });
      expect(await probe(requester, agent.name, 'known')).toEqual({ kind: 'taken', sequence: before.state.last_seq });
    }
    const { messages, last_seq: last } = (await manager.streams.info(name)).state;
    expect({ messages, last }).toEqual({ messages: before.state.messages, last: before.state.last_seq });
    // An id that was asked for is not taken by that, and the stream still stores.
    expect((await send('unknown 1')).replayed).toBe(false);
    expect(await probe(requester, agent.name, 'unknown 1')).toEqual({ kind: 'taken', sequence: last + 1 });
  }
  requester.close();
}
