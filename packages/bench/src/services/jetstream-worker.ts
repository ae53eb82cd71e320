/**
 * The worker of a bare JetStream work queue: `jetstream-worker <nats url> <counter|floor>`. For each job it publishes the
 * entity's new count with a compare-and-set and the job's id, so that one that is delivered again changes nothing. It keeps no
 * order: of two jobs on one entity, whichever wins the compare-and-set is first.
 */
import { AckPolicy, jetstream, jetstreamManager, type JsMsg } from '@nats-io/jetstream';
import { nanos } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { leanPublisher } from '../contenders/lean-publisher.ts';
import { expecting } from '../contenders/updates/floor.ts';
import { dedupeWindowMs, jetstreamQueue, outcomeHeader, type QueueKind } from './jetstream-queue.ts';

interface Known {
  readonly sequence: number;
  readonly count: number;
}

/** As many as an agent of MeshForge tries at once. */
const atOnce = 256;

const [url = '', kind = ''] = process.argv.slice(2);
const queue = jetstreamQueue(kind as QueueKind);
const connection = await connect({ servers: url, name: `worker ${kind}` });
const manager = await jetstreamManager(connection, { checkAPI: false });
const publish = leanPublisher(connection);
const known = new Map<string, Known>();
let done = 0;

const streams = { storage: 'file', duplicate_window: nanos(dedupeWindowMs), allow_direct: true } as const;
await manager.streams.add({ ...streams, name: queue.jobs, subjects: [`${queue.jobPrefix}>`], retention: 'workqueue' });
await manager.streams.add({ ...streams, name: queue.counters, subjects: [`${queue.counterPrefix}>`] });
await manager.consumers.add(queue.jobs, {
  durable_name: 'worker',
  ack_policy: AckPolicy.Explicit,
  max_ack_pending: atOnce,
});

async function read(entity: string): Promise<Known> {
  const last = await manager.direct.getMessage(queue.counters, { last_by_subj: queue.counterPrefix + entity });
  return last === null
    ? { sequence: 0, count: 0 }
    : { sequence: last.seq, count: last.json<{ count: number }>().count };
}

async function add(entity: string, id: string): Promise<void> {
  for (;;) {
    const before = known.get(entity) ?? (await read(entity));
    const count = before.count + 1;
    const headers = `${expecting(before.sequence)}Nats-Msg-Id: ${id}\r\n`;
    try {
      const { sequence, isDuplicate } = await publish(
        queue.counterPrefix + entity,
        JSON.stringify({ entity, count }),
        headers,
      );
      if (isDuplicate) known.delete(entity);
      else if ((known.get(entity)?.sequence ?? 0) < sequence) known.set(entity, { sequence, count });
      return;
    } catch (error) {
      if (!String(error).includes('wrong last sequence')) throw error;
      // Another job of this worker mostly has won, and has left here what it wrote.
      if (known.get(entity)?.sequence === before.sequence) known.delete(entity);
    }
  }
}

async function work(job: JsMsg): Promise<void> {
  try {
    if (kind === 'counter') await add(job.subject.slice(queue.jobPrefix.length), job.headers?.get('Nats-Msg-Id') ?? '');
    job.ack();
    done++;
    connection.publish(job.headers?.get(outcomeHeader) ?? '', 'done');
  } catch {
    job.nak();
  }
}

connection.subscribe(queue.doneSubject, { callback: (_error, message) => void message.respond(String(done)) });
const consumer = await jetstream(connection, { checkAPI: false }).consumers.get(queue.jobs, 'worker');
await consumer.consume({ max_messages: atOnce, callback: (job) => void work(job) });
process.send?.('serving');
process.once('disconnect', () => process.exit(1));
