// Hunts a checker whose idea of the rules is not the runtime's: both are asked about the same commands.
import { inventory } from '@meshforge/inventory';
import { lockManager } from '@meshforge/lock-manager';
import type { JsonObject } from '@meshforge/protocol';
import type { AnyAgent } from '@meshforge/runtime';
import { scenario } from '@meshforge/runtime/testing';
import fc from 'fast-check';
import { test } from 'vitest';
import { ruling } from '../../src/checker/ruling.ts';
import type { Sent } from '../../src/history.ts';
import { anyWish } from './support/commands.ts';
import { Random } from '../../src/random.ts';

const NOON = Date.parse('2026-01-31T12:00:00.000Z');

test.each([
  ['inventory', inventory],
  ['lock', lockManager],
])('what %s decides is what the runtime decides', (token, agent: AnyAgent) => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = new Random(seed);
      const runtime = scenario(agent).at(NOON);
      let state: JsonObject | null = null;
      let version = 0;
      let notes = '';
      let now = NOON;
      for (let i = 0; i < 40; i++) {
        const wish = anyWish(random, random.pick(['ann', 'bob']), 1);
        if (wish.agent !== token) continue;
        const sent: Sent = { type: 'sent', atMs: i, client: 'ann', commandId: `c${i}`, ...wish };
        const ms = random.int(0, 900);
        now += ms;
        const ruled = ruling(agent, { state, version, notes }, sent, now);
        runtime.after(ms).when(sent.action, sent.data, { commandId: sent.commandId });
        if (ruled.kind === 'commit') {
          state = ruled.state;
          ({ notes, version } = ruled);
          const expiresAt = ruled.event === 'acquired' ? Date.parse(String(state?.['expires_at'])) : undefined;
          const { data, event } = ruled;
          runtime.thenCommits({
            event,
            state,
            version,
            ...(data === undefined ? {} : { data }),
            ...(expiresAt === undefined ? {} : { expiresAt }),
          });
        } else if (ruled.kind === 'refusal') {
          const { code, details = {}, reason } = ruled;
          runtime.thenRefuses(code, reason === undefined ? details : { ...details, reason });
        } else {
          runtime.thenIsMalformed();
        }
      }
    }),
  );
});
