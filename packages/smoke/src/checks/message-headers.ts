/** What rides along with a command, and what must not. */
import { HEADERS } from '@meshforge/protocol';
import { createInbox, headers as newHeaders } from '@nats-io/transport-node';
import type { CheckContext } from '../check-context.ts';
import { fact } from '../check.ts';
import { expectConflict, expectItem } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import type { Reply } from '../reply.ts';
import { createItem, createUpdatedItem, expectItemIs } from './steps.ts';

export const messageHeaderChecks = [
  fact('correlation, causation and trace headers are copied to the event and the reply', async (context) => {
    const id = await createItem(context);
    const headers = callersHeaders(context);
    const reply = await context.inventory.send('update', id, { quantity: 1 }, { expect: 1, headers });
    expectItem(reply, 'updated', 2);
    await expectCopied(context, reply, headers);
  }),

  fact('a conflict carries the headers of its command too', async (context) => {
    const id = await createUpdatedItem(context);
    const headers = callersHeaders(context);
    const reply = await context.inventory.send('update', id, { quantity: 1 }, { expect: 1, headers });
    expectConflict(reply, 1, 2);
    await expectCopied(context, reply, headers);
  }),

  fact('a caller’s Nats-* headers neither reach the log nor change what is committed', async (context) => {
    const id = await createItem(context);
    const headers = {
      'Nats-Msg-Id': context.newId('foreign'),
      'Nats-Expected-Last-Sequence': '1',
      'Nats-Expected-Stream': 'OTHER',
      'Nats-Rollup': 'all',
      'Nats-TTL': '1s',
    };
    const reply = await context.inventory.send('update', id, { quantity: 1 }, { expect: 1, headers });
    expectItem(reply, 'updated', 2);
    const event = await context.events.announced(reply);
    for (const name of ['Nats-Expected-Last-Sequence', 'Nats-Expected-Stream', 'Nats-Rollup', 'Nats-TTL']) {
      expectEqual(`${name} of the event`, event.header(name), undefined);
    }
    await expectItemIs(context, id, 2, { quantity: 1 });
  }),

  fact('a command gets exactly one reply', async (context) => {
    const id = await createItem(context);
    const inbox = createInbox(context.inboxPrefix);
    const subscription = context.connection.subscribe(inbox, { callback: () => undefined });
    try {
      const headers = newHeaders();
      headers.set(HEADERS.commandId, context.newId('counted'));
      const body = JSON.stringify({ entity_id: id, expected_version: 1, data: { delta: 1 } });
      context.connection.publish('cmd.inventory.adjust', body, { reply: inbox, headers });
      await context.events.next('evt.inventory.adjusted', ({ subject, payload }) => {
        return subject === 'evt.inventory.adjusted' && payload['entity_id'] === id;
      });
      // Every replica that might answer has had as long as it takes one to answer something else.
      await expectItemIs(context, id, 2, { quantity: 11 });
      await context.sleep(100);
      expectEqual('replies', subscription.getReceived(), 1);
    } finally {
      subscription.unsubscribe();
    }
  }),
];

/** What must be as it was: an agent that traces writes its own span into the trace that it was given. */
function copied(name: string, value: string | undefined): string | undefined {
  return name === HEADERS.traceparent ? value?.split('-', 2).join('-') : value;
}

async function expectCopied(context: CheckContext, reply: Reply, headers: Record<string, string>): Promise<void> {
  const event = await context.events.announced(reply);
  for (const [name, value] of Object.entries(headers)) {
    expectEqual(`${name} of the reply`, copied(name, reply.header(name)), copied(name, value));
    expectEqual(`${name} of the event`, copied(name, event.header(name)), copied(name, value));
  }
}

function callersHeaders(context: CheckContext): Record<string, string> {
  return {
    [HEADERS.commandId]: context.newId('traced'),
    [HEADERS.correlationId]: context.newId('correlation'),
    [HEADERS.causationId]: context.newId('causation'),
    [HEADERS.traceparent]: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    [HEADERS.tracestate]: 'vendor=smoke',
    [HEADERS.baggage]: 'run=smoke',
  };
}
