import { HEADERS, ID_HEADER_VALUE } from '@meshforge/protocol';
import type { CommandHeaders } from '../core/decide.ts';
import { MeshError } from '../errors.ts';
import { headerText } from '../nats/raw-headers.ts';
import type { RequestOptions } from './types.ts';

/** The headers that a command sets out with. @throws MeshError `invalid_options` */
export function commandHeaders(commandId: string, options: RequestOptions<unknown>): CommandHeaders {
  const { correlationId, causationId, trace = {} } = options;
  const lines: [string, string][] = [];
  for (const [name, value] of [
    [HEADERS.commandId, commandId],
    [HEADERS.correlationId, correlationId],
    [HEADERS.causationId, causationId],
  ] as const) {
    if (value === undefined) continue;
    if (!ID_HEADER_VALUE.test(value)) {
      throw new MeshError({
        code: 'invalid_options',
        message: `${name} is ${JSON.stringify(value)}: expected 1 to 128 characters, none of them a control character`,
      });
    }
    lines.push([name, value]);
  }
  for (const name of [HEADERS.traceparent, HEADERS.tracestate, HEADERS.baggage] as const) {
    const value = trace[name];
    if (value !== undefined) lines.push([name, headerText(value, 4_096)]);
  }
  return lines;
}
