/** A command may say until when it matters: after that it is refused. */
import { HEADERS } from '@meshforge/protocol';
import type { CheckContext } from '../check-context.ts';
import { fact } from '../check.ts';
import { expectItem, expectRejected, expectReplayed } from '../expect-outcome.ts';
import { expectEqual, expectThat } from '../expect.ts';
import { createItem, expectItemIs } from './steps.ts';

const minuteMs = 60_000;

export const deadlineChecks = [
  fact('a command whose Mesh-Not-After has passed is rejected with expired, and changes nothing', async (context) => {
    const id = await createItem(context);
    const headers = { [HEADERS.notAfter]: iso((await serverTime(context)) - minuteMs) };
    const reply = await context.inventory.send('adjust', id, { delta: 1 }, { headers });
    expectRejected(reply, 'expired');
    expectEqual('subject of the event', (await context.events.announced(reply)).subject, 'evt.inventory.rejected');
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),

  fact('a command that was committed in time is not expired when it is sent again too late', async (context) => {
    const id = await createItem(context);
    const now = await serverTime(context);
    const commandId = context.newId('in-time');
    const until = (ms: number): { headers: Record<string, string> } => {
      return { headers: { [HEADERS.commandId]: commandId, [HEADERS.notAfter]: iso(ms) } };
    };
    const first = await context.inventory.send('adjust', id, { delta: 1 }, until(now + minuteMs));
    expectItem(first, 'adjusted', 2);
    const late = await context.inventory.send('adjust', id, { delta: 1 }, until(now - minuteMs));
    expectEqual('payload of the retry', expectReplayed(late), first.payload);
  }),

  fact('a Mesh-Not-After that is no time is rejected with invalid_command', async (context) => {
    const id = await createItem(context);
    const headers = { [HEADERS.notAfter]: 'tomorrow' };
    expectRejected(await context.inventory.send('adjust', id, { delta: 1 }, { headers }), 'invalid_command');
    await expectItemIs(context, id, 1, { quantity: 10 });
  }),
];

/** Milliseconds since 1970 by the clock that counts, the server's, as any reply tells it. */
async function serverTime(context: CheckContext): Promise<number> {
  const reply = await context.inventory.send('create', context.newItem('clock'), { name: 'smoke' });
  const text = reply.header(HEADERS.serverTime);
  const time = Date.parse(text ?? '');
  expectThat(`${HEADERS.serverTime} of the reply`, !Number.isNaN(time), 'a time', text);
  return time;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
