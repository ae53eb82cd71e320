import { promisify } from 'node:util';
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

/** What is used of etcd's services for leases and locks; the client etcd3 knows no lock that waits. */
const definition = fromJSON(
  {
    nested: {
      etcdserverpb: {
        nested: {
          LeaseGrantRequest: { fields: { TTL: { type: 'int64', id: 1 } } },
          LeaseGrantResponse: { fields: { ID: { type: 'int64', id: 2 } } },
          Lease: {
            methods: {
              LeaseGrant: { requestType: 'LeaseGrantRequest', responseType: 'LeaseGrantResponse', comment: '' },
            },
          },
        },
      },
      v3lockpb: {
        nested: {
          LockRequest: { fields: { name: { type: 'bytes', id: 1 }, lease: { type: 'int64', id: 2 } } },
          LockResponse: { fields: { key: { type: 'bytes', id: 2 } } },
          UnlockRequest: { fields: { key: { type: 'bytes', id: 1 } } },
          UnlockResponse: { fields: {} },
          Lock: {
            methods: {
              Lock: { requestType: 'LockRequest', responseType: 'LockResponse', comment: '' },
              Unlock: { requestType: 'UnlockRequest', responseType: 'UnlockResponse', comment: '' },
            },
          },
        },
      },
    },
  },
  { longs: String },
);

const services = loadPackageDefinition(definition) as unknown as {
  etcdserverpb: { Lease: ServiceClientConstructor };
  v3lockpb: { Lock: ServiceClientConstructor };
};

type Call = (request: object) => Promise<Record<string, unknown>>;

/** One client of etcd's lock service, over a connection of its own. */
export class EtcdLocks {
  readonly #grantLease: Call;
  readonly #lock: Call;
  readonly #unlock: Call;
  readonly #close: () => void;

  constructor(url: string) {
    // Clients of one process would share a connection otherwise.
    const lock = new services.v3lockpb.Lock(new URL(url).host, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const lease = new services.etcdserverpb.Lease('', credentials.createInsecure(), {
      channelOverride: lock.getChannel(),
    });
    this.#grantLease = promisify(lease['LeaseGrant'] as never).bind(lease) as Call;
    this.#lock = promisify(lock['Lock'] as never).bind(lock) as Call;
    this.#unlock = promisify(lock['Unlock'] as never).bind(lock) as Call;
    this.#close = () => lock.close();
  }

  /** Answers its id. */
  async grantLease(seconds: number): Promise<string> {
    return (await this.#grantLease({ TTL: seconds }))['ID'] as string;
  }

  /** Waits until it is this lease's turn; answers the key that holds the lock. */
  async lock(name: string, lease: string): Promise<Buffer> {
    return (await this.#lock({ name: Buffer.from(name), lease }))['key'] as Buffer;
  }

  async unlock(key: Buffer): Promise<void> {
    await this.#unlock({ key });
  }

  close(): void {
    this.#close();
  }
}
