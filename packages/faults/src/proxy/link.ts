import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Disturbances, type Disturbance, type Undo } from './disturbance.ts';
import { Pipe } from './pipe.ts';

export interface LinkPlan {
  /** For people: who speaks to whom. */
  readonly name: string;
  /** Of a server on this machine. */
  readonly targetPort: number;
  /** `client`: deliveries can be told apart and dropped. `route`: bytes are bytes. */
  readonly speaks: 'client' | 'route';
}

const host = '127.0.0.1';

/** The way from one party to one server: a TCP proxy that can be disturbed. */
export class Link {
  readonly name: string;
  readonly port: number;
  readonly #plan: LinkPlan;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #disturbances = new Disturbances(() => this.#passOn());

  private constructor(plan: LinkPlan, server: Server) {
    this.name = plan.name;
    this.#plan = plan;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => this.#accept(near));
  }

  static async open(plan: LinkPlan): Promise<Link> {
    const server = createServer({ noDelay: true });
    await once(server.listen(0, host), 'listening');
    return new Link(plan, server);
  }

  /** For clients. */
  get url(): string {
    return `nats://${host}:${this.port}`;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Resets all connections; new ones may be made at once. */
  cut(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** From now on until it is undone. Connections that stand stay. */
  disturb(disturbance: Disturbance): Undo {
    return this.#disturbances.add(disturbance);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(near: Socket): void {
    if (this.#disturbances.refuses) {
      near.on('error', () => {}).resetAndDestroy();
      return;
    }
    const connection: Connection = openConnection(near, this.#plan, this.#disturbances, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }

  #passOn(): void {
    for (const connection of this.#connections) connection.flush();
  }
}

interface Connection {
  flush(): void;
  reset(): void;
}

function openConnection(near: Socket, plan: LinkPlan, disturbances: Disturbances, onClosed: () => void): Connection {
  const far = connect({ port: plan.targetPort, host, noDelay: true });
  const pipes = [
    new Pipe(near, far, 'toServer', { disturbances, understands: false }),
    new Pipe(far, near, 'toClient', { disturbances, understands: plan.speaks === 'client' }),
  ];
  const sockets = [near, far];
  for (const socket of sockets) {
    // An end that breaks off is closed like any other.
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!sockets.every(({ destroyed }) => destroyed)) return;
      for (const pipe of pipes) pipe.stop();
      onClosed();
    });
  }
  return {
    flush: () => {
      for (const pipe of pipes) pipe.flush();
    },
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}
