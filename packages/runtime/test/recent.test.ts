/** Hunts retries that are not recognised, and lists that outgrow the header they travel in. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  findCommit,
  formatRecent,
  parseRecent,
  RECENT_COMMANDS,
  recentCommit,
  remember,
  type RecentCommit,
} from '../src/core/recent.ts';

const HEADER_BYTES = 65_536;

const state = fc.record({ owner_id: fc.string({ unit: 'binary', maxLength: 256 }), token: fc.nat() });
const commits = fc.array(
  fc.record({
    digest: fc.stringMatching(/^[A-Za-z0-9_-]{16}$/),
    inline: fc.option(state, { nil: undefined }),
  }),
  { maxLength: 80 },
);

function rememberAll(list: { digest: string; inline: object | undefined }[]): readonly RecentCommit[] {
  let recent: readonly RecentCommit[] = [];
  for (const [i, { digest, inline }] of list.entries()) {
    const outcome = inline === undefined ? undefined : { event: 'acquired', state: { ...inline } };
    recent = remember(recent, recentCommit(digest, i + 1, i + 1, outcome));
  }
  return recent;
}

test('I5: the list survives its way through a header unchanged', () => {
  fc.assert(
    fc.property(commits, (list) => {
      const recent = rememberAll(list);
      expect(parseRecent(formatRecent(recent))).toEqual(recent);
    }),
  );
});

test('the header stays one line below the bound of the server, however long the outcomes are', () => {
  fc.assert(
    fc.property(commits, (list) => {
      const header = formatRecent(rememberAll(list));
      expect(Buffer.byteLength(header)).toBeLessThan(HEADER_BYTES);
      expect(header).not.toMatch(/[\r\n]/);
    }),
  );
  const widest = { owner_id: '\u0000'.repeat(256), acquired_at: 'x'.repeat(24), expires_at: 'x'.repeat(24) };
  const full = formatRecent(rememberAll(Array.from({ length: 40 }, (_, i) => ({ digest: `d${i}`, inline: widest }))));
  expect(Buffer.byteLength(full)).toBeLessThan(HEADER_BYTES);
});

test('I5: the last 32 commands are found, with version and place', () => {
  const list = Array.from({ length: 50 }, (_, i) => ({ digest: `digest-${i}`, inline: undefined }));
  const recent = rememberAll(list);
  expect(recent).toHaveLength(RECENT_COMMANDS);
  expect(findCommit(recent, 'digest-49')).toMatchObject({ version: 50, sequence: 50 });
  expect(findCommit(recent, 'digest-18')).toMatchObject({ version: 19 });
  expect(findCommit(recent, 'digest-17')).toBeUndefined();
});

test('an entity that never was remembers nothing', () => {
  expect(parseRecent('')).toEqual([]);
});
