import { createInbox, nuid } from '@nats-io/nats-core';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import type { Address, Contender, DurableClient, Host, Service } from '../../contender.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { natsMessages, sharedNatsServer } from '../../servers/nats.ts';
import { jetstreamQueue, outcomeHeader, type QueueKind } from '../../services/jetstream-queue.ts';
import { leanPublisher } from '../lean-publisher.ts';
import { startServing } from '../start-serving.ts';
import { watchStream } from '../watch-stream.ts';
import { Outcomes } from './outcomes.ts';

const script = new URL('../../services/jetstream-worker.ts', import.meta.url);

async function start(host: Host, kind: QueueKind, fsync = false): Promise<Service> {
  const nats = await sharedNatsServer(host, { fsync });
  const worker = await startServing('the worker of the work queue', script, [nats.url, kind]);
  return {
    address: { url: nats.url, monitorUrl: nats.monitorUrl },
    versions: { 'nats-server': nats.version, '@nats-io/jetstream': libraryVersion('@nats-io/jetstream') },
    pids: () => [nats.pid, worker.pid ?? 0],
    stop: async () => void (await worker.stop()),
  };
}

async function connect({ url, monitorUrl }: Address, kind: QueueKind): Promise<DurableClient> {
  const { jobs, jobPrefix, counters, counterPrefix, doneSubject } = jetstreamQueue(kind);
  const connection = await connectNats({ servers: String(url) });
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const publish = leanPublisher(connection);
  const queue = await watchStream(String(url), jobs);
  const outcomes = new Outcomes();
  const inbox = `${createInbox()}.`;
  connection.subscribe(`${inbox}*`, {
    callback: (_error, { subject }) => outcomes.tell(subject.slice(inbox.length)),
  });
  const count = async (entity: string): Promise<number> => {
    const last = await manager.direct.getMessage(counters, { last_by_subj: counterPrefix + entity });
    return last?.json<{ count: number }>().count ?? 0;
  };
  return {
    create: () => Promise.resolve(),
    async send(entity) {
      const id = nuid.next();
      const outcome = outcomes.open(id);
      const headers = `${outcomeHeader}: ${inbox}${id}\r\n${kind === 'floor' ? '' : `Nats-Msg-Id: ${id}\r\n`}`;
      await publish(jobPrefix + entity, JSON.stringify({ entity, delta: 1 }), headers);
      return outcome;
    },
    pending: async () => await queue.messages(),
    counters: async (entities) =>
      kind === 'counter'
        ? await Promise.all(entities.map(count))
        : Number((await connection.request(doneSubject)).string()),
    messages: async () => await natsMessages(String(monitorUrl)),
    async close() {
      await queue.close();
      await connection.close();
    },
  };
}

const about =
  'a work queue with explicit acknowledgements and one worker that has 256 jobs in hand; the count is published with a compare-and-set and the id of the job: exactly once within ten minutes, in no order';

export const jetstream: Contender<DurableClient> = {
  id: 'jetstream',
  name: 'JetStream work queue',
  about,
  durability: 'written',
  start: async (host) => await start(host, 'counter'),
  connect: async (address) => await connect(address, 'counter'),
};

export const jetstreamFsync: Contender<DurableClient> = {
  id: 'jetstream-fsync',
  name: 'JetStream work queue, fsync',
  about: `${about}; server with sync_interval: always`,
  durability: 'fsync',
  start: async (host) => await start(host, 'counter', true),
  connect: async (address) => await connect(address, 'counter'),
};

export const jetstreamFloor: Contender<DurableClient> = {
  id: 'jetstream-floor',
  name: 'Floor (jobs that do nothing)',
  about: 'the same queue, but a job has no id, and the worker only acknowledges it: no state, at least once',
  durability: 'written',
  start: async (host) => await start(host, 'floor'),
  connect: async (address) => await connect(address, 'floor'),
};
