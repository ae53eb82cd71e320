// Hunts for text of callers that reaches a terminal raw, and for commands that cannot be pasted.
import { encode } from '@meshforge/protocol';
import { describe, expect, test } from 'vitest';
import { readable, trouble } from '../src/agent-log.ts';
import { eventLine } from '../src/event-printer.ts';
import { suggestions } from '../src/suggestions.ts';

const ESCAPE = '\u001B[2J\u0007\u009B31m\u202E\r\n';
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

describe('the line of an event', () => {
  test('names the subject, the entity and its version, then the rest', () => {
    const data = encode({ entity_id: 'sku-1', entity_version: 3, state: { quantity: 8 } });
    expect(eventLine('evt.inventory.adjusted', data)).toBe(
      'evt.inventory.adjusted     sku-1  version 3  {"state":{"quantity":8}}',
    );
  });

  test.each([
    ['an entity id', 'evt.a.b', encode({ entity_id: ESCAPE, entity_version: 1 })],
    ['a state', 'evt.a.b', encode({ entity_id: 'x', state: { [ESCAPE]: ESCAPE } })],
    ['a subject', `evt.${ESCAPE}`, encode({})],
    ['a body that is no JSON', 'evt.a.b', new TextEncoder().encode(ESCAPE)],
    ['bytes that are no text', 'evt.a.b', new Uint8Array([0x1b, 0xff, 0x9b])],
  ])('shows control characters in %s without obeying them', (_where, subject, data) => {
    expect(eventLine(subject, data)).not.toMatch(UNPRINTABLE);
  });

  test.each([
    ['entity_id', 'x'.repeat(10_000)],
    ['state', 'y'.repeat(10_000)],
  ])('stays short for a long %s', (key, text) => {
    expect(eventLine('evt.a.b', encode({ [key]: text })).length).toBeLessThan(300);
  });

  test.each(['null', '7', '"text"', '[]'])('shows a body %s that is no event', (json) => {
    expect(eventLine('evt.a.b', new TextEncoder().encode(json))).toContain('evt.a.b');
  });
});

describe('the log of an agent', () => {
  const entry = (level: number, msg: string, message?: string): string =>
    JSON.stringify({ level, msg, ...(message === undefined ? {} : { err: { message } }) });

  test('is quiet about what goes well', () => {
    expect(trouble('inventory', entry(30, 'agent is ready'))).toBeUndefined();
    expect(trouble('inventory', '')).toBeUndefined();
  });

  test('shows warnings, errors and what is no log line', () => {
    expect(trouble('inventory', entry(40, 'slow'))).toBe('! inventory warns: slow');
    expect(trouble('inventory', entry(60, 'agent fails', 'no stream'))).toBe(
      '! inventory fails: agent fails: no stream',
    );
    expect(trouble('inventory', entry(60, 'no stream', 'no stream: refused'))).toBe(
      '! inventory fails: no stream: refused',
    );
    expect(trouble('inventory', 'Error: Cannot find module')).toBe('! inventory: Error: Cannot find module');
    expect(trouble('inventory', 'null')).toBe('! inventory: null');
  });

  test('shows control characters without obeying them', () => {
    expect(trouble('inventory', entry(50, ESCAPE))).not.toMatch(UNPRINTABLE);
    expect(readable(ESCAPE)).not.toMatch(UNPRINTABLE);
  });
});

describe('the commands to try', () => {
  /** Each as a shell takes it, on one line. */
  const commandsOn = (url: string): string[] =>
    suggestions(url)
      .join('\n')
      .replaceAll(/ \\\n\s+/g, ' ')
      .split('\n')
      .filter((line) => line.startsWith('  node '));

  test('are three, about one new entity', () => {
    const commands = commandsOn('nats://127.0.0.1:4222');
    expect(commands).toHaveLength(3);
    for (const line of commands) expect(line).toMatch(/^ {2}node tooling\/dev\/ask\.mjs cmd\.\w+\.\w+ '\{.*\}'$/);
    const bodies = commands.map((line) => JSON.parse(/'(\{.*\})'$/.exec(line)?.[1] ?? '') as { entity_id: string });
    expect(new Set(bodies.map((body) => body.entity_id)).size).toBe(1);
  });

  test('name the server where it is not on the usual port', () => {
    expect(suggestions('nats://127.0.0.1:25000')).toContain('  export NATS_URL=nats://127.0.0.1:25000');
    expect(suggestions('nats://127.0.0.1:4222').join('\n')).not.toContain('NATS_URL');
  });

  test('quote an address that a shell would take apart', () => {
    expect(suggestions("nats://a$b'c:4222").join('\n')).toContain(String.raw`'nats://a$b'\''c:4222'`);
  });
});
