import { isDeepStrictEqual } from 'node:util';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { readFences } from '../../../src/core/fences.ts';
import { findCommand, listCommands } from '../../../src/core/recent.ts';
import { entityAfter, entityIn } from '../../../src/core/entity.ts';
import { logMessage, type StoredMessage } from '../../../src/nats/stored-message.ts';
import { items, leases } from '../agents.ts';
import { frame, readFrame, type Frame } from '../frames.ts';
import { must, type Target } from '../target.ts';

/** A message of an agent's log, made an entity. What no agent wrote throws, as it is documented; nothing else does. */
export const storedMessages: Target = {
  name: 'stored messages',
  seeds: [
    frame(
      'ent.inventory.sku-1.0.updated 7',
      [
        'Mesh-Command-Id: c',
        'Mesh-Body: body_1',
        'Mesh-Mark: zz.zz',
        'Mesh-Recent: 0.0 abc.b..5 def...6!',
        'Mesh-Fences: job.3 a%2Eb.zz',
      ],
      '{"entity_id":"sku-1","entity_version":3,"state":{"name":"bolt","quantity":1,"reserved":0,"reservations":{}}}',
    ),
    frame(
      'ent.inventory.a%2Eb.0.deleted 9',
      ['Mesh-Command-Id: c'],
      '{"entity_id":"a.b","entity_version":1,"state":null}',
    ),
    frame(
      'ent.lock.job.2.acquired 3',
      [
        'Mesh-Command-Id: c',
        'Nats-Schedule: @at 2026-01-31T12:00:30.000Z',
        'Nats-Schedule-Target: ent.lock.job.x.expired',
      ],
      '{"entity_id":"job","entity_version":2,"state":{"owner_id":"ann","fencing_token":2,"acquired_at":"2026-01-31T12:00:00.000Z","expires_at":"2026-01-31T12:00:30.000Z"}}',
    ),
    frame(
      'ent.lock.job.x.expired 4',
      [
        'Mesh-Command-Id: c',
        'Nats-Scheduler: ent.lock.job.2.acquired',
        'Mesh-Recent: 0.0 abc...1.{"event":"acquired","state":null}',
      ],
      '{"entity_id":"job","entity_version":2,"state":{"owner_id":"ann","fencing_token":2}}',
    ),
    frame(
      'ent.lock.job.refused 5',
      [
        'Mesh-Command-Id: d',
        'Mesh-Body: -',
        'Mesh-Mark: 7.9',
        'Mesh-Lease: acquired 2 1769860830000',
        'Mesh-Recent: 1.4 abc..0.1',
      ],
      '{"entity_version":2,"state":{"owner_id":"ann"},"refusal":{"kind":"denied","payload":{"code":"held","reason":"why"}}}',
    ),
    frame('ent.inventory.new.refused 6', ['Mesh-Mark: 8.1', 'Mesh-Recent: 0.0'], '{"entity_version":0,"state":null}'),
  ],
  words: [
    'Mesh-Recent: ',
    'Mesh-Fences: ',
    'Mesh-Mark: ',
    'Mesh-Lease: ',
    'Mesh-Body: ',
    'Mesh-Unchanged: true',
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
      let message;
      try {
        message = logMessage(stored);
      } catch (error) {
        if (error instanceof TypeError || error instanceof SyntaxError) continue;
        throw error;
      }
      const { entry } = message;
      const entity = entityAfter(agent, entry, message.sequence);
      must(isDeepStrictEqual(entityIn(agent, [message]), entity), 'alone in its log, it makes another entity');
      const { fences, lease, mark, recent, sequence, state, version } = entity;
      must(sequence === stored.sequence, 'another sequence', sequence);
      must(
        Number.isSafeInteger(version) && version >= (entry.kind === 'record' ? 0 : 1),
        'the version is none',
        version,
      );
      for (const part of [mark.sequence, mark.storedAt]) {
        must(Number.isSafeInteger(part) && part >= 0, 'the mark is none', mark);
      }
      must(state === null || (typeof state === 'object' && !Array.isArray(state)), 'the state is no object', state);
      must(lease === undefined || Number.isFinite(lease.endsAt), 'the lease ends at no time', lease);
      for (const command of listCommands(recent)) {
        must(
          Number.isSafeInteger(command.version) && Number.isSafeInteger(command.sequence),
          'a recent command is none',
          command,
        );
        if (command.digest !== '')
          must(findCommand(recent, command.digest) !== undefined, 'a recent command is not found', command.digest);
      }
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
