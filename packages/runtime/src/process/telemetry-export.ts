import type { Logger } from '../options.ts';
import { readTelemetrySettings } from './telemetry-settings.ts';

/** An export of traces and metrics under way. */
export interface TelemetryExport {
  /** Sends what is left, for a few seconds at most. Never rejects. */
  stop(): Promise<void>;
}

const PACKAGES = [
  '@opentelemetry/exporter-metrics-otlp-http',
  '@opentelemetry/exporter-trace-otlp-http',
  '@opentelemetry/resources',
  '@opentelemetry/sdk-metrics',
  '@opentelemetry/sdk-trace-node',
];

/** Begins the export if the environment asks for one. Never rejects: an agent works without. */
export async function startTelemetryExport(
  agent: string,
  variables: Readonly<Record<string, string | undefined>>,
  logger: Logger,
): Promise<TelemetryExport | undefined> {
  const settings = readTelemetrySettings(variables);
  if (settings === undefined) return undefined;
  try {
    // The SDK is loaded by whoever exports, and installed by whoever wants to.
    const { OpenTelemetryExport } = await import('./open-telemetry-export.ts');
    const running = new OpenTelemetryExport(agent, settings, logger);
    logger.info({ traces: settings.traces, metrics: settings.metrics }, 'telemetry is exported over OTLP');
    return running;
  } catch (error) {
    const isMissing = (error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND';
    const mend = isMissing ? `: install ${PACKAGES.join(', ')}` : '';
    logger.warn({ err: error }, `telemetry is to be exported (OTEL_EXPORTER_OTLP_…), but cannot be${mend}`);
    return undefined;
  }
}
