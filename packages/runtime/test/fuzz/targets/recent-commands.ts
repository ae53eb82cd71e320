import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import {
  findCommand,
  listCommands,
  readRecent,
  RECENT_COMMANDS,
  recentHeader,
  remember,
} from '../../../src/core/recent.ts';
import { textOf } from '../readable.ts';
import { must, type Target } from '../target.ts';

// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** The header `Mesh-Recent`: what is read can be asked and added to; what is added is found again as it was. */
export const recentCommands: Target = {
  name: 'recent commands',
  seeds: [
    '',
    '0.0',
    '0.0 abcdefghijkl.body..1',
    '2.9 abcdefghijkl.body..5 qrstuvwxyzAB..0.6! .b.2.-7',
    'a.zz abcdefghijkl..a.zz.{"event":"acquired","state":{"owner_id":"a\\u0020b"}}',
  ],
  words: [' ', '.', '...1', '!', '0.0 ', '{"event":"acquired","state":null}'],
  arbitrary: fc
    .array(fc.stringMatching(/^[\w-]{0,12}\.[\w-]{0,6}\.(|-?[\da-z]{1,11})\.-?[\da-z]{1,11}!?$/), { maxLength: 5 })
    .map((entries) => ['0.0', ...entries].join(' ')),
  run(input) {
    const header = textOf(input);
    let recent;
    try {
      recent = readRecent(header);
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
    const commands = listCommands(recent);
    must(commands.length === recent.count, 'another count than that of the commands', recent.count);
    const outcome = { event: 'acquired', state: { text: header.slice(0, 100) } };
    const added = { digest: 'addedaddedad', body: 'body_2', version: 7, sequence: 9, inline: outcome };
    const grown = remember(recent, added);
    must(!CONTROL.test(recentHeader(grown)), 'the text is no header line', grown.text);
    for (const { text, bytes } of [recent, grown]) {
      must(bytes === Buffer.byteLength(text), 'another count than that of the bytes', bytes);
    }
    must(grown.count <= Math.max(RECENT_COMMANDS, 1), 'too many commands are remembered', grown.count);
    must(isDeepStrictEqual(findCommand(grown, added.digest), added), 'what was added is not found as it was');
    must(isDeepStrictEqual(readRecent(recentHeader(grown)), grown), 'it does not come back as it was');
  },
};
