// For every rule: files that break it, and files that come close and do not.
import type { SourceFile } from '../src/rule.ts';

export interface Examples {
  readonly broken: readonly SourceFile[];
  readonly fine: readonly SourceFile[];
}

function file(path: string, ...lines: string[]): SourceFile {
  return { path, text: `${lines.join('\n')}\n` };
}

function manifest(path: string, dependencies: readonly string[], devDependencies: readonly string[] = []): SourceFile {
  const versions = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, '*']));
  return {
    path,
    text: JSON.stringify(
      { dependencies: versions(dependencies), devDependencies: versions(devDependencies) },
      undefined,
      2,
    ),
  };
}

// Put together here, so that no file names a registry.
const registry = ['registry', 'npmjs', 'org'].join('.');
const mirror = ['deb', 'debian', 'org'].join('.');

export const EXAMPLES: Readonly<Record<string, Examples>> = {
  'protocol-depends-on-nothing': {
    broken: [
      file('packages/protocol/src/a.ts', "import { connect } from '@nats-io/transport-node';"),
      file('packages/protocol/src/a.ts', 'import {', '  readFile,', "} from 'node:fs/promises';"),
      file('packages/protocol/src/a.ts', "export * from '@meshforge/runtime';"),
      file('packages/protocol/src/a.ts', "const z = await import('node:os');"),
      file('packages/protocol/src/a.ts', "import type { A } from '../../runtime/src/a.ts';"),
      manifest('packages/protocol/package.json', ['zod', '@nats-io/nats-core']),
    ],
    fine: [
      file('packages/protocol/src/a.ts', "import { z } from 'zod';", "import { b } from './deep/b.ts';"),
      file('packages/protocol/src/deep/b.ts', "export { a } from '../a.ts';", "// import x from 'node:fs'"),
      file('packages/protocol/test/a.test.ts', "import { readFileSync } from 'node:fs';"),
      manifest('packages/protocol/package.json', ['zod'], ['@nats-io/nats-core']),
    ],
  },
  'core-is-pure': {
    broken: [
      file('packages/runtime/src/core/a.ts', "import { z } from 'zod';"),
      file('packages/runtime/src/core/a.ts', "import { randomUUID } from 'node:crypto';"),
      file('packages/runtime/src/core/a.ts', "import { systemClock } from '../clock.ts';"),
      file('packages/runtime/src/core/a.ts', "import type { NatsConnection } from '@nats-io/nats-core';"),
    ],
    fine: [
      file('packages/runtime/src/core/a.ts', "import type { z } from 'zod';", "import { b } from './b.ts';"),
      file('packages/runtime/src/core/a.ts', "import { LIMITS } from '@meshforge/protocol';"),
      file('packages/runtime/src/clock.ts', "import { setTimeout } from 'node:timers/promises';"),
    ],
  },
  'runtime-depends-on-protocol': {
    broken: [
      file('packages/runtime/src/a.ts', "import { inventory } from '@meshforge/inventory';"),
      file('packages/runtime/src/a.ts', "import { startNatsServer } from '@meshforge/nats-server';"),
      manifest('packages/runtime/package.json', ['@meshforge/protocol', '@meshforge/smoke']),
    ],
    fine: [
      file(
        'packages/runtime/src/a.ts',
        "import { encode } from '@meshforge/protocol';",
        "import { pino } from 'pino';",
      ),
      file('packages/runtime/src/testing/server.ts', "import { startNatsServer } from '@meshforge/nats-server';"),
      manifest('packages/runtime/package.json', ['@meshforge/protocol', 'pino'], ['@meshforge/nats-server']),
    ],
  },
  'smoke-knows-only-the-wire': {
    broken: [
      file('packages/smoke/src/a.ts', "import { connectMesh } from '@meshforge/runtime';"),
      file('packages/smoke/src/a.ts', "import '@meshforge/runtime/process';"),
      manifest('packages/smoke/package.json', ['@meshforge/runtime']),
    ],
    fine: [
      file('packages/smoke/src/a.ts', "import { connect } from '@nats-io/transport-node';"),
      manifest('packages/smoke/package.json', ['@meshforge/protocol', 'commander']),
    ],
  },
  'apps-hold-rules-only': {
    broken: [
      file('apps/inventory/src/a.ts', "import { connect } from '@nats-io/transport-node';"),
      file('apps/inventory/src/a.ts', "import { readFile } from 'node:fs/promises';"),
      file('apps/inventory/src/a.ts', "import { lockManager } from '@meshforge/lock-manager';"),
      manifest('apps/inventory/package.json', ['@meshforge/runtime', 'pino']),
      file('apps/inventory/src/a.ts', "import { MeterProvider } from '@opentelemetry/sdk-metrics';"),
    ],
    fine: [
      file(
        'apps/inventory/src/a.ts',
        "import { runAgent } from '@meshforge/runtime/process';",
        "import { z } from 'zod';",
      ),
      manifest('apps/inventory/package.json', ['@meshforge/runtime', 'zod'], ['fast-check']),
    ],
  },
  'packages-are-closed': {
    broken: [
      file('apps/inventory/test/a.test.ts', "import { a } from '../../../packages/runtime/src/a.ts';"),
      file('tooling/dev/src/a.ts', "import { a } from '@meshforge/smoke/src/a.ts';"),
      file('tooling/dev/src/a.ts', "const a = await import('@meshforge/smoke/dist/a.js');"),
      file('tooling/dev/src/a.ts', "import { a } from '@meshforge/unheard-of';"),
    ],
    fine: [
      file('apps/inventory/test/a.test.ts', "import { rules } from '../src/rules.ts';"),
      file('apps/inventory/test/a.test.ts', "import { w } from '../../../packages/runtime/test/support/wire.ts';"),
      file('tooling/dev/src/a.ts', "import { runSmoke } from '@meshforge/smoke';"),
    ],
  },
  'one-guarded-publish': {
    broken: [
      file('packages/runtime/src/store/a.ts', "lines.push(['Nats-Expected-Last-Subject-Sequence', '0']);"),
      file('apps/inventory/src/a.ts', 'export function publishCommit() {'),
      file('packages/runtime/src/a.ts', 'const publishCommit = () => requester.request(subject);'),
    ],
    fine: [
      file(
        'packages/runtime/src/nats/commit-publisher.ts',
        'export function publishCommit(',
        "['Nats-Expected-Last-Subject-Sequence'",
      ),
      file('packages/runtime/src/store/a.ts', 'const result = await publishCommit(requester, agent, message);'),
      file('packages/runtime/src/a.ts', '/** Sets Nats-Expected-Last-Subject-Sequence. */'),
    ],
  },
  'one-user-of-entity-subjects': {
    broken: [
      file('packages/runtime/src/store/a.ts', 'connection.publish(entitySubject(agent, id, event), body);'),
      file('apps/inventory/src/a.ts', 'const subject = entitySubject(agent, id, event);'),
    ],
    fine: [
      file('packages/runtime/src/nats/commit-publisher.ts', 'requester.request(entitySubject(agent, id, event));'),
      file('packages/runtime/src/nats/entity-reader.ts', 'this.#last(entitySubject(name, id, event));'),
      file('packages/runtime/test/a.test.ts', 'entitySubject(agent, id, event)'),
    ],
  },
  'subjects-in-one-file': {
    broken: [
      file('packages/runtime/src/a.ts', 'const subject = `evt.${agent}.${event}`;'),
      file('apps/inventory/src/a.ts', "connection.publish('cmd.inventory.create');"),
      file('packages/protocol/src/query.ts', "subject.startsWith('qry.')"),
    ],
    fine: [
      file('packages/protocol/src/subjects.ts', 'return `evt.${agentToken(agent)}.${event}`;'),
      file('packages/runtime/src/a.ts', '/** Answers on `qry.<agent>.get`. */', 'const x = 1; // on `cmd.>`'),
      file('packages/smoke/src/checks/a.ts', "expectEqual(reply.event, 'evt.inventory.created');"),
      file('packages/runtime/test/a.test.ts', "'cmd.inventory.create'"),
    ],
  },
  'jetstream-error-codes-in-one-file': {
    broken: [file('packages/runtime/src/store/a.ts', 'if (error.err_code === 10071) return;')],
    fine: [
      file('packages/runtime/src/nats/jetstream-errors.ts', 'const WRONG_LAST_SEQUENCE = 10071;'),
      file('packages/runtime/src/a.ts', 'const timeoutMs = 10_000;', '// The server says 10071.', 'const port = 4222;'),
    ],
  },
  'pure-core': {
    broken: [
      'Date.now()',
      'new Date()',
      'performance.now()',
      'Math.random()',
      'setTimeout(f, 1)',
      'crypto.randomUUID()',
    ].map((code) => file('packages/runtime/src/core/a.ts', `const x = ${code};`)),
    fine: [
      file('packages/runtime/src/core/a.ts', 'new Date(now).toISOString();', '// never Date.now()', 'Math.max(1, 2);'),
      file('packages/runtime/src/clock.ts', 'now: () => Date.now(),'),
    ],
  },
  'no-console': {
    broken: [
      file('packages/runtime/src/a.ts', 'console.log(error);'),
      file('packages/protocol/src/a.ts', 'console.warn(error);'),
    ],
    fine: [
      file('packages/runtime/src/a.ts', 'logger.warn(error);'),
      file('tooling/dev/start.mjs', 'console.log(help);'),
    ],
  },
  'no-compose-version': {
    broken: [
      file('compose.yaml', "version: '3'", 'services:'),
      file('deploy/docker-compose.test.yml', 'version : 3.8'),
    ],
    fine: [file('compose.yaml', 'services:', '  a:', '    version: 1'), file('pnpm-workspace.yaml', 'version: 1')],
  },
  'clusters-in-long-tests': {
    broken: [file('apps/inventory/test/a.test.ts', 'const cluster = await startNatsCluster();')],
    fine: [
      file('apps/inventory/test/a.long.test.ts', 'const cluster = await startNatsCluster();'),
      file('apps/inventory/test/a.test.ts', '// startNatsCluster() takes too long', 'await startNatsServer();'),
    ],
  },
  'short-files': {
    broken: [file('packages/runtime/src/a.ts', ...Array.from({ length: 501 }, () => 'x;'))],
    fine: [
      file('packages/runtime/src/a.ts', ...Array.from({ length: 500 }, () => 'x;')),
      file('packages/runtime/test/a.test.ts', ...Array.from({ length: 501 }, () => 'x;')),
    ],
  },
  'every-test-runs': {
    broken: [
      file('packages/runtime/test/a.test.ts', "test.only('a', () => {});"),
      file('packages/runtime/test/a.test.ts', "describe.skip('a', () => {});"),
      file('packages/runtime/test/a.test.ts', "it.concurrent.skip('a', () => {});"),
    ],
    fine: [
      file(
        'packages/runtime/test/a.test.ts',
        "test('skip(2) leaves the rest', () => list.skip(2));",
        '// no test.only',
      ),
    ],
  },
  'nothing-left-for-later': {
    broken: [file('README.md', 'TODO: write this'), file('packages/runtime/src/a.ts', '// FIXME later')],
    fine: [file('README.md', 'A todo list is an entity like any other.'), file('pnpm-lock.yaml', 'TODO')],
  },
  'nothing-about-how-it-is-made': {
    broken: [
      file('docs/a.md', 'as issue #12 asks'),
      file('packages/runtime/src/a.ts', '// fixes #7'),
      file('README.md', 'written in a coding session'),
    ],
    fine: [
      file('packages/protocol/src/a.ts', 'issues: Issue[];', 'const first = issues[0];', 'color: #123456'),
      file('README.md', 'See https://github.com/nats-io/nats-server/issues/1 and the etcd session.'),
    ],
  },
  'no-machine-paths': {
    broken: ['/root/.cache', '/work/x', '/Users/ann/x', '/home/ann/x', '/tmp/x'].map((path) =>
      file('packages/runtime/test/a.test.ts', `const path = '${path}';`),
    ),
    fine: [
      file('Dockerfile', 'COPY --from=prune /work/out/json/ .'),
      file('tooling/nats-server/src/a.ts', "'/home/linuxbrew/.linuxbrew/bin',", "'/usr/sbin'"),
      file('packages/runtime/src/a.ts', 'join(`${base}/work/x`);', "import '../work/x.ts';"),
    ],
  },
  'no-registry-hosts': {
    broken: [file('.npmrc', `registry=https://${registry}/`), file('Dockerfile', `RUN curl http://${mirror}/debian`)],
    fine: [file('README.md', 'npm config get registry'), file('pnpm-lock.yaml', `https://${registry}/x`)],
  },
};
