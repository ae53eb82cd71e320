/**
 * Replicas of an agent without a server: the real worker of durable commands, the real intake and the real store, over a broker in
 * memory, in a time of their own.
 */
import { z } from 'zod';
import { commit, defineAgent, reject } from '../../../src/core/agent.ts';
import type { StoreOutcome } from '../../../src/core/outcome.ts';
import type { ReadHeaders } from '../../../src/intake/command-headers.ts';
import { CommandIntake } from '../../../src/intake/command-intake.ts';
import type { Voice } from '../../../src/intake/reply.ts';
import { CommandStats } from '../../../src/intake/stats.ts';
import { EntityReader } from '../../../src/nats/entity-reader.ts';
import { DeadLetters, entityIdOf } from '../../../src/queue/dead-letters.ts';
import { durableCommands } from '../../../src/queue/durable-commands.ts';
import type { QueueWorker } from '../../../src/queue/queue-worker.ts';
import { EntityStore } from '../../../src/store/entity-store.ts';
import type { SimulatedBroker } from './broker.ts';
import { SimulatedLink, type Kind, type Loss } from './link.ts';

const LIMIT = 3;
/** So long `hurry` commits, and then so long it does not, in milliseconds. */
const HURRY_MS = 400;
const amount = z.object({ by: z.int() });

/** Counts between zero and a limit; so whether a command is refused depends on when it is decided. */
export const counter = defineAgent({
  name: 'counter',
  state: z.object({ n: z.int() }),
  actions: {
    add: {
      description: '',
      data: amount,
      event: 'added',
      entity: 'any',
      rule: (state, { by }) => {
        const n = (state?.n ?? 0) + by;
        return n < 0 || n > LIMIT ? reject('out_of_range', `would be ${n}`) : commit({ n }, { data: { by } });
      },
    },
    // As a lease's refresh does, it commits or refuses depending on when it is decided.
    hurry: {
      description: '',
      data: amount,
      event: 'hurried',
      entity: 'any',
      rule: (state, { by }, { now }) =>
        Math.floor(now / HURRY_MS) % 2 === 0
          ? reject('too_late', 'the time is over')
          : commit({ n: state?.n ?? 0 }, { data: { by } }),
    },
    boom: {
      description: '',
      data: amount,
      event: 'boomed',
      entity: 'any',
      rule: () => {
        throw new TypeError('defective');
      },
    },
  },
});

/** As the defaults, but quicker. */
const RETRY = { maxTries: 4, maxAgeMs: 86_400_000, firstPauseMs: 250, maxPauseMs: 2_000 };

export interface Telling {
  link: SimulatedLink;
  commandId: string;
  outcome: StoreOutcome;
}

/** That a replica decides a command now, and takes it to be its own. */
export interface Try {
  link: SimulatedLink;
  /** Whether the replica believes that nobody else does. */
  isMine: () => boolean;
  commandId: string;
  entityId: string | undefined;
}

export interface Witness {
  tries: (begun: Try) => void;
  told: (telling: Telling) => void;
  fault: (error: unknown) => void;
}

export class SimulatedReplica {
  readonly link: SimulatedLink;
  readonly intake: CommandIntake;
  readonly #worker: QueueWorker;

  constructor(
    broker: SimulatedBroker,
    options: { timeoutMs: number; loss: (kind: Kind) => Loss | undefined; witness: Witness },
  ) {
    const { loss, timeoutMs, witness } = options;
    const { time } = broker;
    const link = new SimulatedLink(broker, timeoutMs, loss);
    const skewMs = time.draw(4) - 2;
    const serverNow = (): number => Math.floor(time.now + skewMs);
    const { clock, connection, requester } = link;
    const store = new EntityStore({
      agent: counter,
      reader: new EntityReader(counter, requester, broker.log.isReplicated ? 3 : 1, serverNow),
      requester,
      clock,
      serverNow,
      lostBefore: () => Number.NEGATIVE_INFINITY,
      measureServerTime: () => Promise.resolve(),
      cache: { entities: 10, bytes: 1_000_000 },
      maxPayload: () => 1_048_576,
      onDefect: () => {},
    });
    this.link = link;
    this.intake = new CommandIntake({
      agent: counter,
      store,
      // Nothing is told but by way of what is told of durable commands.
      voice: {} as Voice,
      stats: new CommandStats([]),
      maxInFlight: 1_000,
      inboxPrefix: '_INBOX',
      serverNow,
      onFault: witness.fault,
    });
    this.#worker = durableCommands({
      agent: counter.name,
      connection,
      requester,
      clock,
      inboxPrefix: '_INBOX',
      serverNow,
      retry: RETRY,
      deadLetters: new DeadLetters(requester, counter.name),
      onRetry: () => {},
      onDead: () => {},
      onFault: witness.fault,
      intake: {
        decideQueued: (action, body, headers, isMine, isRepeated) => {
          const attempt = { link, isMine, commandId: headers.commandId, entityId: entityIdOf(body) };
          const mayDecide = (): boolean => {
            const mayBe = isMine();
            if (mayBe) witness.tries(attempt);
            return mayBe;
          };
          return this.intake.decideQueued(action, body, headers, mayDecide, isRepeated);
        },
        concludeQueued: (_action, { commandId }: ReadHeaders, outcome) => {
          if (!link.isDead) witness.told({ link, commandId, outcome });
        },
      },
    });
    this.#worker.start();
  }

  get isActive(): boolean {
    return this.#worker.stats().active;
  }

  async stop(): Promise<void> {
    await this.#worker.stop();
  }
}
