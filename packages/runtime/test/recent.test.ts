/** Hunts retries that are not recognised, and lists that outgrow the header they travel in. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  findCommand,
  isComplete,
  listCommands,
  NO_COMMANDS,
  readRecent,
  RECENT_BYTES,
  RECENT_COMMANDS,
  recentHeader,
  remember,
  trim,
  type RecentCommand,
  type RecentCommands,
} from '../src/core/recent.ts';

const state = fc.record({ owner_id: fc.string({ unit: 'binary', maxLength: 256 }), token: fc.nat() });
const listed = fc.array(
  fc.record({
    digest: fc.stringMatching(/^[A-Za-z0-9_-]{12}$/),
    body: fc.oneof(fc.stringMatching(/^[A-Za-z0-9_-]{6}$/), fc.constant('')),
    outcome: fc.oneof(fc.constantFrom('commit' as const, 'refused' as const), state),
  }),
  { maxLength: 80 },
);

interface Listed {
  digest: string;
  body?: string;
  outcome?: 'commit' | 'refused' | object;
}

/** As an entity remembers it; a refusal repeats the version of what came before. */
function commandsOf(list: readonly Listed[]): RecentCommand[] {
  let version = 0;
  return list.map(({ body = '', digest, outcome = 'commit' }, i) => {
    if (outcome !== 'refused') version++;
    const command: RecentCommand = { digest, body, version, sequence: 10 * i + 10 };
    if (outcome === 'refused') command.isRefused = true;
    if (typeof outcome === 'object') command.inline = { event: 'acquired', state: { ...outcome } };
    return command;
  });
}

function rememberAll(list: readonly Listed[], maxBytes = RECENT_BYTES): RecentCommands {
  return commandsOf(list).reduce((recent, command) => remember(recent, command, maxBytes), NO_COMMANDS);
}

test('I5: the last commands come out of the header as they went in, oldest first', () => {
  fc.assert(
    fc.property(listed, (list) => {
      const recent = readRecent(recentHeader(rememberAll(list)));
      const found = listCommands(recent);
      expect(found).toEqual(commandsOf(list).slice(list.length - found.length));
      expect(recent.count).toBe(found.length);
      expect(found.length).toBeLessThanOrEqual(RECENT_COMMANDS);
      expect(isComplete(recent)).toBe(found.length === list.length);
    }),
  );
});

test('a list that says it is complete has never lost an entry, whatever was refused, trimmed and read in between', () => {
  fc.assert(
    fc.property(listed, fc.array(fc.nat(5_000), { maxLength: 80 }), (list, bounds) => {
      let recent = NO_COMMANDS;
      const last = list.length;
      for (const [i, command] of commandsOf(list).entries()) {
        recent = readRecent(recentHeader(trim(remember(recent, command), RECENT_COMMANDS, bounds[i] ?? RECENT_BYTES)));
      }
      expect(isComplete(recent) && recent.count < last).toBe(false);
    }),
  );
  // All of these refusals repeat version 1, and the last of them has pushed the create out.
  const refusals = Array.from({ length: RECENT_COMMANDS }, (_, i) => ({
    digest: `r${i}`,
    outcome: 'refused' as const,
  }));
  const recent = rememberAll([{ digest: 'create' }, ...refusals]);
  expect(listCommands(recent).every(({ version }) => version === 1)).toBe(true);
  expect(isComplete(readRecent(recentHeader(recent)))).toBe(false);
  const one = rememberAll([{ digest: 'create' }, ...refusals.slice(1)]);
  expect(isComplete(readRecent(recentHeader(one)))).toBe(true);
});

test('the header stays one line within its bound, however long the outcomes are, and loses no command to one of them', () => {
  fc.assert(
    fc.property(listed, fc.integer({ min: 2_000, max: RECENT_BYTES }), (list, maxBytes) => {
      const recent = rememberAll(list, maxBytes);
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      expect(recentHeader(recent)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]|^ | $|  /);
      expect(Buffer.byteLength(recent.text)).toBe(recent.bytes);
      expect(recent.bytes).toBeLessThanOrEqual(maxBytes);
      const newest = list.at(-1);
      if (newest !== undefined) expect(findCommand(recent, newest.digest)).toBeDefined();
    }),
  );
});

test('I5: the last 32 commands are found, with version and place', () => {
  const recent = rememberAll(Array.from({ length: 50 }, (_, i) => ({ digest: `digest-${i}`, body: 'body' })));
  expect(recent.count).toBe(RECENT_COMMANDS);
  expect(findCommand(recent, 'digest-49')).toEqual({ digest: 'digest-49', body: 'body', version: 50, sequence: 500 });
  expect(findCommand(recent, 'digest-18')).toMatchObject({ version: 19 });
  expect(findCommand(recent, 'digest-17')).toBeUndefined();
});

test('I5: a digest that only an outcome, a body or a longer digest contains is not found', () => {
  const recent = rememberAll([
    { digest: 'one', body: 'two', outcome: { owner_id: ' two.2.2 "two".2.2' } },
    { digest: 'not-two' },
    { digest: 'two-not' },
  ]);
  expect(findCommand(recent, 'two')).toBeUndefined();
  expect(findCommand(recent, 'one')).toMatchObject({ version: 1, inline: { event: 'acquired' } });
});

test('an outcome that alone is longer than the bound is left out, its command is not', () => {
  for (const [length, maxBytes] of [
    [50_000, RECENT_BYTES],
    [30_000, RECENT_BYTES - 16_384],
  ] as const) {
    const list = [{ digest: 'a' }, { digest: 'b', outcome: { owner_id: 'x'.repeat(length) } }, { digest: 'c' }];
    const recent = rememberAll(list, maxBytes);
    expect(listCommands(recent).map(({ digest }) => digest)).toEqual(['a', 'b', 'c']);
    expect(findCommand(recent, 'b')?.inline).toBeUndefined();
    expect(isComplete(recent)).toBe(true);
  }
});

test('an entity that never was remembers nothing, and that is all', () => {
  expect(readRecent(recentHeader(NO_COMMANDS))).toEqual(NO_COMMANDS);
  expect(findCommand(NO_COMMANDS, 'a')).toBeUndefined();
});

test.each([
  '',
  '[]',
  ' ',
  '0',
  '0.0 ',
  '0.0 a.b.1',
  '0.0 a.b.1.X',
  '0.0 a.b.1.2.x',
  '0.0 a.b.1.2!!',
  '0.0 a.b.1.2!.x',
  '0.0 a.b.1.2  b.c.1.2',
  '0.0 ä.b.1.2',
  '0.0 a.b.-1.2',
  '0.0 a.b.1.-2',
  'zzzzzzzzzzz.0',
])('%j is no such list', (header) => {
  expect(() => readRecent(header)).toThrow(TypeError);
});
