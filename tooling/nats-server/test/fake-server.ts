import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FetchContext, ServerSource } from '../src/server-source.ts';

/** Writes a script that answers `--version` as a server of that version does. */
export async function writeFakeServer(path: string, version: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`, { mode: 0o755 });
  return path;
}

/** A source that hands out a fake server, and counts how often it was asked. */
export class FakeSource implements ServerSource {
  readonly name = 'a fake source';
  asked = 0;
  readonly #version: string;
  readonly #beforeMs: number;

  constructor(version: string, beforeMs = 0) {
    this.#version = version;
    this.#beforeMs = beforeMs;
  }

  async fetch({ directory }: FetchContext): Promise<string> {
    this.asked += 1;
    await new Promise((resolve) => setTimeout(resolve, this.#beforeMs));
    return await writeFakeServer(join(directory, 'usr/sbin/nats-server'), this.#version);
  }
}

/** A source that fails at once. */
export function failingSource(name: string, reason: string): ServerSource {
  return {
    name,
    fetch: () => Promise.reject(new Error(reason)),
  };
}
