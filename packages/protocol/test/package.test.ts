/**
 * Hunts for what only shows once the package is somewhere else: files left out of the tarball, a stale build, types that
 * need this workspace's settings, imports that a browser does not have, a README that lies.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asyncApiDocument } from '../src/index.ts';
import { PackedConsumer } from './packed-consumer.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const EXAMPLES = Array.from(
  readme.matchAll(/```ts\n(.*?)```\n\n```text\n(.*?)```/gs),
  ([, code = '', output = '']) => ({
    code,
    output,
  }),
);

const OWN_DOCUMENT = `
import document from '@meshforge/protocol/asyncapi.json' with { type: 'json' };
console.log(document.asyncapi, Object.keys(document.channels).length);
`;

/** Node without what browsers lack; what is left has to do. */
const IN_A_BROWSER = `
const { log } = console;
for (const name of ['process', 'Buffer', 'global', 'setImmediate']) Reflect.deleteProperty(globalThis, name);
const { decodeCommand, encode, jsonSchemas, lockContract } = await import('@meshforge/protocol');
log(decodeCommand(encode({ entity_id: 'a' })).ok, Object.keys(jsonSchemas(lockContract).commands).length);
export {};
`;

let consumer: PackedConsumer;

beforeAll(async () => {
  consumer = await PackedConsumer.create();
  const programs = EXAMPLES.map(({ code }, index) => [`readme-${index}.ts`, code] as const);
  await consumer.compile({
    ...Object.fromEntries(programs),
    'document.ts': OWN_DOCUMENT,
    'in-a-browser.ts': IN_A_BROWSER,
  });
}, 300_000);

afterAll(() => consumer?.remove());

describe('the installed package', () => {
  it.each(EXAMPLES.map(({ output }, index) => ({ output, index })))(
    'does what example $index of its README says',
    async ({ output, index }) => {
      expect(await consumer.node(`out/readme-${index}.js`)).toBe(output);
    },
  );

  it('has a README with examples', () => {
    expect(EXAMPLES).toHaveLength(readme.match(/```ts\n/g)?.length ?? 0);
    expect(EXAMPLES.length).toBeGreaterThan(2);
  });

  it('brings its AsyncAPI document along', async () => {
    const { asyncapi, channels } = asyncApiDocument();
    expect(await consumer.node('out/document.js')).toBe(`${asyncapi} ${Object.keys(channels).length}\n`);
  });

  it('runs without the globals that a browser lacks', async () => {
    expect(await consumer.node('out/in-a-browser.js')).toBe('true 5\n');
  });

  it('imports zod and itself, and nothing else', async () => {
    const files = (await consumer.filesOf('dist')).filter((file) => file.endsWith('.js'));
    const texts = await Promise.all(files.map((file) => consumer.read(`dist/${file}`)));
    const specifiers = texts.flatMap((text) =>
      Array.from(text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(.+?)\1/g), ([, , specifier = '']) => specifier),
    );
    expect(specifiers.length).toBeGreaterThan(files.length);
    expect(specifiers.filter((specifier) => !/^\.\.?\/[\w/-]+\.js$/.test(specifier) && specifier !== 'zod')).toEqual(
      [],
    );
  });

  it('holds what its sources compile to, no file more (else remove dist and build again) and none less', async () => {
    const sources = (await consumer.filesOf('src')).filter((file) => file.endsWith('.ts'));
    const expected = sources.flatMap((file) => {
      const name = file.slice(0, -'.ts'.length);
      return [`${name}.js`, `${name}.js.map`, `${name}.d.ts`, `${name}.d.ts.map`];
    });
    const built = (await consumer.filesOf('dist')).filter((file) => /\.\w+$/.test(file));
    expect(built).toEqual(expected.sort());
  });

  it('depends on zod alone, by a version that a registry knows', async () => {
    const manifest = JSON.parse(await consumer.read('package.json')) as { dependencies: Record<string, string> };
    expect(Object.keys(manifest.dependencies)).toEqual(['zod']);
    expect(manifest.dependencies.zod).toMatch(/^[~^]?4\.\d+\.\d+$/);
  });
});

describe("the installed package's types", () => {
  it('refuse a command with a typo in the key of the guard', async () => {
    const source = `
      import type { CommandBody } from '@meshforge/protocol';
      export const command: CommandBody = { entity_id: 'a', expectedVersion: 3 };
    `;
    await expect(consumer.compile({ 'typo.ts': source })).rejects.toThrow(/typo\.ts.*expected_?[vV]ersion/s);
  });
});
