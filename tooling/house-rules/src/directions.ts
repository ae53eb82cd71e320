// Who may depend on whom, as data. It holds for imports and for the package's manifest.

/** What the files of a folder may import, beside each other. */
export interface Direction {
  readonly id: string;
  /** Matches the folder at the start of a path; relative imports stay in what it matched. */
  readonly folder: RegExp;
  readonly except?: RegExp;
  /** Where relative imports may go besides. */
  readonly shared?: RegExp;
  /** Of the packages of this repository. */
  readonly ours: readonly string[];
  /** Of all others, `node:` modules included. */
  readonly others: 'any' | readonly string[];
  /** May be imported as types only. */
  readonly types?: readonly string[];
  /** May stand in the manifest, for a package among {@link ours} that loads it; no file may import it. */
  readonly declared?: readonly string[];
  readonly instead: string;
}

export const DIRECTIONS: readonly Direction[] = [
  {
    id: 'protocol-depends-on-nothing',
    folder: /^packages\/protocol\/(?=src\/)/,
    ours: [],
    others: ['zod'],
    instead:
      'keep packages/protocol a description of the wire that runs in a browser; NATS and Node belong into runtime',
  },
  {
    id: 'core-is-pure',
    folder: /^packages\/runtime\/src\/core\//,
    ours: ['@meshforge/protocol'],
    others: [],
    types: ['zod'],
    instead: 'let the core return a plan as a value, and the shell around it carry it out',
  },
  {
    id: 'runtime-depends-on-protocol',
    folder: /^packages\/runtime\/(?=src\/)/,
    except: /^packages\/runtime\/src\/(?:core|testing)\//,
    ours: ['@meshforge/protocol'],
    others: 'any',
    instead: 'turn the dependency round: runtime knows the protocol and no package that uses runtime',
  },
  {
    id: 'smoke-knows-only-the-wire',
    folder: /^packages\/smoke\/(?=src\/)/,
    ours: ['@meshforge/protocol'],
    others: 'any',
    instead: 'speak to the mesh as any client does, with the protocol and a NATS client',
  },
  {
    id: 'apps-hold-rules-only',
    folder: /^apps\/[^/]+\/(?=src\/)/,
    ours: ['@meshforge/protocol', '@meshforge/runtime'],
    others: ['zod'],
    declared: [
      '@opentelemetry/exporter-metrics-otlp-http',
      '@opentelemetry/exporter-trace-otlp-http',
      '@opentelemetry/resources',
      '@opentelemetry/sdk-metrics',
      '@opentelemetry/sdk-trace-node',
    ],
    instead: 'put what every agent needs into packages/runtime, and effects into event subscribers',
  },
  {
    id: 'packages-are-closed',
    folder: /^(?:packages|apps|tooling)\/[^/]+\//,
    // The examples have to break the rules.
    except: /^tooling\/house-rules\/test\//,
    // What tests of several packages need; it is no part of what a package offers.
    shared: /^packages\/runtime\/test\/support\//,
    ours: [
      '@meshforge/protocol',
      '@meshforge/runtime',
      '@meshforge/smoke',
      '@meshforge/inventory',
      '@meshforge/lock-manager',
      '@meshforge/nats-server',
      '@meshforge/simulated-nats',
      '@meshforge/processes',
      '@meshforge/debian-packages',
      '@meshforge/vitest-config',
    ],
    others: 'any',
    instead: 'import another package by its name, as its package.json exports it; never by a path into its src or dist',
  },
];
