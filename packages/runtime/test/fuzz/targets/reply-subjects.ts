import { answerable } from '../../../src/intake/reply.ts';
import { textOf } from '../readable.ts';
import { must, type Target } from '../target.ts';

/** Where an answer may go: to inboxes, and to nothing that a caller could make the agent write into. */
export const replySubjects: Target = {
  name: 'reply subjects',
  seeds: [
    '_INBOX.abc.1',
    '_INBOX_client.X7.9',
    '',
    'ent.inventory.x.created',
    '_INBOX.*',
    '_INBOX.a b',
    `_INBOX.${'a'.repeat(1_100)}`,
  ],
  words: ['_INBOX', '_INBOX.', '$JS.ACK.'],
  run(input) {
    const reply = textOf(input);
    const found = answerable({ reply });
    must((reply === '') === (found === 'no_reply'), 'an empty reply subject', found);
    if (found !== 'yes') return;
    must(reply.startsWith('_INBOX') && /^[\x21-\x7e]{6,1024}$/.test(reply), 'an answer to no inbox', reply);
    must(!reply.split('.').some((token) => token === '*' || token === '>'), 'an answer to a wildcard', reply);
  },
};
