/** Hunts retries that are not recognised, and lists that outgrow the header they travel in. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  findCommit,
  listCommits,
  NO_COMMITS,
  readRecent,
  RECENT_COMMANDS,
  remember,
  remembersAll,
  type RecentCommits,
} from '../src/core/recent.ts';

const HEADER_BYTES = 65_536;

const state = fc.record({ owner_id: fc.string({ unit: 'binary', maxLength: 256 }), token: fc.nat() });
const commits = fc.array(
  fc.record({
    digest: fc.oneof(fc.stringMatching(/^[A-Za-z0-9_-]{16}$/), fc.constant('')),
    inline: fc.option(state, { nil: undefined }),
  }),
  { maxLength: 80 },
);

type Listed = readonly { digest: string; inline?: object | undefined }[];

function rememberAll(list: Listed): RecentCommits {
  let recent = NO_COMMITS;
  for (const [i, { digest, inline }] of list.entries()) {
    const outcome = inline === undefined ? undefined : { event: 'acquired', state: { ...inline } };
    recent = remember(recent, { digest, version: i + 1, sequence: 10 * i + 10, inline: outcome });
  }
  return recent;
}

test('I5: the last commits come out of the header as they went in, oldest first', () => {
  fc.assert(
    fc.property(commits, (list) => {
      const recent = readRecent(rememberAll(list).text);
      const listed = listCommits(recent);
      const last = list.slice(list.length - listed.length);
      const expected = last.map(({ digest, inline }, i) => {
        const version = list.length - last.length + i + 1;
        const outcome = inline === undefined ? {} : { inline: { event: 'acquired', state: { ...inline } } };
        return { digest, version, sequence: 10 * version, ...outcome };
      });
      expect(listed).toEqual(expected);
      expect(recent.count).toBe(listed.length);
      expect(remembersAll(recent)).toBe(listed.length === list.length);
    }),
  );
});

test('the header stays one line below the bound of the server, however long the outcomes are', () => {
  fc.assert(
    fc.property(commits, (list) => {
      const { text, bytes } = rememberAll(list);
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]|^ | $|  /);
      expect(Buffer.byteLength(text)).toBe(bytes);
      expect(bytes).toBeLessThan(HEADER_BYTES);
    }),
  );
  const widest = { owner_id: '\u0000'.repeat(256), acquired_at: 'x'.repeat(24), expires_at: 'x'.repeat(24) };
  const full = rememberAll(Array.from({ length: 40 }, (_, i) => ({ digest: `d${i}`, inline: widest })));
  expect(full.bytes).toBeLessThan(HEADER_BYTES);
});

test('I5: the last 32 commands are found, with version and place', () => {
  const recent = rememberAll(Array.from({ length: 50 }, (_, i) => ({ digest: `digest-${i}` })));
  expect(recent.count).toBe(RECENT_COMMANDS);
  expect(findCommit(recent, 'digest-49')).toEqual({ digest: 'digest-49', version: 50, sequence: 500 });
  expect(findCommit(recent, 'digest-18')).toMatchObject({ version: 19 });
  expect(findCommit(recent, 'digest-17')).toBeUndefined();
});

test('I5: a digest that only an outcome, or a longer digest, contains is not found', () => {
  const recent = rememberAll([
    { digest: 'one', inline: { owner_id: ' two.2.2 "two".2.2' } },
    { digest: 'not-two' },
    { digest: 'two-not' },
  ]);
  expect(findCommit(recent, 'two')).toBeUndefined();
  expect(findCommit(recent, 'one')).toMatchObject({ version: 1, inline: { event: 'acquired' } });
});

test('an outcome that alone is longer than the bound is left out, its command is not', () => {
  const recent = rememberAll([
    { digest: 'a' },
    { digest: 'b', inline: { owner_id: 'x'.repeat(50_000) } },
    { digest: 'c' },
  ]);
  expect(listCommits(recent).map(({ digest }) => digest)).toEqual(['a', 'b', 'c']);
  expect(findCommit(recent, 'b')?.inline).toBeUndefined();
});

test('an entity that never was remembers nothing', () => {
  expect(readRecent('')).toEqual(NO_COMMITS);
  expect(findCommit(NO_COMMITS, 'a')).toBeUndefined();
  expect(remembersAll(NO_COMMITS)).toBe(true);
});

test.each(['[]', ' ', 'a.1', 'a.1.X', 'a.1.2.x', 'a.1.2  b.1.2', 'ä.1.2'])('%j is no such list', (header) => {
  expect(() => readRecent(header)).toThrow(TypeError);
});
