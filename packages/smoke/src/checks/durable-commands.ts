/** A durable command is stored until it has been executed, and what cannot be executed is kept as a dead letter. */
import {
  commandStream,
  encode,
  HEADERS,
  inventoryContract,
  LetterResult,
  queuedCommandSubject,
} from '@meshforge/protocol';
import type { CheckContext } from '../check-context.ts';
import { fact } from '../check.ts';
import { askLetters, dropLetter, letterOf, requireDropping } from '../dead-letters.ts';
import { DurableSender } from '../durable-sender.ts';
import { expectCommitted, expectItem, expectRejected } from '../expect-outcome.ts';
import { expectEqual, expectPresent, expectThat } from '../expect.ts';
import { outcomeOf } from './outcomes.ts';
import { createItem, expectItemIs } from './steps.ts';

const stream = commandStream(inventoryContract.name);
/** Long enough to take a command back before its time. */
const delayMs = 1_500;

export const durableCommandChecks = [
  fact('a durable command is stored, executed, announced, and its outcome told at the inbox', async (context) => {
    const sender = await DurableSender.open(context);
    const id = await createItem(context);
    const stored = await sender.send('adjust', id, { delta: 1 });
    expectEqual('stream of the acknowledgement', stored.ack.stream, stream);
    const outcome = await sender.outcomeOf(stored);
    expectEqual('quantity', expectItem(outcome, 'adjusted', 2).quantity, 11);
    const event = await context.events.announced(outcome);
    expectEqual(`${HEADERS.commandId} of the event`, event.header(HEADERS.commandId), stored.commandId);
  }),

  fact('a durable command that is refused is told so at the inbox, and changes nothing', async (context) => {
    const sender = await DurableSender.open(context);
    const id = await createItem(context);
    const outcome = await sender.outcomeOf(await sender.send('create', id, { name: 'another' }));
    expectRejected(outcome, 'already_exists');
    await context.events.announced(outcome);
    await expectItemIs(context, id, 1, { name: 'smoke' });
  }),

  fact(
    'the refusal of a durable command stays: its id gets the same one again, marked Mesh-Replayed',
    async (context) => {
      const sender = await DurableSender.open(context);
      const id = await createItem(context);
      const data = { name: 'another' };
      const { commandId, ...stored } = await sender.send('create', id, data);
      const told = await sender.outcomeOf({ commandId, ...stored });
      expectRejected(told, 'already_exists');
      // Now it could be executed.
      expectCommitted(await context.inventory.send('delete', id), 'evt.inventory.deleted', 2);
      const again = await context.inventory.send('create', id, data, { headers: { [HEADERS.commandId]: commandId } });
      expectEqual('payload of the second refusal', again.payload, told.payload);
      expectEqual(`whether it is marked ${HEADERS.replayed}`, again.replayed, true);
      const { event, payload, status } = await outcomeOf(context, id, commandId);
      expectEqual(
        'outcome',
        { event, payload, status },
        { event: told.event, payload: told.payload, status: 'refused' },
      );
    },
  ),

  fact('a durable command that is sent again with its Nats-Msg-Id is stored once', async (context) => {
    const sender = await DurableSender.open(context);
    const id = await createItem(context);
    const first = await sender.send('adjust', id, { delta: 1 });
    const again = await sender.send('adjust', id, { delta: 1 }, { commandId: first.commandId });
    expectEqual('acknowledgement of the repetition', again.ack, { ...first.ack, duplicate: true });
    await sender.outcomeOf(first);
    const last = await sender.send('adjust', id, { delta: 5 });
    expectEqual('quantity', expectItem(await sender.outcomeOf(last), 'adjusted', 3).quantity, 16);
    expectEqual('outcomes of the first', sender.told(first.commandId).length, 1);
  }),

  fact(
    'a delayed durable command comes when its time has come, and cannot be cancelled after that',
    async (context) => {
      const sender = await DurableSender.open(context);
      const id = await createItem(context);
      const at = new Date(Date.now() + delayMs);
      const stored = await sender.send('adjust', id, { delta: 1 }, { at });
      expectEqual('what waits', await sender.waiting(stored.subject), stored.ack.seq);
      const outcome = await sender.outcomeOf(stored, delayMs);
      expectItem(outcome, 'adjusted', 2);
      // The server's clock counts, and it may not be ours.
      const committed = (await context.events.announced(outcome)).header('Nats-Time-Stamp') ?? '';
      expectThat(
        'time of the commit',
        Date.parse(committed) >= at.getTime(),
        `${at.toISOString()} or later`,
        committed,
      );
      expectEqual('what waits after it has come', await sender.waiting(stored.subject), 0);
    },
  ),

  fact('qry.inventory.outcome of a delayed durable command is pending until it is committed', async (context) => {
    const sender = await DurableSender.open(context);
    const id = await createItem(context);
    const stored = await sender.send('adjust', id, { delta: 1 }, { at: new Date(Date.now() + delayMs) });
    expectEqual('its status', (await outcomeOf(context, id, stored.commandId)).status, 'pending');
    expectItem(await sender.outcomeOf(stored, delayMs), 'adjusted', 2);
    expectEqual('its status after that', (await outcomeOf(context, id, stored.commandId)).status, 'committed');
  }),

  fact('a delayed durable command that is cancelled does not come', async (context) => {
    const sender = await DurableSender.open(context);
    const id = await createItem(context);
    const at = new Date(Date.now() + delayMs);
    const cancelled = await sender.send('adjust', id, { delta: 100 }, { at });
    // Later than the other by the server's own clock: when it has come, the other would have.
    const witness = await sender.send('adjust', id, { delta: 1 }, { at: new Date(at.getTime() + 250) });
    expectEqual('whether it could be cancelled', await sender.cancel(cancelled), true);
    expectEqual('quantity', expectItem(await sender.outcomeOf(witness, delayMs), 'adjusted', 2).quantity, 11);
    expectEqual('outcomes of what was cancelled', sender.told(cancelled.commandId).length, 0);
    await expectItemIs(context, id, 2, { quantity: 11 });
  }),

  fact('a malformed durable command is a dead letter that can be listed, read and dropped', async (context) => {
    const sender = await DurableSender.open(context);
    await requireDropping(context);
    const body = '{"entity_id": ';
    const commandId = willDie(context);
    const id = context.newId('malformed');
    const stored = await sender.sendBody('adjust', id, body, { commandId });
    expectRejected(await sender.outcomeOf(stored), 'invalid_command');
    const letter = expectPresent(`dead letter of ${commandId}`, await letterOf(context, commandId));
    const { bytes, code, entity_id: entityId, sequence, subject, tries } = letter;
    expectEqual(
      'the letter',
      { bytes, code, entityId, sequence, subject, tries },
      {
        bytes: body.length,
        code: 'invalid_command',
        entityId: id,
        sequence: stored.ack.seq,
        subject: queuedCommandSubject(inventoryContract.name, id, 'adjust'),
        tries: 1,
      },
    );
    const whole = expectPresent('the letter when it is read', await read(context, letter.id));
    expectEqual('body of the letter', whole.body, body);
    const ids = whole.headers.filter(([name]) => name === HEADERS.commandId);
    expectEqual(`${HEADERS.commandId} of the letter`, ids, [[HEADERS.commandId, commandId]]);
    expectEqual('letters dropped', await dropLetter(context, letter.id), 1);
    expectEqual('the letter after that', await read(context, letter.id), undefined);
    expectEqual('the letter in the list', await letterOf(context, commandId), undefined);
  }),

  fact('a durable command whose body names another entity than its subject is a dead letter', async (context) => {
    const sender = await DurableSender.open(context);
    await requireDropping(context);
    const [inSubject, inBody] = [await createItem(context), await createItem(context)];
    const commandId = willDie(context);
    const body = encode({ entity_id: inBody, data: { delta: 1 } });
    const stored = await sender.sendBody('adjust', inSubject, body, { commandId });
    expectRejected(await sender.outcomeOf(stored), 'invalid_command');
    const letter = expectPresent(`dead letter of ${commandId}`, await letterOf(context, commandId));
    expectEqual('the letter', [letter.code, letter.entity_id], ['invalid_command', inSubject]);
    for (const id of [inSubject, inBody]) await expectItemIs(context, id, 1, { quantity: 10 });
  }),
];

/** The id for a command that becomes a dead letter, which is dropped after the check. */
function willDie(context: CheckContext): string {
  const commandId = context.newId('dies');
  context.whenDone(`the dead letter of ${commandId}`, async () => {
    const left = await letterOf(context, commandId);
    if (left !== undefined) await dropLetter(context, left.id);
  });
  return commandId;
}

async function read(context: CheckContext, id: number): Promise<LetterResult | undefined> {
  return await askLetters(context, 'get', { id }, LetterResult);
}
