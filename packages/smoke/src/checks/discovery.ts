/** A stranger can find the agents and learn what they take. */
import {
  commandsOf,
  commandSubject,
  decode,
  inventoryContract,
  lockContract,
  type AgentContract,
} from '@meshforge/protocol';
import { z } from 'zod';
import { ask } from '../ask.ts';
import { CheckFailed, fact, type Check } from '../check.ts';
import { expectEqual, expectThat, show } from '../expect.ts';

const Endpoint = z.object({
  name: z.string(),
  subject: z.string(),
  metadata: z.record(z.string(), z.string()).nullish(),
});
const Info = z.object({
  name: z.string(),
  version: z.string(),
  endpoints: z.array(Endpoint).min(1),
});

export const discoveryChecks = [describesItself(inventoryContract), describesItself(lockContract)];

function describesItself(contract: AgentContract): Check {
  return fact(`$SRV.INFO.${contract.name} lists an endpoint with a JSON schema for each action`, async (context) => {
    const subject = `$SRV.INFO.${contract.name}`;
    const message = await ask(context.connection, subject, '', { timeoutMs: context.patienceMs });
    const info = decode(Info, message.data);
    if (!info.ok)
      throw new CheckFailed(`${subject}: expected a service’s info (${info.reason}), got ${show(message.string())}`);
    const { name, endpoints } = info.value;
    expectEqual('name of the service', name, contract.name);
    const subjects = endpoints.map((endpoint) => endpoint.subject);
    for (const [action] of commandsOf(contract.actions)) {
      const wanted = commandSubject(contract.name, action);
      const endpoint = endpoints.find((each) => each.subject === wanted);
      if (endpoint === undefined)
        throw new CheckFailed(`${subject}: expected an endpoint ${wanted}, got ${show(subjects)}`);
      const schemas = Object.values(endpoint.metadata ?? {}).filter(isJsonSchema);
      expectThat(`metadata of ${wanted}`, schemas.length > 0, 'a JSON schema', endpoint.metadata);
    }
  });
}

function isJsonSchema(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return (
      typeof value === 'object' && value !== null && ('type' in value || '$schema' in value || 'properties' in value)
    );
  } catch {
    return false;
  }
}
