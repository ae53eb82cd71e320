/** What subscribers of a simulated mesh hear: late, not at all, or twice. */
import { eventSubject, type JsonObject } from '@meshforge/protocol';
import type { Heard, Logged, Sent } from '../../../src/history.ts';
import type { Random } from '../../../src/random.ts';

export class SimulatedEvents {
  readonly #random: Random;
  readonly #underWay: (() => void)[];
  readonly #hear: (heard: Omit<Heard, 'atMs'>) => void;

  /** @param underWay deeds of which any may be next */
  constructor(random: Random, underWay: (() => void)[], hear: (heard: Omit<Heard, 'atMs'>) => void) {
    this.#random = random;
    this.#underWay = underWay;
    this.#hear = hear;
  }

  announce(entry: Logged): void {
    const { agent, entityId, version, state, data, commandId, sequence } = entry;
    const payload: JsonObject = {
      entity_id: entityId,
      entity_version: version,
      state,
      ...(data === undefined ? {} : { data }),
    };
    for (let subscriber = 0; subscriber < 2; subscriber++) {
      const times = this.#random.pick([0, 1, 1, 1, 1, 2]);
      for (let i = 0; i < times; i++) {
        this.#underWay.push(() => {
          this.#hear({
            type: 'heard',
            agent,
            event: this.#random.chance(0.5) ? entry.event : eventSubject(agent, entry.event),
            commandId,
            payload,
            sequence,
          });
        });
      }
    }
  }

  signal(event: string, { agent, commandId }: Sent, payload: JsonObject): void {
    this.#underWay.push(() => {
      const times = this.#random.pick([0, 1, 1, 2]);
      const heard: Omit<Heard, 'atMs'> = { type: 'heard', agent, event, commandId, payload };
      for (let i = 0; i < times; i++) this.#hear(heard);
    });
  }
}
