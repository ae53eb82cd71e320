/** The one file that needs the OpenTelemetry SDK; loaded only where something is exported. */
import { randomUUID } from 'node:crypto';
import { diag, DiagLogLevel, metrics } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
  type Resource,
} from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { systemClock, within } from '../clock.ts';
import type { Logger } from '../options.ts';
import { VERSION } from '../version.ts';
import type { TelemetryExport } from './telemetry-export.ts';
import type { TelemetrySettings } from './telemetry-settings.ts';

/** How long the last export may take, in milliseconds; the process has 15 s for its whole end. */
const FLUSH_MS = 3_000;
/** A collector that is away is away for every export: so often it is logged, in milliseconds. */
const TROUBLE_EVERY_MS = 60_000;

/** Registers an SDK with the OpenTelemetry API, and exports what it gathers. Nothing here waits for the collector. */
export class OpenTelemetryExport implements TelemetryExport {
  readonly #providers: { shutdown(): Promise<void> }[] = [];

  constructor(agent: string, settings: TelemetrySettings, logger: Logger) {
    reportTrouble(logger);
    const resource = resourceOf(agent);
    if (settings.traces) {
      const spanProcessors = [new BatchSpanProcessor(new OTLPTraceExporter())];
      const provider = new NodeTracerProvider({ resource, spanProcessors });
      provider.register();
      this.#providers.push(provider);
    }
    if (settings.metrics) {
      const exporter = new OTLPMetricExporter();
      const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: settings.metricIntervalMs });
      const provider = new MeterProvider({ resource, readers: [reader] });
      metrics.setGlobalMeterProvider(provider);
      this.#providers.push(provider);
    }
  }

  async stop(): Promise<void> {
    const flushed = Promise.allSettled(this.#providers.map((provider) => provider.shutdown()));
    await within(systemClock, FLUSH_MS, flushed);
  }
}

/** Who exports: the agent, and which of its replicas; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first. */
function resourceOf(agent: string): Resource {
  const own = { 'service.name': agent, 'service.version': VERSION, 'service.instance.id': randomUUID() };
  const given = detectResources({ detectors: [envDetector] });
  return defaultResource().merge(resourceFromAttributes(own)).merge(given);
}

function reportTrouble(logger: Logger): void {
  let lastAt = Number.NEGATIVE_INFINITY;
  const report = (why: string): void => {
    const now = performance.now();
    if (now - lastAt < TROUBLE_EVERY_MS) return;
    lastAt = now;
    logger.warn({ why: why.slice(0, 1_000) }, 'telemetry cannot be exported; the agent goes on without');
  };
  const ignore = (): void => {};
  diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}
