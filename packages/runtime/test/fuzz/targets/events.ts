import { liveEvent } from '../../../src/client/event-of.ts';
import { frame, messageOf, readFrame } from '../frames.ts';
import { must, type Target } from '../target.ts';

/** Live events, as a client follows them: anybody who may publish there can say anything. */
export const events: Target = {
  name: 'live events',
  seeds: [
    frame(
      'evt.inventory.updated',
      ['Nats-Sequence: 7', 'Nats-Time-Stamp: 2026-01-31T12:00:00Z', 'Mesh-Command-Id: c', 'Mesh-Correlation-Id: o'],
      '{"entity_id":"sku-1","entity_version":4,"state":{"name":"bolt"},"data":{"a":1}}',
    ),
    frame('evt.inventory.deleted', ['Nats-Sequence: 8'], '{"entity_id":"sku-1","entity_version":5,"state":null}'),
    frame('evt.lock.denied', ['Mesh-Command-Id: c'], '{"entity_id":"a","code":"held"}'),
    frame('evt.inventory.conflict', [], '{"entity_id":"a","expected_version":1,"current_version":0}'),
  ],
  words: ['Nats-Sequence: ', 'evt.', 'rejected'],
  run(input) {
    const read = readFrame(input);
    const message = messageOf(read, read.words[0] ?? '');
    try {
      void message.headers;
    } catch {
      // The client library throws; whoever subscribes sees the error and not the message.
      return;
    }
    const event = liveEvent(message);
    if (event === undefined) return;
    must(typeof event.commandId === 'string', 'no command id');
    if (event.kind === 'signal') {
      must(isObject(event.payload), 'the payload is no object', event.payload);
      return;
    }
    must(typeof event.entityId === 'string', 'no entity');
    must(
      Number.isSafeInteger(event.entityVersion) && event.entityVersion >= 1,
      'the version is none',
      event.entityVersion,
    );
    must(event.state === null || isObject(event.state), 'the state is no object', event.state);
    must(event.data === undefined || isObject(event.data), 'the data is no object', event.data);
    must(Number.isSafeInteger(event.sequence) && event.sequence >= 0, 'the sequence is none', String(event.sequence));
  },
};

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
