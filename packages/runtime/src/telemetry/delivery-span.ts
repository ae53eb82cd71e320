import { eventSubject, TRACE_HEADERS } from '@meshforge/protocol';
import type { MsgHdrs } from '@nats-io/nats-core';
import {
  context,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Tracer,
} from '@opentelemetry/api';
import type { ChangeEvent } from '../client/types.ts';
import type { CommandHeaders } from '../core/decide.ts';
import { harmless } from './harmless.ts';
import { ATTRIBUTES } from './names.ts';
import { contextOf } from './trace-headers.ts';
import { registeredTracer } from './tracer.ts';

interface Delivery {
  agent: string;
  durable: string;
  event: ChangeEvent<unknown>;
  headers: MsgHdrs | undefined;
}

/**
 * Has a durable subscriber's handler run in a span, a child of the command that made the event: what the handler sends
 * continues that trace. Each delivery of an event is a span.
 */
export async function deliverInSpan(delivery: Delivery, handler: () => void | Promise<void>): Promise<void> {
  const tracer = registeredTracer();
  const started = tracer === undefined ? undefined : harmless(() => start(tracer, delivery));
  if (started === undefined) return await handler();
  const span = trace.getSpan(started);
  try {
    await context.with(started, handler);
  } catch (error) {
    harmless(() => {
      const isError = error instanceof Error;
      if (isError) span?.recordException(error);
      span?.setAttribute(ATTRIBUTES.errorType, isError ? error.name : '_OTHER');
      span?.setStatus({ code: SpanStatusCode.ERROR, message: isError ? error.message : String(error) });
    });
    throw error;
  } finally {
    harmless(() => span?.end());
  }
}

function start(tracer: Tracer, { agent, durable, event, headers }: Delivery): Context {
  // The event's public name: its place in the log would be one destination for each entity.
  const destination = eventSubject(agent, event.event);
  const attributes: Attributes = {
    [ATTRIBUTES.system]: 'nats',
    [ATTRIBUTES.operationName]: 'process',
    [ATTRIBUTES.operationType]: 'process',
    [ATTRIBUTES.destination]: destination,
    [ATTRIBUTES.subscription]: durable,
    [ATTRIBUTES.agent]: agent,
    [ATTRIBUTES.event]: event.event,
  };
  const parent = contextOf(linesOf(headers));
  const span = tracer.startSpan(`process ${destination}`, { kind: SpanKind.CONSUMER, attributes }, parent);
  if (span.isRecording()) {
    const { commandId, correlationId, entityId, entityVersion } = event;
    span.setAttributes({
      [ATTRIBUTES.entityId]: entityId,
      [ATTRIBUTES.entityVersion]: entityVersion,
      [ATTRIBUTES.commandId]: commandId,
    });
    if (correlationId !== undefined) span.setAttribute(ATTRIBUTES.conversationId, correlationId);
  }
  return trace.setSpan(parent, span);
}

function linesOf(headers: MsgHdrs | undefined): CommandHeaders {
  if (headers === undefined) return [];
  return TRACE_HEADERS.filter((name) => headers.has(name)).map((name) => [name, headers.get(name)]);
}
