import { inventoryContract, lockContract } from '@meshforge/protocol';
import { expect, test } from 'vitest';
import { SimulatedNats } from '../../../../tooling/simulated-nats/src/index.ts';
import { startAgentOn } from '../../src/start-agent.ts';
import { Mesh } from '../../src/client/mesh.ts';
import { inventory } from '../../../../apps/inventory/src/index.ts';
import { lockManager } from '../../../../apps/lock-manager/src/index.ts';

test.each([1,3])('runs with %i nodes', async (nodes) => {
  const nats = new SimulatedNats({ seed: 1, nodes });
  const start = async (agent: any, name: string) => {
    const process = nats.process(name);
    return await startAgentOn({ clock: process.clock, connect: (options: any) => nats.connect(process, { inboxPrefix: options.inboxPrefix, name }) }, agent, { streamReplicas: nodes, logger: { debug: () => {}, info: () => {}, warn: (o: any, t: string) => console.log(t, o), error: (o: any, t: string) => console.log(t, o) } } as any);
  };
  const t0 = performance.now();
  const work = async () => {
    const a = await start(inventory, 'a');
    const b = await start(inventory, 'b');
    const l = await start(lockManager, 'l');
    console.log('started', nats.time.now - Date.UTC(2026, 0, 1), performance.now() - t0);
    const client = nats.process('client');
    const mesh = new Mesh(await nats.connect(client), {}, client.clock);
    const out = await mesh.request(inventoryContract, 'create', { entityId: 'bolt', data: { name: 'Bolt', quantity: 10 } });
    expect(out.kind).toBe('committed');
    const sent = await mesh.send(inventoryContract, 'adjust', { entityId: 'bolt', data: { delta: 3 } });
    console.log(await sent.outcome());
    const later = await mesh.send(inventoryContract, 'adjust', { entityId: 'bolt', data: { delta: 3 }, afterMs: 1000 });
    console.log(await later.outcome());
    const r = await mesh.lock('x', { waitMs: 5000 }, async (lease) => lease.fencingToken);
    console.log(r);
    console.log(await mesh.get(inventoryContract, 'bolt'));
    const lease = await mesh.acquire('y', { ttlMs: 1000 });
    await client.clock.sleep(5000);
    console.log(lease.remainingMs(), lease.loss);
    client.kill();
    await nats.time.sleep(3000);
    console.log(nats.jetstream.streams.get('ENTITIES_lock')?.store.last('ent.lock.>')?.subject);
    await a.stop(); await b.stop(); await l.stop();
    console.log('end', nats.time.now - Date.UTC(2026, 0, 1));
  };
  await nats.time.through(work());
  console.log('events', nats.time.events, performance.now() - t0);
});
