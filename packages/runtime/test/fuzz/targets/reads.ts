import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { EntityReader } from '../../../src/nats/entity-reader.ts';
import type { Answer, RequestPort } from '../../../src/nats/requester.ts';
import { entityHistory } from '../../../src/store/entity-history.ts';
import { items, leases } from '../agents.ts';
import { frame, messageOf, readFrame } from '../frames.ts';
import { must, type Target } from '../target.ts';

/** Entities as they are read over JetStream, from any replica and from the leader: a read answers, and never throws. */
export const reads: Target = {
  name: 'reads',
  seeds: [
    frame(
      'direct',
      [
        'Nats-Subject: ent.inventory.a.0.updated',
        'Nats-Sequence: 7',
        'Nats-Time-Stamp: 2026-01-31T12:00:00Z',
        'Mesh-Command-Id: c',
      ],
      '{"entity_id":"a","entity_version":3,"state":{"name":"bolt"}}',
    ),
    frame(
      'direct',
      ['Nats-Subject: ent.lock.a.x.expired', 'Nats-Sequence: 7', 'Nats-Scheduler: ent.lock.a.3.acquired'],
      '{"entity_version":3,"state":{}}',
    ),
    frame(
      'direct',
      [
        'Nats-Subject: ent.lock.a.refused',
        'Nats-Sequence: 7',
        'Mesh-Recent: 0.0',
        'Mesh-Mark: 5.5',
        'Mesh-Lease: acquired 3 9',
      ],
      '{"entity_version":3,"state":{},"refusal":{"kind":"denied","payload":{"reason":"why"}}}',
    ),
    '\nNATS/1.0 404 Message Not Found\r\n\r\n',
    '\nNATS/1.0 408 Bad Request\r\n\r\n',
    frame(
      '',
      [],
      `{"message":{"subject":"ent.inventory.a.0.created","seq":3,"time":"2026-01-31T12:00:00Z","hdrs":"${headers()}","data":"${body()}"}}`,
    ),
    frame('', [], '{"error":{"code":404,"err_code":10037,"description":"no message found"}}'),
  ],
  words: ['"message":', '"hdrs":"', '"data":"', '"seq":', 'Nats-Subject: ent.inventory.a.0.', 'Nats-Sequence: '],
  async run(input) {
    const message = messageOf(readFrame(input), '_INBOX.a');
    try {
      void message.headers;
    } catch {
      return;
    }
    const answer = { kind: 'answer', message } as const;
    for (const agent of [items, leases]) {
      for (const isReplicated of [false, true]) {
        const reader = new EntityReader({ agent, requester: portOf(answer), isReplicated: () => isReplicated });
        for (const authoritative of [false, true]) {
          const read = await reader.entity('a', authoritative);
          if (read.kind === 'unavailable') must(typeof read.why === 'string', 'no reason');
          else must(Number.isSafeInteger(read.value.version), 'the version is none', read.value.version);
        }
      }
    }
  },
};

/** The history of an entity: read along the sequences that its messages remember. */
export const histories: Target = {
  ...reads,
  name: 'histories',
  async run(input) {
    const message = messageOf(readFrame(input), '_INBOX.a');
    try {
      void message.headers;
    } catch {
      return;
    }
    const answer = { kind: 'answer', message } as const;
    let requests = 0;
    const { request, requestBatch } = portOf(answer);
    const port: RequestPort = {
      request: (...asked) => {
        requests++;
        return request(...asked);
      },
      requestBatch,
    };
    try {
      const reader = new EntityReader({ agent: items, requester: port, isReplicated: () => false });
      await entityHistory(items, reader, 'a', 50, Number.POSITIVE_INFINITY);
    } catch (error) {
      // A message that no agent wrote: the intake answers that the query failed.
      if (!(error instanceof TypeError || error instanceof SyntaxError || error instanceof RangeError)) throw error;
    }
    must(requests < 1_000, 'too many requests for one history', requests);
  },
};

/** A port that has one answer to all. */
function portOf(answer: Answer & { kind: 'answer' }): RequestPort {
  return {
    request: () => Promise.resolve(answer),
    requestBatch: () => Promise.resolve({ kind: 'answer', messages: [answer.message, answer.message] }),
  };
}

function headers(): string {
  const built = new MsgHdrsImpl();
  built.set('Mesh-Command-Id', 'c');
  return Buffer.from(built.encode()).toString('base64');
}

function body(): string {
  return Buffer.from('{"entity_id":"a","entity_version":1,"state":null}').toString('base64');
}
