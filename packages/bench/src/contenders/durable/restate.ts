import { connect as connectIngress, SendOpts } from '@restatedev/restate-sdk-clients';
import { nuid } from '@nats-io/nats-core';
import type { Address, Contender, DurableClient } from '../../contender.ts';
import type { Counter } from '../../services/restate-counter.ts';
import { startRestateService } from '../restate-service.ts';

const object = { name: 'counter' } as const;
const unfinished = `SELECT count(*) AS jobs FROM sys_invocation WHERE target_service_name = 'counter' AND status <> 'completed'`;

function connect({ url, adminUrl }: Address): Promise<DurableClient> {
  const ingress = connectIngress({ url: String(url) });
  return Promise.resolve({
    create: () => Promise.resolve(),
    async send(entity) {
      const options = SendOpts.from<number>({ idempotencyKey: nuid.next() });
      const sent = await ingress.objectSendClient<Counter>(object, entity).add(1, options);
      return async () => await ingress.result(sent);
    },
    pending: async () => await countUnfinished(String(adminUrl)),
    counters: async (entities) =>
      await Promise.all(entities.map(async (entity) => await ingress.objectClient<Counter>(object, entity).count())),
    close: () => Promise.resolve(),
  });
}

async function countUnfinished(adminUrl: string): Promise<number> {
  const response = await fetch(`${adminUrl}/query`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ query: unfinished }),
  });
  if (!response.ok) throw new Error(`Restate did not count its invocations: ${await response.text()}`);
  const { rows } = (await response.json()) as { rows: { jobs: number }[] };
  return Number(rows[0]?.jobs);
}

export const restate: Contender<DurableClient> = {
  id: 'restate',
  name: 'Restate',
  about:
    "send to a virtual object's handler with an idempotency key, its result awaited through the ingress: in order for each object, exactly once; single node",
  durability: 'fsync',
  start: startRestateService,
  connect,
};
