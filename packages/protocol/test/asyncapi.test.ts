/**
 * Hunts for an AsyncAPI document that is invalid, that leaves a message out, or that says something else than the
 * schemas do.
 */
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import { describe, expect, it } from 'vitest';
import { agentMessages } from '../src/agent-messages.ts';
import { asyncApiDocument, inventoryContract, lockContract, type AgentContract } from '../src/index.ts';

const committed = readFileSync(new URL('../asyncapi.json', import.meta.url), 'utf8');

/** All that the parser finds but the hint that there is a later version of AsyncAPI. */
async function faultsOf(document: string): Promise<string[]> {
  const { diagnostics } = await new Parser().parse(document);
  const faults = diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version');
  return faults.map(({ path, message }) => `${path.join('/')}: ${message}`);
}

describe('the AsyncAPI document', () => {
  it('that the package ships is the one that the schemas give (else run the script asyncapi)', () => {
    expect(JSON.parse(committed)).toEqual(JSON.parse(JSON.stringify(asyncApiDocument())));
    expect(committed).toBe(`${JSON.stringify(asyncApiDocument(), null, 2)}\n`);
  });

  it('is valid', async () => {
    expect(await faultsOf(committed)).toEqual([]);
  });

  it('is checked by a parser that finds faults', async () => {
    const broken = asyncApiDocument();
    broken.operations['cmd.lock.acquire'] = { action: 'receive', channel: { $ref: '#/channels/nowhere' } };
    expect(await faultsOf(JSON.stringify(broken))).not.toEqual([]);
  });

  it('has a channel and an operation for every subject', () => {
    const { channels, operations } = asyncApiDocument();
    for (const contract of [inventoryContract, lockContract]) {
      const { commands, events, queries } = agentMessages(contract);
      for (const { subject } of [...commands, ...events, ...queries]) {
        expect(channels[subject]).toMatchObject({ address: subject });
        expect(operations[subject]).toMatchObject({
          action: subject.startsWith('evt.') ? 'send' : 'receive',
          channel: { $ref: `#/channels/${subject}` },
        });
      }
    }
  });

  it('names the queue group that answers, which is the name of the agent', () => {
    const { operations } = asyncApiDocument();
    expect(operations['cmd.lock.acquire']).toMatchObject({ bindings: { nats: { queue: 'sys_lock_manager' } } });
    expect(operations['qry.inventory.get']).toMatchObject({ bindings: { nats: { queue: 'inventory' } } });
    expect(operations['evt.lock.expired']).not.toHaveProperty('bindings');
  });

  it.each([
    ['cmd.inventory.adjust', ['evt.inventory.adjusted', 'evt.inventory.conflict', 'evt.inventory.rejected']],
    ['cmd.lock.refresh', ['evt.lock.acquired', 'evt.lock.conflict', 'evt.lock.rejected', 'evt.lock.denied']],
    ['qry.lock.get', ['qry.lock.get', 'evt.lock.rejected']],
  ])('says of %s how it can be answered', (subject, answers) => {
    const token = subject.split('.')[1];
    const channel = `#/channels/${token}.replies`;
    expect(asyncApiDocument().operations[subject]).toMatchObject({
      reply: {
        channel: { $ref: channel },
        messages: answers.map((answer) => ({ $ref: `${channel}/messages/reply.${answer}` })),
      },
    });
  });

  it('describes the headers of each message', () => {
    const { messages, schemas } = asyncApiDocument().components;
    expect(messages['cmd.lock.acquire']).toMatchObject({ headers: { $ref: '#/components/schemas/headers.command' } });
    expect(messages['evt.lock.expired']).toMatchObject({ headers: { $ref: '#/components/schemas/headers.commit' } });
    expect(Object.keys(schemas['headers.reply']?.properties as object)).toEqual([
      'Mesh-Command-Id',
      'Mesh-Correlation-Id',
      'Mesh-Causation-Id',
      'traceparent',
      'tracestate',
      'baggage',
      'Nats-Service-Error-Code',
      'Nats-Service-Error',
      'Mesh-Replayed',
    ]);
  });

  it('can be made of the agents of others', async () => {
    const { actions, description, state } = inventoryContract;
    const stock: AgentContract = { name: 'constructor', description, state, actions };
    const document = asyncApiDocument([stock]);
    expect(Object.keys(document.operations)).toContain('cmd.constructor.adjust');
    expect(Object.keys(document.operations)).not.toContain('cmd.lock.acquire');
    expect(await faultsOf(JSON.stringify(document))).toEqual([]);
  });
});
