import { expect, test } from 'vitest';
import { readTelemetrySettings } from '../../src/process/telemetry-settings.ts';

const at = 'http://collector:4318';
const both = { traces: true, metrics: true, metricIntervalMs: 60_000 };

test.each([
  [{}, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: at }, both],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_SDK_DISABLED: 'True' }, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_SDK_DISABLED: 'false' }, both],
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_TRACES_EXPORTER: 'none' },
    { ...both, traces: false },
  ],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' }, undefined],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: at }, { ...both, metrics: false }],
  [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: at }, { ...both, traces: false }],
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_METRIC_EXPORT_INTERVAL: '500' },
    { ...both, metricIntervalMs: 500 },
  ],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_METRIC_EXPORT_INTERVAL: '-1' }, both],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: at, OTEL_METRIC_EXPORT_INTERVAL: 'often' }, both],
  [{ OTEL_METRIC_EXPORT_INTERVAL: '500' }, undefined],
])('%j exports %j', (variables, settings) => {
  expect(readTelemetrySettings(variables)).toEqual(settings);
});
