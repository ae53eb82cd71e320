/**
 * A trace context as the header lines of a message: W3C `traceparent`, `tracestate`, `baggage`, read and written by
 * whatever propagator is registered with the API; by none, nothing is read and nothing written.
 */
import { HEADERS, TRACE_HEADER_VALUE, TRACE_HEADERS } from '@meshforge/protocol';
import {
  context,
  propagation,
  ROOT_CONTEXT,
  type Context,
  type TextMapGetter,
  type TextMapSetter,
} from '@opentelemetry/api';
import type { CommandHeaders } from '../core/decide.ts';
import { harmless } from './harmless.ts';

type Line = CommandHeaders[number];

const getter: TextMapGetter<CommandHeaders> = {
  keys: (lines) => lines.map(([name]) => name),
  get: (lines, key) => lines.find(([name]) => name === key)?.[1],
};

/** Other propagators write headers that the agents would not carry on. */
const setter: TextMapSetter<Line[]> = {
  set: (lines, key, value) => {
    if ((TRACE_HEADERS as readonly string[]).includes(key) && TRACE_HEADER_VALUE.test(value)) lines.push([key, value]);
  },
};

/**
 * The context that came with a message: the parent of what it causes. Never what happens to be active, since messages
 * are read wherever the connection was opened.
 */
export function contextOf(lines: CommandHeaders): Context {
  return harmless(() => propagation.extract(ROOT_CONTEXT, lines, getter)) ?? ROOT_CONTEXT;
}

/** The lines with another trace context; the same lines where that has none. Baggage stays as it was given. */
export function withTrace(lines: CommandHeaders, traced: Context): CommandHeaders {
  const injected: Line[] = [];
  harmless(() => propagation.inject(traced, injected, setter));
  if (injected.length === 0) return lines;
  // A tracestate belongs to its traceparent: both change, or none.
  const isTraced = has(injected, HEADERS.traceparent);
  const kept = isTraced ? lines.filter(([name]) => !isTrace(name)) : lines;
  const added = injected.filter(([name]) => (isTrace(name) ? isTraced : !has(lines, name)));
  return [...kept, ...added];
}

/** The lines of a command that is sent now: with the active context, unless its sender has named another. */
export function withActiveTrace(lines: CommandHeaders, active: Context = context.active()): CommandHeaders {
  return active === ROOT_CONTEXT || has(lines, HEADERS.traceparent) ? lines : withTrace(lines, active);
}

function has(lines: CommandHeaders, header: string): boolean {
  return lines.some(([name]) => name === header);
}

function isTrace(name: string): boolean {
  return name === HEADERS.traceparent || name === HEADERS.tracestate;
}
