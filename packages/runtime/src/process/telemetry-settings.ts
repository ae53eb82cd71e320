export interface TelemetrySettings {
  traces: boolean;
  metrics: boolean;
  /** Between two exports of the metrics, in milliseconds. */
  metricIntervalMs: number;
}

const METRIC_INTERVAL_MS = 60_000;

/**
 * What a process exports, by the variables that OpenTelemetry names; undefined for nothing. All others of them, such as
 * headers and sampling, the SDK reads itself.
 */
export function readTelemetrySettings(
  variables: Readonly<Record<string, string | undefined>>,
): TelemetrySettings | undefined {
  const valueOf = (name: string): string => variables[name]?.trim() ?? '';
  if (valueOf('OTEL_SDK_DISABLED').toLowerCase() === 'true') return undefined;
  const isExported = (signal: 'TRACES' | 'METRICS'): boolean =>
    (valueOf('OTEL_EXPORTER_OTLP_ENDPOINT') !== '' || valueOf(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) !== '') &&
    valueOf(`OTEL_${signal}_EXPORTER`).toLowerCase() !== 'none';
  const traces = isExported('TRACES');
  const metrics = isExported('METRICS');
  if (!traces && !metrics) return undefined;
  // Never a reason not to start: what is no interval counts as unset.
  const interval = Number(valueOf('OTEL_METRIC_EXPORT_INTERVAL'));
  return {
    traces,
    metrics,
    metricIntervalMs: Number.isInteger(interval) && interval > 0 ? interval : METRIC_INTERVAL_MS,
  };
}
