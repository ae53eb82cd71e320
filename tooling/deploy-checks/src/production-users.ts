import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createUser } from '@nats-io/nkeys';

/** Each user of production-users.conf: the variable its public key comes from, and the inbox it may listen to. */
const known = {
  inventory: { variable: 'MESHFORGE_INVENTORY_NKEY', inboxPrefix: '_INBOX_inventory' },
  lockManager: { variable: 'MESHFORGE_LOCK_MANAGER_NKEY', inboxPrefix: '_INBOX_sys_lock_manager' },
  client: { variable: 'MESHFORGE_CLIENT_NKEY', inboxPrefix: '_INBOX_client' },
  subscriber: { variable: 'MESHFORGE_SUBSCRIBER_NKEY', inboxPrefix: '_INBOX_subscriber' },
  sender: { variable: 'MESHFORGE_SENDER_NKEY', inboxPrefix: '_INBOX_sender' },
  operator: { variable: 'MESHFORGE_OPERATOR_NKEY', inboxPrefix: '_INBOX' },
  system: { variable: 'MESHFORGE_SYSTEM_NKEY', inboxPrefix: '_INBOX' },
} as const;

export type ProductionUserName = keyof typeof known;

const productionUserNames = Object.keys(known) as ProductionUserName[];

/** A user with a fresh key. */
export interface ProductionUser {
  readonly name: ProductionUserName;
  readonly inboxPrefix: string;
  readonly publicKey: string;
  readonly seed: string;
  /** Holds the seed; for NATS_NKEY_SEED_FILE. */
  readonly seedFile: string;
}

export type ProductionUsers = Readonly<Record<ProductionUserName, ProductionUser>>;

/** Makes a key for every user and writes the seeds into a directory. */
export async function makeUsers(directory: string): Promise<ProductionUsers> {
  const made = await Promise.all(
    productionUserNames.map(async (name) => [name, await makeUser(name, directory)] as const),
  );
  return Object.fromEntries(made) as ProductionUsers;
}

/** The server's environment: public keys only. */
export function serverEnvironment(users: ProductionUsers): Record<string, string> {
  return Object.fromEntries(productionUserNames.map((name) => [known[name].variable, users[name].publicKey]));
}

async function makeUser(name: ProductionUserName, directory: string): Promise<ProductionUser> {
  const key = createUser();
  const seed = new TextDecoder().decode(key.getSeed());
  const seedFile = join(directory, `${name}.nk`);
  await writeFile(seedFile, `${seed}\n`, { mode: 0o600 });
  return { name, inboxPrefix: known[name].inboxPrefix, publicKey: key.getPublicKey(), seed, seedFile };
}
