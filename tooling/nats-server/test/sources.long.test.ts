// Hunts: bytes that are not the ones we pinned, a source that hangs, and an archive or package that is not unpacked right.
// The two real sources run when the network lets them; otherwise they must fail soon and for the documented reason.
import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { create } from 'tar';
import { expect, onTestFinished, test } from 'vitest';
import { debianPackage } from '../src/debian-package.ts';
import { downloadPinned, type DownloadLimits } from '../src/download.ts';
import { releaseArchive, unpackServer } from '../src/release-archive.ts';
import type { ServerSource } from '../src/server-source.ts';
import { probeVersion } from '../src/server-version.ts';
import { writeFakeServer } from './fake-server.ts';
import { temporaryDirectory } from './temporary-directories.ts';

const limits: DownloadLimits = { connectTimeoutMs: 500, stallTimeoutMs: 500, totalTimeoutMs: 1_500, maxBytes: 1_000 };
const content = 'the archive';
const sha256 = createHash('sha256').update(content).digest('hex');

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a download with the pinned checksum is accepted, also behind a redirect', async () => {
  const url = await serve((request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: '/file' }).end();
    else response.end(content);
  });
  expect(Buffer.from(await downloadPinned(`${url}/moved`, sha256, limits)).toString()).toBe(content);
});

test('a download with another checksum is refused', async () => {
  const url = await serve((_, response) => response.end('something else'));
  await expect(downloadPinned(url, sha256, limits)).rejects.toThrow(`expected ${sha256}`);
});

test.each<{ what: string; listener: RequestListener; says: string }>([
  { what: 'never answers', listener: () => {}, says: 'did not answer within 0.5 s' },
  { what: 'stalls', listener: (_, response) => response.write('a'), says: 'sent nothing for 0.5 s' },
  { what: 'answers 404', listener: (_, response) => response.writeHead(404).end(), says: 'answered 404' },
  {
    what: 'sends too much',
    listener: (_, response) => response.end('x'.repeat(2_000)),
    says: 'larger than 1000 bytes',
  },
  {
    what: 'redirects for ever',
    listener: (_, response) => response.writeHead(302, { location: '/' }).end(),
    says: 'redirects',
  },
  { what: 'trickles', listener: (_, response) => trickle(() => response.write('a')), says: 'took longer than 1.5 s' },
  { what: 'hangs up', listener: (request) => request.socket.destroy(), says: 'cannot reach 127.0.0.1' },
])('a host that $what is given up with a reason', async ({ listener, says }) => {
  const url = await serve(listener);
  await expect(downloadPinned(url, sha256, limits)).rejects.toThrow(says);
});

function trickle(write: () => void): void {
  const timer = setInterval(write, 100);
  onTestFinished(() => clearInterval(timer));
}

test('of a release archive only the server is unpacked', async () => {
  const directory = await temporaryDirectory();
  const folder = 'nats-server-v2.15.0-linux-amd64';
  await writeFakeServer(join(directory, folder, 'nats-server'), '2.15.0');
  await writeFile(join(directory, folder, 'README.md'), 'read me');
  const chunks: Buffer[] = [];
  for await (const chunk of create({ cwd: directory, gzip: true }, [folder])) chunks.push(Buffer.from(chunk));
  const target = join(directory, 'unpacked');
  await mkdir(target);
  await unpackServer(Buffer.concat(chunks), target);
  expect(await readdir(target)).toEqual(['nats-server']);
  expect(await probeVersion(join(target, 'nats-server'))).toBe('2.15.0');
});

test('a release archive that is cut short is refused', async () => {
  await expect(unpackServer(Buffer.from([0x1f, 0x8b, 8, 0, 0]), await temporaryDirectory())).rejects.toThrow(
    /truncated|unexpected end|zlib/i,
  );
});

/** Fetches for real; answers `got <version>`, or the reason for which there is none. */
async function outcomeOf(source: ServerSource): Promise<string> {
  try {
    const binary = await source.fetch({ directory: await temporaryDirectory(), onProgress: () => {} });
    return `got ${await probeVersion(binary)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test("Debian's package gives a server, or says why it cannot", { timeout: 180_000 }, async () => {
  const unreachable = 'apt-get (update|download): .*(Could not|Cannot|Failed to fetch|failed|took longer)';
  const elsewhere = 'not a Debian|apt knows no Debian mirror';
  expect(await outcomeOf(debianPackage)).toMatch(new RegExp(`^(got 2\\.\\d+|${unreachable}|${elsewhere})`, 's'));
});

test('the release archive gives its version, or says why it cannot', { timeout: 180_000 }, async () => {
  const unreachable = 'cannot reach |.* did not answer within|.* sent nothing for|.* took longer than|.* answered 5';
  expect(await outcomeOf(releaseArchive)).toMatch(
    new RegExp(`^(got 2\\.14\\.5$|${unreachable}|no checksum is pinned)`),
  );
});

test("Debian's mirror that accepts and stays silent is given up within seconds", async () => {
  const silent = createTcpServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const configuration = join(await temporaryDirectory(), 'apt.conf');
  const proxy = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await writeFile(configuration, `Acquire::http::Proxy "${proxy}";\nAcquire::https::Proxy "${proxy}";\n`);
  const before = process.env['APT_CONFIG'];
  process.env['APT_CONFIG'] = configuration;
  onTestFinished(() => {
    if (before === undefined) delete process.env['APT_CONFIG'];
    else process.env['APT_CONFIG'] = before;
  });
  expect(await outcomeOf(debianPackage)).toMatch(/^(apt-get update: |not a Debian|apt knows no Debian mirror)/);
});
