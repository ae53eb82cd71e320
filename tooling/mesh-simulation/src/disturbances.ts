import type { Disturb, Disturbance, Overhear, Wire } from '@meshforge/simulated-nats';
import type { Fault, Traffic } from './script.ts';

type Disturbing = Extract<Fault, { kind: 'disturb' }>;

const PREFIXES: readonly (readonly [prefix: string, traffic: Traffic])[] = [
  ['ent.', 'commit'],
  ['queue.', 'durable'],
  ['dead.', 'letter'],
  ['cmd.', 'command'],
  ['qry.', 'command'],
  ['$JS.ACK.', 'acknowledgement'],
  ['$JS.API.CONSUMER.MSG.NEXT.', 'pull'],
  ['$JS.API.DIRECT.GET.', 'read'],
  ['$JS.API.STREAM.MSG.GET.', 'read'],
  ['$JS.API.STREAM.MSG.DELETE.', 'delete'],
  ['$JS.API.', 'api'],
];

/** What a client can get or send twice: the rest is one answer of several parts, or none of the wire's repeats it. */
const DOUBLED: ReadonlySet<Traffic> = new Set(['commit', 'durable', 'letter', 'command', 'acknowledgement', 'delete']);

/** What is in store for the messages of one process. */
export class Disturbances {
  #coming: (Disturbing & { left: number })[] = [];

  add(fault: Disturbing): void {
    this.#coming.push({ ...fault, left: fault.times });
  }

  clear(): void {
    this.#coming = [];
  }

  readonly disturb: Disturb = ({ subject }) => {
    if (this.#coming.length === 0) return undefined;
    const traffic = PREFIXES.find(([prefix]) => subject.startsWith(prefix))?.[1];
    if (traffic === undefined) return undefined;
    const request = this.#next(traffic, 'request');
    const answer = this.#next(traffic, 'answer');
    return { ...(request && { request }), ...(answer && { answer }) };
  };

  readonly overhear: Overhear = ({ reply }: Wire) => {
    const isDelivery = this.#coming.length > 0 && reply.startsWith('$JS.ACK.');
    return isDelivery ? this.#next('delivery', undefined) : undefined;
  };

  #next(traffic: Traffic, side: 'request' | 'answer' | undefined): Disturbance | undefined {
    const found = this.#coming.find((each) => each.what === traffic && (side === undefined || each.side === side));
    if (found === undefined) return undefined;
    found.left--;
    if (found.left === 0) this.#coming = this.#coming.filter((each) => each !== found);
    if (found.how === 'lose') return { kind: 'lose' };
    const canDouble = DOUBLED.has(traffic) || traffic === 'delivery';
    return found.how === 'double' && canDouble ? { kind: 'double' } : { kind: 'delay', ms: found.delayMs };
  }
}
