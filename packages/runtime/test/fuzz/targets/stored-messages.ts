import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { readFences } from '../../../src/core/fences.ts';
import { findCommit, listCommits, remembersAll } from '../../../src/core/recent.ts';
import { entityOf } from '../../../src/core/entity.ts';
import { logMessage, type StoredMessage } from '../../../src/nats/stored-message.ts';
import { items, leases } from '../agents.ts';
import { frame, readFrame, type Frame } from '../frames.ts';
import { must, type Target } from '../target.ts';

/** A message of an agent's log, made an entity. What no agent wrote throws, as it is documented; nothing else does. */
export const storedMessages: Target = {
  name: 'stored messages',
  seeds: [
    frame(
      'ent.inventory.sku-1.updated 7',
      ['Mesh-Command-Id: c', 'Mesh-Recent: abc.1.5 def.2.6', 'Mesh-Fences: job.3 a%2Eb.zz'],
      '{"entity_id":"sku-1","entity_version":3,"state":{"name":"bolt","quantity":1,"reserved":0,"reservations":{}}}',
    ),
    frame(
      'ent.inventory.a%2Eb.deleted 9',
      ['Mesh-Command-Id: c'],
      '{"entity_id":"a.b","entity_version":1,"state":null}',
    ),
    frame(
      'ent.lock.job.acquired 3',
      [
        'Mesh-Command-Id: c',
        'Nats-Schedule: @at 2026-01-31T12:00:30.000Z',
        'Nats-Schedule-Target: ent.lock.job.expired',
      ],
      '{"entity_id":"job","entity_version":2,"state":{"owner_id":"ann","fencing_token":2,"acquired_at":"2026-01-31T12:00:00.000Z","expires_at":"2026-01-31T12:00:30.000Z"}}',
    ),
    frame(
      'ent.lock.job.expired 4',
      [
        'Mesh-Command-Id: c',
        'Nats-Scheduler: ent.lock.job.acquired',
        'Mesh-Recent: abc.1.1.{"event":"acquired","state":null}',
      ],
      '{"entity_id":"job","entity_version":2,"state":{"owner_id":"ann","fencing_token":2}}',
    ),
  ],
  words: [
    'Mesh-Recent: ',
    'Mesh-Fences: ',
    'job.3',
    'Nats-Schedule: @at ',
    'Nats-Scheduler: ',
    '.1.1',
    '"entity_version":',
    '"state":',
  ],
  run(input) {
    const stored = storedOf(readFrame(input));
    if (stored === undefined) return;
    for (const agent of [items, leases]) {
      let entity;
      try {
        entity = entityOf(agent, logMessage(agent, stored));
      } catch (error) {
        if (error instanceof TypeError || error instanceof SyntaxError) continue;
        throw error;
      }
      const { fences, lease, recent, sequence, state, version } = entity;
      must(sequence === stored.sequence, 'another sequence', sequence);
      must(Number.isSafeInteger(version) && version >= 1, 'the version is none', version);
      must(state === null || (typeof state === 'object' && !Array.isArray(state)), 'the state is no object', state);
      must(lease === undefined || Number.isFinite(lease.endsAt), 'the lease ends at no time', lease);
      for (const commit of listCommits(recent)) {
        must(
          Number.isSafeInteger(commit.version) && Number.isSafeInteger(commit.sequence),
          'a recent commit is none',
          commit,
        );
        if (commit.digest !== '')
          must(findCommit(recent, commit.digest) !== undefined, 'a recent commit is not found', commit.digest);
      }
      remembersAll(recent);
      must(readFences(fences) === fences, 'it remembers tokens that it could not read again', fences);
    }
  },
};

/** As the server hands it out; undefined where the headers are none that a server keeps. */
function storedOf({ body, headers, words }: Frame): StoredMessage | undefined {
  const [subject = '', sequence = ''] = words;
  try {
    return {
      subject,
      sequence: /^[1-9]\d{0,11}$/.test(sequence) ? Number(sequence) : 1,
      time: '2026-01-31T12:00:00.000Z',
      headers: headers === undefined ? new MsgHdrsImpl() : MsgHdrsImpl.decode(headers),
      data: body,
    };
  } catch {
    return undefined;
  }
}
