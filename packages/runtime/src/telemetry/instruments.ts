import {
  createNoopMeter,
  metrics,
  type Counter,
  type Gauge,
  type Histogram,
  type MeterProvider,
} from '@opentelemetry/api';
import { VERSION } from '../version.ts';
import { harmless } from './harmless.ts';
import { SCOPE } from './names.ts';

export interface Instruments {
  commands: Counter;
  commandDuration: Histogram;
  commitDuration: Histogram;
  commitRetries: Counter;
  queueLag: Histogram;
  queueRetries: Counter;
  queuePending: Gauge;
  queueInFlight: Gauge;
}

/** A commit takes a fraction of a millisecond; one that waits, minutes. In seconds. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

let known: { provider: MeterProvider; instruments: Instruments | undefined } | undefined;

/** The instruments of the registered provider; undefined while there is none. One that comes later is noticed. */
export function registeredInstruments(): Instruments | undefined {
  const provider = metrics.getMeterProvider();
  if (known?.provider !== provider) known = { provider, instruments: harmless(() => make(provider)) };
  return known.instruments;
}

function make(provider: MeterProvider): Instruments | undefined {
  const meter = provider.getMeter(SCOPE, VERSION);
  if (meter === createNoopMeter()) return undefined;
  const duration = { unit: 's', advice: { explicitBucketBoundaries: SECONDS } };
  return {
    commands: meter.createCounter('meshforge.commands', {
      description: 'Commands that were taken in, by what became of them.',
      unit: '{command}',
    }),
    commandDuration: meter.createHistogram('meshforge.command.duration', {
      description: 'From the arrival of a command to its answer.',
      ...duration,
    }),
    commitDuration: meter.createHistogram('meshforge.commit.duration', {
      description: 'From the publish of a commit to its acknowledgement.',
      ...duration,
    }),
    commitRetries: meter.createCounter('meshforge.commit.retries', {
      description: 'Publishes of commits that were not acknowledged as stored, by why.',
      unit: '{publish}',
    }),
    queueLag: meter.createHistogram('meshforge.queue.lag', {
      description: 'From the storing of a durable command or an event to when it was seen to.',
      ...duration,
    }),
    queueRetries: meter.createCounter('meshforge.queue.retries', {
      description: 'Further tries of what met a fault.',
      unit: '{try}',
    }),
    queuePending: meter.createGauge('meshforge.queue.pending', {
      description: 'Messages that are not delivered yet.',
      unit: '{message}',
    }),
    queueInFlight: meter.createGauge('meshforge.queue.in_flight', {
      description: 'Messages that are delivered and not seen to.',
      unit: '{message}',
    }),
  };
}
