import { ID_HEADER_VALUE, LIMITS, printable, TRACE_HEADER_VALUE } from '@meshforge/protocol';
import { headerText } from '../../../src/nats/raw-headers.ts';
import { characters, mustBePrintable, textOf, utf16 } from '../readable.ts';
import { must, type Target } from '../target.ts';

// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Callers' text as it gets into sentences and headers. */
export const texts: Target = {
  name: 'texts',
  seeds: [
    'the entity is at version 3',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ' a\r\nNats-Msg-Id: x ',
    utf16('\ud800\u202e\u2028'),
    '😀'.repeat(70),
  ],
  run(input) {
    const text = textOf(input);
    for (const max of [0, 1, 2, 64, LIMITS.reasonCharacters])
      mustBePrintable(printable(text, max), max, 'a printable text');
    for (const max of [1, 64, 512]) {
      const value = headerText(text, max);
      must(value.length <= max && !CONTROL.test(value), 'no header value', value);
    }
    if (ID_HEADER_VALUE.test(text)) {
      must(characters(text) <= LIMITS.idHeaderCharacters, 'a long id', text);
      must(!CONTROL.test(text) && text.trim() === text, 'an odd id', text);
    }
    if (TRACE_HEADER_VALUE.test(text)) {
      must(Buffer.byteLength(text) <= LIMITS.traceHeaderBytes && !CONTROL.test(text), 'an odd trace', text);
    }
  },
};
