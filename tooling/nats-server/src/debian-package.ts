import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { debianSuite, firstExisting, privateApt, unpackDeb } from '@meshforge/debian-packages';
import type { ServerSource } from './server-source.ts';

/**
 * The package of Debian's newest suite, from the mirror that this machine's apt uses anyway and checked by apt against
 * Debian's archive keys. The machine's own suite has an older server; this one is a single file that needs no others.
 */
export const debianPackage: ServerSource = {
  name: "Debian's package (suite sid)",
  async fetch({ directory }) {
    const apt = await privateApt(directory, await debianSuite('sid'));
    await apt('update');
    await apt('download', 'nats-server');
    const deb = (await readdir(directory)).find((name) => name.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get download left no package');
    const root = join(directory, 'root');
    await unpackDeb(join(directory, deb), root);
    const binary = await firstExisting([join(root, 'usr/sbin/nats-server'), join(root, 'usr/bin/nats-server')]);
    if (binary === undefined) throw new Error(`${deb} holds no nats-server`);
    return binary;
  },
};
