import { once } from 'node:events';
import { join } from 'node:path';
import { extract } from 'tar';
import { downloadPinned } from './download.ts';
import type { ServerSource } from './server-source.ts';
import { RELEASE_VERSION } from './versions.ts';

interface Pin {
  readonly architecture: string;
  readonly sha256: string;
}

/** Checksums of the official archives of `RELEASE_VERSION` for Linux, by Node's name of the architecture. */
const pins: Readonly<Record<string, Pin>> = {
  x64: { architecture: 'amd64', sha256: '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355' },
  arm64: { architecture: 'arm64', sha256: '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c' },
  arm: { architecture: 'arm7', sha256: 'c8796b63a8603fdebabd63146ac3d3997c29a2829fdd2af6db320f4a287f2e71' },
};

const limits = { connectTimeoutMs: 5_000, stallTimeoutMs: 10_000, totalTimeoutMs: 120_000, maxBytes: 64 * 1024 * 1024 };

/** The archive of the project's own release, accepted only with the checksum written down here. */
export const releaseArchive: ServerSource = {
  name: `the release archive v${RELEASE_VERSION} of github.com/nats-io/nats-server`,
  async fetch({ directory }) {
    const pin = process.platform === 'linux' ? pins[process.arch] : undefined;
    if (pin === undefined) throw new Error(`no checksum is pinned for ${process.platform} ${process.arch}`);
    const name = `nats-server-v${RELEASE_VERSION}-linux-${pin.architecture}`;
    const url = `https://github.com/nats-io/nats-server/releases/download/v${RELEASE_VERSION}/${name}.tar.gz`;
    await unpackServer(await downloadPinned(url, pin.sha256, limits), directory);
    return join(directory, 'nats-server');
  },
};

/** Writes the one file `<top folder>/nats-server` of a gzipped tar archive into `directory`. */
export async function unpackServer(archive: Uint8Array, directory: string): Promise<void> {
  const unpack = extract({
    cwd: directory,
    strip: 1,
    strict: true,
    filter: (path) => /^[^/]+\/nats-server$/.test(path),
  });
  const closed = once(unpack, 'close');
  unpack.end(Buffer.from(archive));
  await closed;
}
