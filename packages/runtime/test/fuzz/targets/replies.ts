import { isDeepStrictEqual } from 'node:util';
import { decode, encode, parseSubject, readOutcome, ReplyBody } from '@meshforge/protocol';
import { mustBeRefusal } from '../readable.ts';
import { must, type Target } from '../target.ts';

const KINDS = {
  conflict: ['conflict'],
  rejected: ['rejected', 'malformed', 'unavailable'],
  denied: ['denied'],
} as const;

/** The reply to a command, as a client reads it. */
export const replies: Target = {
  name: 'replies',
  seeds: [
    '{"event":"evt.inventory.updated","payload":{"entity_id":"sku-1","entity_version":4,"state":{"name":"bolt"},"data":{"a":1}}}',
    '{"event":"evt.inventory.deleted","payload":{"entity_id":"sku-1","entity_version":4,"state":null}}',
    '{"event":"evt.inventory.conflict","payload":{"entity_id":"a","expected_version":1,"current_version":0,"reason":"r","action":"b"}}',
    '{"event":"evt.lock.rejected","payload":{"entity_id":null,"action":"x","code":"invalid_command","reason":"r","issues":[{"path":"p","message":"m"}]}}',
    '{"event":"evt.lock.rejected","payload":{"entity_id":"a","action":"x","code":"unavailable","reason":"r"}}',
    '{"event":"evt.lock.denied","payload":{"entity_id":"a","owner_id":"b","code":"held","reason":"r","current_owner_id":null,"expires_at":null}}',
  ],
  words: ['"event":', '"payload":', '"evt.', '"entity_version":', '"issues":', '"code":"contended"'],
  run(input) {
    const reply = decode(ReplyBody, input);
    if (!reply.ok) {
      mustBeRefusal(reply);
      return;
    }
    for (const replayed of [false, true]) {
      const outcome = readOutcome(reply.value, replayed);
      if (outcome === undefined) continue;
      const parsed = parseSubject(outcome.event);
      must(parsed?.kind === 'event', 'an outcome of no event', outcome.event);
      const kinds: readonly string[] = Object.hasOwn(KINDS, parsed.event)
        ? KINDS[parsed.event as keyof typeof KINDS]
        : [replayed ? 'replayed' : 'committed'];
      must(kinds.includes(outcome.kind), 'an outcome of another kind than its event', outcome);
      const again = decode(ReplyBody, encode({ event: outcome.event, payload: outcome.payload }));
      must(again.ok, 'it cannot be sent on');
      const same = readOutcome(again.value, replayed);
      must(isDeepStrictEqual(encode(same), encode(outcome)), 'it does not come back as it was');
    }
  },
};
