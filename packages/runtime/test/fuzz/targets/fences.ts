import { decodeToken, LIMITS } from '@meshforge/protocol';
import fc from 'fast-check';
import { highestToken, raiseToken, readFences } from '../../../src/core/fences.ts';
import { textOf } from '../readable.ts';
import { must, type Target } from '../target.ts';

/** The header `Mesh-Fences`: what is read keeps every token that it names, whatever is added, and never lowers one. */
export const fences: Target = {
  name: 'fences',
  seeds: ['', 'job.3', 'job.3 a%2Eb.zz %F0%9F%98%80.2gosa7pa2gv', '%ED%A0%80.1', '%.1 -.1 _.a'],
  words: [' ', '.', '.1', '%20', '%2E', 'job', '2gosa7pa2gv'],
  arbitrary: fc
    .uniqueArray(fc.stringMatching(/^[\w-]{1,20}$/), { maxLength: 34 })
    .map((keys) => keys.map((key, i) => `${key}.${(i + 1).toString(36)}`).join(' ')),
  run(input) {
    const header = textOf(input);
    let read;
    try {
      read = readFences(header);
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
    const resources = (read === '' ? [] : read.split(' ')).map((entry) => {
      return decodeToken(entry.slice(0, entry.indexOf('.'))) ?? '';
    });
    const known = new Map(resources.map((resource) => [resource, highestToken(read, resource)]));
    must(known.size === resources.length, 'a resource stands twice');
    for (const [resource, token] of known)
      must(Number.isSafeInteger(token) && token >= 1, 'no token', { resource, token });
    // A caller's text that may look like an entry.
    for (const added of [...resources.slice(0, 2), header.slice(0, 40) || 'added', 'job', 'a.b 1']) {
      const grown = raiseToken(read, added, 7);
      if (grown === undefined) {
        must(!known.has(added), 'a known resource is refused', added);
        continue;
      }
      must(readFences(grown) === grown, 'it does not come back as it was', grown);
      must(highestToken(grown, added) === Math.max(7, known.get(added) ?? 0), 'the token is not the highest', added);
      for (const [resource, token] of known) {
        if (resource !== added) must(highestToken(grown, resource) === token, 'another token has changed', resource);
      }
      if (!known.has(added)) {
        must(grown.split(' ').length <= LIMITS.fencedResources, 'too many resources');
        must(grown.length <= LIMITS.fencesBytes || known.size === 0, 'too many bytes', grown.length);
      }
    }
  },
};
