/** An OpenTelemetry SDK that keeps in memory what it is told. */
import { context, metrics, propagation, trace, type SpanKind } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
  type Sampler,
} from '@opentelemetry/sdk-trace-node';

export class Recorder {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 3_600_000 });

  /** Registers itself; one at a time can be. */
  constructor(options: { sampler?: Sampler } = {}) {
    new NodeTracerProvider({ ...options, spanProcessors: [new SimpleSpanProcessor(this.#spans)] }).register();
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [this.#reader] }));
  }

  /** As if there had never been one. */
  async stop(): Promise<void> {
    for (const api of [trace, context, propagation, metrics]) api.disable();
    await this.#reader.shutdown();
  }

  get spans(): ReadableSpan[] {
    return this.#spans.getFinishedSpans();
  }

  forget(): void {
    this.#spans.reset();
  }

  /** The one span of a name and kind. */
  span(name: string, kind: SpanKind): ReadableSpan {
    const found = this.spans.filter((span) => span.name === name && span.kind === kind);
    if (found.length === 1) return found[0] as ReadableSpan;
    const names = this.spans.map((span) => `${span.name} (${span.kind})`).join(', ');
    throw new Error(`${found.length} spans ${name} (${kind}) among ${names}`);
  }

  /** The points of a metric, each with its attributes as one text in the order of their names. */
  async points(metric: string): Promise<Map<string, unknown>> {
    this.#metrics.reset();
    await this.#reader.forceFlush();
    const all = this.#metrics
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    const points = all.filter(({ descriptor }) => descriptor.name === metric).flatMap((found) => [...found.dataPoints]);
    return new Map(
      points.map(({ attributes, value }) => {
        const text = Object.entries(attributes)
          .toSorted(([a], [b]) => a.localeCompare(b))
          .map(([name, of]) => `${name.replace('meshforge.', '')}=${String(of)}`);
        return [text.join(' '), value];
      }),
    );
  }
}
