import type { Outcome } from '@meshforge/protocol';
import { context, SpanKind, SpanStatusCode, trace, type Attributes, type Span, type Tracer } from '@opentelemetry/api';
import type { CommandHeaders } from '../core/decide.ts';
import { MeshError } from '../errors.ts';
import { harmless } from './harmless.ts';
import { ATTRIBUTES } from './names.ts';
import { contextOf, withActiveTrace } from './trace-headers.ts';
import { registeredTracer } from './tracer.ts';

/** A command on its way to an agent. */
export interface Request {
  /** Whether its outcome is waited for, or it is stored until it is executed. */
  operation: 'request' | 'send';
  /** Where it goes, such as `cmd.<agent>.<action>`. */
  subject: string;
  agent: string;
  action: string;
  entityId: string;
  commandId: string;
  correlationId?: string | undefined;
  /** As its sender gave them. */
  lines: CommandHeaders;
}

/**
 * Sends a command, with all its tries, in a span of its own, and has the command carry that. A trace context that the
 * sender gave stays as it is; the span then has a link to it.
 *
 * @param send gets the headers to send
 */
export function requestInSpan<O extends Outcome | void>(
  request: Request,
  send: (lines: CommandHeaders) => Promise<O>,
): Promise<O> {
  const tracer = registeredTracer();
  const span = tracer === undefined ? undefined : harmless(() => start(tracer, request));
  return span === undefined ? send(withActiveTrace(request.lines)) : sendIn(span, request.lines, send);
}

async function sendIn<O extends Outcome | void>(
  span: Span,
  lines: CommandHeaders,
  send: (lines: CommandHeaders) => Promise<O>,
): Promise<O> {
  try {
    const outcome = await send(withActiveTrace(lines, trace.setSpan(context.active(), span)));
    if (outcome !== undefined) harmless(() => tell(span, outcome));
    return outcome;
  } catch (error) {
    harmless(() => fail(span, error));
    throw error;
  } finally {
    harmless(() => span.end());
  }
}

function start(tracer: Tracer, request: Request): Span {
  const { action, agent, commandId, correlationId, entityId, lines, operation, subject } = request;
  const attributes: Attributes = {
    [ATTRIBUTES.system]: 'nats',
    [ATTRIBUTES.operationName]: operation,
    [ATTRIBUTES.operationType]: 'send',
    [ATTRIBUTES.destination]: subject,
    [ATTRIBUTES.agent]: agent,
    [ATTRIBUTES.action]: action,
  };
  const given = trace.getSpanContext(contextOf(lines));
  const links = given === undefined ? [] : [{ context: given }];
  const kind = operation === 'request' ? SpanKind.CLIENT : SpanKind.PRODUCER;
  const span = tracer.startSpan(`${operation} ${subject}`, { kind, attributes, links });
  if (span.isRecording()) {
    span.setAttributes({ [ATTRIBUTES.entityId]: entityId, [ATTRIBUTES.commandId]: commandId });
    if (correlationId !== undefined) span.setAttribute(ATTRIBUTES.conversationId, correlationId);
  }
  return span;
}

function tell(span: Span, { kind, payload }: Outcome): void {
  if (!span.isRecording()) return;
  span.setAttribute(ATTRIBUTES.outcome, kind);
  const { code, entity_version: version } = payload as { code?: unknown; entity_version?: unknown };
  if (typeof code === 'string') span.setAttribute(ATTRIBUTES.code, code);
  if (typeof version === 'number') span.setAttribute(ATTRIBUTES.entityVersion, version);
}

function fail(span: Span, error: unknown): void {
  if (!span.isRecording()) return;
  span.setAttribute(ATTRIBUTES.errorType, error instanceof MeshError ? error.code : '_OTHER');
  span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
}
