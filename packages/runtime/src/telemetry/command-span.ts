import {
  commandSubject,
  commandWildcard,
  HEADERS,
  queuedActionFilter,
  queuedCommandWildcard,
} from '@meshforge/protocol';
import { SpanKind, SpanStatusCode, trace, type Attributes, type Span, type Tracer } from '@opentelemetry/api';
import type { AnyAgent } from '../core/agent.ts';
import type { StoreOutcome } from '../core/outcome.ts';
import type { ReadHeaders } from '../intake/command-headers.ts';
import { harmless } from './harmless.ts';
import { ATTRIBUTES, UNKNOWN_ACTION } from './names.ts';
import { contextOf, withTrace } from './trace-headers.ts';
import { registeredTracer } from './tracer.ts';

const KINDS = { nats: SpanKind.SERVER, process: SpanKind.INTERNAL, queue: SpanKind.CONSUMER } as const;
type Over = keyof typeof KINDS;

/** A command in its agent's hands. */
export interface CommandSpan {
  /** The command's headers with the context of this span, for its event and its answer. */
  readonly headers: ReadHeaders;
  end(outcome: StoreOutcome): void;
}

/**
 * The span in which an agent handles a command, a child of whatever sent it. Undefined where nobody traces.
 * @param over whether it was requested over NATS, comes from this very process, or was stored until it is executed
 */
export function startCommandSpan(
  agent: AnyAgent,
  action: string,
  headers: ReadHeaders,
  over: Over,
): CommandSpan | undefined {
  const tracer = registeredTracer();
  return tracer === undefined ? undefined : harmless(() => start(tracer, agent, action, headers, over));
}

function start(tracer: Tracer, agent: AnyAgent, action: string, headers: ReadHeaders, over: Over): CommandSpan {
  const { commandId, lines } = headers;
  const isKnown = Object.hasOwn(agent.actions, action);
  const [subject, wildcard] =
    over === 'queue' ? [queuedActionFilter, queuedCommandWildcard] : [commandSubject, commandWildcard];
  const destination = isKnown ? subject(agent.name, action) : wildcard(agent.name);
  const parent = contextOf(lines);
  const attributes: Attributes = {
    [ATTRIBUTES.system]: 'nats',
    [ATTRIBUTES.operationName]: 'process',
    [ATTRIBUTES.operationType]: 'process',
    [ATTRIBUTES.destination]: destination,
    [ATTRIBUTES.agent]: agent.name,
    [ATTRIBUTES.action]: isKnown ? action : UNKNOWN_ACTION,
  };
  const span = tracer.startSpan(`process ${destination}`, { kind: KINDS[over], attributes }, parent);
  if (span.isRecording()) {
    span.setAttribute(ATTRIBUTES.commandId, commandId);
    const correlationId = lines.find(([name]) => name === HEADERS.correlationId)?.[1];
    if (correlationId !== undefined) span.setAttribute(ATTRIBUTES.conversationId, correlationId);
  }
  return {
    headers: { ...headers, lines: withTrace(lines, trace.setSpan(parent, span)) },
    end: (outcome) => harmless(() => end(span, outcome)),
  };
}

function end(span: Span, outcome: StoreOutcome): void {
  if (span.isRecording()) {
    span.setAttribute(ATTRIBUTES.outcome, outcome.kind);
    if ('payload' in outcome) span.setAttributes(headOf(outcome.payload));
    const code = 'code' in outcome ? outcome.code : undefined;
    if (code !== undefined) span.setAttribute(ATTRIBUTES.code, code);
    // A refusal is an answer like any other; what could not be decided is none.
    if (outcome.kind === 'unavailable' || outcome.kind === 'abandoned') {
      span.setAttribute(ATTRIBUTES.errorType, code ?? outcome.kind);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
  }
  span.end();
}

const HEAD = /^\{"entity_id":("(?:[^"\\]|\\.){1,2048}")(?:,"entity_version":(\d{1,16})[,}])?/;

/** The entity and its version, with which payloads begin: the state behind them may be large. */
function headOf(payload: string): Attributes {
  const [, entityId, version] = HEAD.exec(payload) ?? [];
  if (entityId === undefined) return {};
  const head: Attributes = { [ATTRIBUTES.entityId]: JSON.parse(entityId) as string };
  if (version !== undefined) head[ATTRIBUTES.entityVersion] = Number(version);
  return head;
}
