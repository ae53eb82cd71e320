import { trace, type Tracer, type TracerProvider } from '@opentelemetry/api';
import { VERSION } from '../version.ts';
import { harmless } from './harmless.ts';
import { SCOPE } from './names.ts';

/** The API's stand-in for a provider that may be registered later. */
interface Standin extends TracerProvider {
  getDelegateTracer(name: string, version?: string): Tracer | undefined;
}

let known: { provider: TracerProvider; tracer: Tracer } | undefined;

/** The tracer, once a provider is registered with the API; until then undefined, at the price of two look-ups. */
export function registeredTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  if (known?.provider === provider) return known.tracer;
  const tracer = harmless(() =>
    // By its shape: several copies of the API may share the registration.
    'getDelegateTracer' in provider
      ? (provider as Standin).getDelegateTracer(SCOPE, VERSION)
      : provider.getTracer(SCOPE, VERSION),
  );
  if (tracer !== undefined) known = { provider, tracer };
  return tracer;
}
