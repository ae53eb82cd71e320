import { HEADERS, ID_HEADER_VALUE, ID_HEADERS, TRACE_HEADER_VALUE, TRACE_HEADERS } from '@meshforge/protocol';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { headersOf, readCommandHeaders } from '../../../src/intake/command-headers.ts';
import { rawHeaders } from '../../../src/nats/raw-headers.ts';
import { frame, linesOf, messageOf, readFrame } from '../frames.ts';
import { mustBePrintable } from '../readable.ts';
import { must, type Target } from '../target.ts';

const ALLOWED: readonly string[] = [...ID_HEADERS, ...TRACE_HEADERS];

/** The headers of a command: what travels on is ours, checked, and as many lines as were let through. */
export const commandHeaders: Target = {
  name: 'headers of commands',
  seeds: [
    frame('', ['Mesh-Command-Id: c-1', 'Mesh-Correlation-Id: order 7', 'Mesh-Causation-Id: x'], ''),
    frame(
      '',
      ['traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'tracestate: a=b', 'baggage: k=v'],
      '',
    ),
    frame('', ['Mesh-Command-Id: é😀', 'Nats-Msg-Id: forged', 'Nats-Rollup: all'], ''),
    frame('', ['Mesh-Command-Id: a', 'Mesh-Command-Id: b', 'mesh-command-id: c'], ''),
    frame('', [`Mesh-Command-Id: ${'x'.repeat(128)}`, 'Mesh-Correlation-Id:'], ''),
    frame('', [], ''),
  ],
  run(input) {
    const read = readCommandHeaders(headersOf(messageOf(readFrame(input), 'cmd.inventory.adjust')));
    const { commandId, issues, lines } = read;
    must(ID_HEADER_VALUE.test(commandId), 'an odd command id', commandId);
    must(lines.filter(([name]) => name === HEADERS.commandId).length === 1, 'not one command id');
    must(new Set(lines.map(([name]) => name)).size === lines.length, 'a header twice');
    for (const [name, value] of lines) {
      must(ALLOWED.includes(name), 'a header of the caller was let through', name);
      const allowed = (ID_HEADERS as readonly string[]).includes(name) ? ID_HEADER_VALUE : TRACE_HEADER_VALUE;
      must(allowed.test(value), 'an odd header value', value);
    }
    for (const { path, message } of issues) {
      mustBePrintable(path, 64, 'the path of an issue');
      mustBePrintable(message, 256, 'the message of an issue');
    }
    const sent = rawHeaders(lines);
    must(linesOf(sent).length === lines.length, 'more or fewer lines than headers', linesOf(sent));
    const back = MsgHdrsImpl.decode((sent as unknown as MsgHdrsImpl).encode());
    for (const [name, value] of lines) {
      must(
        back.values(name).length === 1 && back.get(name) === value,
        'a header arrives as something else',
        back.get(name),
      );
    }
  },
};
