import { readProbe, readPublishAck } from '../../../src/nats/jetstream-errors.ts';
import { frame, messageOf, readFrame } from '../frames.ts';
import { must, type Target } from '../target.ts';

const PUBLISHED = ['stored', 'duplicate', 'lost_race', 'refused', 'unknown'];
const PROBED = ['taken', 'not_taken', 'unknown'];

/** What JetStream says to a publish. Whatever it says, the store must get one of its answers. */
export const acknowledgements: Target = {
  name: 'acknowledgements',
  seeds: [
    frame('', [], '{"stream":"ENTITIES_inventory","seq":7}'),
    frame('', [], '{"stream":"ENTITIES_inventory","seq":7,"duplicate":true}'),
    frame(
      '',
      [],
      '{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 4"},"stream":"S","seq":0}',
    ),
    frame('', [], '{"error":{"code":400,"err_code":10111,"description":"rollup value invalid: \\"none\\""}}'),
    frame('', [], '{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}'),
    frame('', ['x: y'], ''),
    '\nNATS/1.0 503\r\n\r\n',
  ],
  words: ['"seq":', '"error":', '"err_code":', '10071', '10111', '10164', '10158', '"duplicate":true'],
  run(input) {
    const answer = { kind: 'answer' as const, message: messageOf(readable(input), '_INBOX.a') };
    const published = readPublishAck(answer);
    must(PUBLISHED.includes(published.kind), 'an unknown fate of a publish', published);
    if (published.kind === 'stored' || published.kind === 'duplicate') {
      must(
        Number.isSafeInteger(published.sequence) && published.sequence > 0,
        'the sequence of a publish is none',
        published.sequence,
      );
    }
    if (published.kind === 'lost_race') must(Number.isSafeInteger(published.last ?? 0), 'the last sequence is none');
    const taken = readProbe(answer);
    must(PROBED.includes(taken.kind), 'an unknown fate of a message id', taken);
  },
};

/** Headers come from the server, or not at all: those that cannot be read never get here. */
function readable(input: Uint8Array): ReturnType<typeof readFrame> {
  const read = readFrame(input);
  try {
    void messageOf(read, '').headers;
    return read;
  } catch {
    return { ...read, headers: undefined };
  }
}
