import { diag } from '@opentelemetry/api';

/** Telemetry must not break what it watches: what goes wrong in it is reported to OpenTelemetry, and undefined. */
export function harmless<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    diag.error('MeshForge could not record telemetry', error);
    return undefined;
  }
}
