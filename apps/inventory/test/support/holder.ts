// A process that holds a lock and writes under it whenever it is told to, as one does that knows nothing of pauses.
import { createInterface } from 'node:readline';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';

const { NATS_URL: servers = '', RESOURCE: resource = '', ITEM: entityId = '', TTL_MS: ttl = '' } = process.env;

function tell(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

const mesh = await connectMesh({ servers: servers.split(',') });
const grant = await mesh.request(lockContract, 'acquire', {
  entityId: resource,
  data: { owner_id: 'holder', ttl_ms: Number(ttl) },
});
if (grant.kind !== 'committed' || grant.payload.state === null) throw new Error(`no grant: ${JSON.stringify(grant)}`);
const lease = { resource, fencingToken: grant.payload.state.fencing_token };
tell(lease);

for await (const line of createInterface(process.stdin)) {
  tell(await mesh.request(inventoryContract, 'adjust', { entityId, lease, data: { delta: Number(line) } }));
}
