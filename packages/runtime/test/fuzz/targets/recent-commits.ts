import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { findCommit, listCommits, readRecent, remember, RECENT_COMMANDS } from '../../../src/core/recent.ts';
import { textOf } from '../readable.ts';
import { must, type Target } from '../target.ts';

// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** The header `Mesh-Recent`: what is read can be asked and added to; what is added is found again as it was. */
export const recentCommits: Target = {
  name: 'recent commits',
  seeds: [
    '',
    'abcdefghijklmnop.1.1',
    'abcdefghijklmnop.1.5 qrstuvwxyzABCDEF.2.6 .2.7',
    'abcdefghijklmnop.a.zz.{"event":"acquired","state":{"owner_id":"a\\u0020b"}}',
  ],
  words: [' ', '.', '.1.1', '{"event":"acquired","state":null}'],
  arbitrary: fc.stringMatching(
    /^[\w-]{0,16}\.[\da-z]{1,12}\.[\da-z]{1,12}( [\w-]{0,16}\.[\da-z]{1,12}\.[\da-z]{1,12}){0,4}$/,
  ),
  run(input) {
    const header = textOf(input);
    let recent;
    try {
      recent = readRecent(header);
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
    const commits = listCommits(recent);
    must(commits.length === recent.count, 'another count than that of the commits', recent.count);
    const outcome = { event: 'acquired', state: { text: header.slice(0, 100) } };
    const added = { digest: 'addedaddedaddeda', version: 7, sequence: 9, inline: outcome };
    const grown = remember(recent, added);
    must(!CONTROL.test(grown.text), 'the text is no header line', grown.text);
    for (const { text, bytes } of [recent, grown]) {
      must(bytes === Buffer.byteLength(text), 'another count than that of the bytes', bytes);
    }
    must(grown.count <= Math.max(RECENT_COMMANDS, 1), 'too many commits are remembered', grown.count);
    must(isDeepStrictEqual(findCommit(grown, added.digest), added), 'what was added is not found as it was');
    must(isDeepStrictEqual(listCommits(readRecent(grown.text)), listCommits(grown)), 'it does not come back as it was');
  },
};
