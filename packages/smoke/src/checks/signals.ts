/** The audit trail of commands that changed nothing. */
import { decode, ConflictPayload, SIGNALS_STREAM } from '@meshforge/protocol';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { permissionViolation } from '../ask.ts';
import { CheckFailed, CheckSkipped, fact } from '../check.ts';
import { describeError } from '../describe-error.ts';
import { expectConflict } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { createUpdatedItem } from './steps.ts';

const subject = 'evt.inventory.conflict';
/** Other conflicts of a busy mesh that may lie between. */
const maxOthers = 200;

export const signalChecks = [
  fact('the stream SIGNALS keeps a conflict', async (context) => {
    const streams = await readableStreams(context.connection, context.patienceMs);
    const id = await createUpdatedItem(context);
    const { state } = await streams.info(SIGNALS_STREAM);
    const reply = await context.inventory.send('update', id, { quantity: 99 }, { expect: 1 });
    expectConflict(reply, 1, 2);
    await context.events.announced(reply);
    const deadline = performance.now() + context.patienceMs;
    let kept: ConflictPayload | undefined;
    while (kept === undefined && performance.now() < deadline) {
      kept = await findConflict(streams, state.last_seq + 1, id);
      if (kept === undefined) await context.sleep(20);
    }
    if (kept === undefined) throw new CheckFailed(`${SIGNALS_STREAM}: expected the conflict of ${id}, got none`);
    expectEqual('the kept conflict', kept, reply.payload);
  }),
];

async function findConflict(
  streams: JetStreamManager['streams'],
  fromSequence: number,
  id: string,
): Promise<ConflictPayload | undefined> {
  let sequence = fromSequence;
  for (let others = 0; others < maxOthers; others++) {
    const query = { seq: sequence, next_by_subj: subject };
    const message = await streams.getMessage(SIGNALS_STREAM, query);
    if (message === null) return undefined;
    const conflict = decode(ConflictPayload, message.data);
    if (conflict.ok && conflict.value.entity_id === id) return conflict.value;
    sequence = message.seq + 1;
  }
  return undefined;
}

/** @throws CheckSkipped when this user may not read the stream, as the least privileged client may not. */
async function readableStreams(
  connection: Parameters<typeof jetstreamManager>[0],
  timeout: number,
): Promise<JetStreamManager['streams']> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false, timeout });
  try {
    const { state } = await streams.info(SIGNALS_STREAM);
    if (state.messages > 0) await streams.getMessage(SIGNALS_STREAM, { seq: state.last_seq });
    return streams;
  } catch (error) {
    if (permissionViolation(error) !== undefined) throw new CheckSkipped('this user may not read the stream');
    throw new CheckFailed(`${SIGNALS_STREAM}: expected a stream that can be read, got ${describeError(error)}`);
  }
}
