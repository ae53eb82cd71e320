import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { expect, test } from 'vitest';
import { SimulatedNats } from '../src/index.ts';

test('a stream stores, answers, and a consumer delivers', async () => {
  const nats = new SimulatedNats({ seed: 1 });
  const work = async () => {
    const connection = await nats.connect(nats.process('client'));
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'S', subjects: ['s.>'] });
    const js = jetstream(connection);
    const ack = await js.publish('s.a', 'hello', { msgID: 'x' });
    expect(ack.seq).toBe(1);
    expect((await js.publish('s.a', 'hello', { msgID: 'x' })).duplicate).toBe(true);
    await manager.consumers.add('S', { durable_name: 'c', ack_policy: 'explicit' });
    const consumer = await js.consumers.get('S', 'c');
    const message = await consumer.next();
    expect(message?.string()).toBe('hello');
    message?.ack();
    await connection.flush();
    expect((await consumer.info()).num_ack_pending).toBe(0);
    await connection.drain();
  };
  await nats.time.through(work());
});
