/** Hunts what the wire has and PROTOCOL.md does not tell. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { agentMessages } from '../src/agent-messages.ts';
import {
  HEADERS,
  inventoryContract,
  LOCK_DENIALS,
  lockContract,
  PROTOCOL_VERSION,
  REJECTION_CODES,
  type AgentContract,
} from '../src/index.ts';

const text = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8');
const lastToken = (subject: string) => subject.slice(subject.lastIndexOf('.') + 1);
const untold = (names: readonly string[]) => names.filter((name) => !text.includes(`\`${name}\``));

describe('PROTOCOL.md', () => {
  it('is of the version that the code speaks', () => {
    expect(text.split('\n')[0]).toBe(`# MeshForge wire protocol ${PROTOCOL_VERSION}`);
  });

  it.each<[string, AgentContract]>([
    ['inventory', inventoryContract],
    ['sys_lock_manager', lockContract],
  ])('tells every action, every event and every key of the data of %s', (_, contract) => {
    const { commands, events } = agentMessages(contract);
    const committed = events.filter((event) => event.committed).map(({ subject }) => lastToken(subject));
    expect(untold([...commands.map(({ action }) => action), ...committed])).toEqual([]);
    const keys = commands.flatMap(({ action }) => {
      const data = contract.actions[action]?.data as unknown as { shape: object };
      return Object.keys(data.shape);
    });
    const view = Object.keys(contract.view?.shape ?? {});
    expect([...keys, ...view].filter((key) => !new RegExp(`\\b${key}\\b`).test(text))).toEqual([]);
  });

  it('tells every code and every header', () => {
    expect(untold([...REJECTION_CODES, ...LOCK_DENIALS])).toEqual([]);
    const { body, fences, lease, mark, notes, recent, unchanged, ...told } = HEADERS;
    const own: readonly string[] = [body, fences, lease, mark, notes, recent, unchanged];
    const headers: readonly string[] = Object.values(told);
    expect(own.filter((header) => text.includes(header))).toEqual([]);
    expect(headers.filter((header) => !text.includes(header))).toEqual([]);
  });
});
