/** Hunts for messages of the documented wire that a schema refuses or changes. */
import { describe, expect, it } from 'vitest';
import { agentMessages } from '../src/agent-messages.ts';
import { decode, encode, inventoryContract, lockContract, readOutcome, ReplyBody } from '../src/index.ts';
import { EXAMPLES, type Example } from './protocol-examples.ts';

function schemaOf({ contract, kind, subject }: Example) {
  const { commands, events, queries } = agentMessages(contract);
  const results = queries.map(({ result, ...query }) => ({ ...query, schema: result }));
  const message = { commands, events, queries, results }[kind].find((candidate) => candidate.subject === subject);
  if (message === undefined) throw new Error(`no schema of ${subject}`);
  return message.schema;
}

describe('an example of the documented wire', () => {
  it.each(EXAMPLES.map((example) => [example.kind, example.subject, example] as const))(
    '(%s %s) passes its schema and keeps what it says',
    (_kind, _subject, example) => {
      const decoded = decode(schemaOf(example), encode(example.body));
      expect(decoded).toMatchObject({ ok: true, value: example.body });
    },
  );

  it.each(
    EXAMPLES.filter(({ kind, subject }) => kind === 'events' && subject !== 'evt.lock.lost').map(
      (example) => [example.subject, example.body] as const,
    ),
  )('(%s) is read as the reply to a command', (event, payload) => {
    const reply = decode(ReplyBody, encode({ event, payload }));
    expect(reply.ok && readOutcome(reply.value, false)).toMatchObject({ event, payload });
  });

  it('stands for every command and every event of the agents', () => {
    const covered = new Set(EXAMPLES.map(({ subject }) => subject));
    const subjects = [inventoryContract, lockContract].flatMap((contract) => {
      const { commands, events } = agentMessages(contract);
      return [...commands, ...events].map(({ subject }) => subject);
    });
    // A conflict or a rejection looks the same from every agent.
    const missing = subjects.filter((subject) => !covered.has(subject) && !/lock\.(conflict|rejected)$/.test(subject));
    expect(missing).toEqual([]);
  });
});
