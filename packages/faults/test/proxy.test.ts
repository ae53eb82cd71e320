// Hunts: bytes that a link loses, reorders or lets through although it must not, and ends that it does not pass on.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Link, type LinkPlan } from '../src/proxy/link.ts';
import { endWithTest } from './support/end-with-test.ts';

/** A client, a link and a server, as far as they are connected. */
interface Way {
  readonly link: Link;
  readonly client: Socket;
  readonly server: Socket;
  /** What each end has received so far. */
  readonly atClient: () => string;
  readonly atServer: () => string;
}

async function open(speaks: LinkPlan['speaks'] = 'route'): Promise<Way> {
  const listener = createServer((socket) => void socket.on('error', () => {}));
  onTestFinished(() => void listener.close());
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const link = endWithTest(await Link.open({ name: 'test', targetPort: port, speaks }));
  const accepted = once(listener, 'connection');
  const client = connect(link.port, '127.0.0.1');
  const [server] = (await accepted) as [Socket];
  const received = [client, server].map((socket) => {
    let text = '';
    socket.on('error', () => {}).on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    onTestFinished(() => void socket.destroy());
    return () => text;
  });
  return { link, client, server, atClient: received[0] as () => string, atServer: received[1] as () => string };
}

function connectTo(link: Link): Socket {
  const socket = connect(link.port, '127.0.0.1').on('error', () => {});
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** However it ends. */
async function closeOf(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => void socket.once('close', () => resolve()));
}

async function arrives(text: () => string, expected: string): Promise<void> {
  await vi.waitFor(() => expect(text()).toBe(expected), { timeout: 20_000, interval: 5 });
}

test('what one end says arrives at the other, all of it and in order', async () => {
  const { client, server, atClient, atServer } = await open();
  const long = Array.from({ length: 50_000 }, (_, index) => `${index} `).join('');
  client.write(long);
  server.write(long);
  await arrives(atServer, long);
  await arrives(atClient, long);
});

test('a cut resets both ends, and new connections may be made at once', async () => {
  const { link, client, server } = await open();
  const closed = Promise.all([closeOf(client), closeOf(server)]);
  link.cut();
  await closed;
  await vi.waitFor(() => expect(link.connections).toBe(0), 20_000);
  connectTo(link);
  await vi.waitFor(() => expect(link.connections).toBe(1), 20_000);
});

test('a link that refuses resets new connections and leaves those that stand', async () => {
  const { link, client, atServer } = await open();
  const undo = link.disturb({ refuses: true });
  await closeOf(connectTo(link));
  client.write('still here');
  await arrives(atServer, 'still here');
  undo();
  connectTo(link);
  await vi.waitFor(() => expect(link.connections).toBe(2), 20_000);
});

test.each(['toServer', 'toClient'] as const)(
  'a delay %s holds up that direction, and not the other',
  async (direction) => {
    const { link, client, server, atClient, atServer } = await open();
    const [from, to, reverse] = direction === 'toServer' ? [client, atServer, server] : [server, atClient, client];
    link.disturb({ [direction]: { delayMs: 500 } });
    from.write('late');
    reverse.write('undelayed');
    await arrives(direction === 'toServer' ? atClient : atServer, 'undelayed');
    expect(to()).toBe('');
    await arrives(to, 'late');
  },
);

test('bytes do not overtake when a delay ends', async () => {
  const { link, client, atServer } = await open();
  const undo = link.disturb({ toServer: { delayMs: 200 } });
  client.write('first ');
  await sleep(50);
  undo();
  client.write('second');
  await arrives(atServer, 'first second');
});

test.each(['toServer', 'toClient'] as const)(
  'what is held %s arrives when it is over, the end as well',
  async (direction) => {
    const { link, client, server, atClient, atServer } = await open();
    const [from, far, text] = direction === 'toServer' ? [client, server, atServer] : [server, client, atClient];
    const undo = link.disturb({ [direction]: { holds: true } });
    const closed = closeOf(far);
    from.end('held');
    await sleep(100);
    expect(text()).toBe('');
    expect(far.destroyed).toBe(false);
    undo();
    await arrives(text, 'held');
    await closed;
  },
);

test('a link that holds keeps only so much, and its source waits', async () => {
  const { link, client, atServer } = await open();
  const undo = link.disturb({ toServer: { holds: true } });
  const much = 'x'.repeat(20_000_000);
  client.write(much);
  await sleep(200);
  expect(client.writableLength).toBeGreaterThan(1_000_000);
  undo();
  await vi.waitFor(() => expect(atServer().length).toBe(much.length), 20_000);
});

test('deliveries are dropped by their subject, however the bytes are cut, and nothing else is', async () => {
  const { link, server, atClient } = await open('client');
  link.disturb({ drops: (subject) => subject.startsWith('_INBOX') });
  const kept = [
    'INFO {"a":1}\r\n',
    'PING\r\n',
    'MSG evt.a.b 1 4\r\n_INB\r\n',
    'HMSG x 2 y 3 7\r\nabc\r\n_I\r\n',
    '+OK\r\n',
  ];
  const dropped = ['MSG _INBOX.1.2 3 5\r\nlost!\r\n', 'HMSG _INBOX.1.3 3 12 14\r\nNATS/1.0\r\n\r\n{}\r\n'];
  const all = [kept[0], dropped[0], kept[1], kept[2], dropped[1], dropped[0], kept[3], kept[4]].join('');
  for (let at = 0; at < all.length; at += 7) {
    server.write(all.slice(at, at + 7));
    await sleep(1);
  }
  await arrives(atClient, kept.join(''));
});

test('disturbances add up, and each ends once', async () => {
  const { link, client, atServer } = await open();
  const first = link.disturb({ toServer: { holds: true } });
  const second = link.disturb({ toServer: { holds: true } });
  client.write('held twice');
  first();
  first();
  await sleep(50);
  expect(atServer()).toBe('');
  second();
  await arrives(atServer, 'held twice');
});
