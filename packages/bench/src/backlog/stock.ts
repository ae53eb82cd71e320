import { inventoryContract } from '@meshforge/protocol';
import type { Mesh } from '@meshforge/runtime';

/** So many stock items, and how many adjustments by one each of them was promised. */
export class Stock {
  readonly #mesh: Mesh;
  readonly #ids: readonly string[];
  readonly #expected: number[];

  constructor(mesh: Mesh, name: string, count: number) {
    this.#mesh = mesh;
    this.#ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
    this.#expected = this.#ids.map(() => 0);
  }

  get size(): number {
    return this.#ids.length;
  }

  async create(): Promise<void> {
    const data = { name: 'bolt', quantity: 0 };
    for (const entityId of this.#ids) await this.#mesh.request(inventoryContract, 'create', { entityId, data });
  }

  /** By request/reply. */
  async adjust(index: number): Promise<void> {
    const entityId = this.#ids[index] as string;
    const outcome = await this.#mesh.request(inventoryContract, 'adjust', { entityId, data: { delta: 1 } });
    if (outcome.kind !== 'committed') throw new Error(`adjust was answered ${JSON.stringify(outcome)}`);
    this.#expect(index);
  }

  /** By a durable command. */
  async store(index: number): Promise<void> {
    const entityId = this.#ids[index] as string;
    await this.#mesh.send(inventoryContract, 'adjust', { entityId, data: { delta: 1 } });
    this.#expect(index);
  }

  /** Throws when an item does not say exactly what it was promised. */
  async verify(): Promise<void> {
    for (const [index, entityId] of this.#ids.entries()) {
      const found = (await this.#mesh.get(inventoryContract, entityId))?.state.quantity;
      const expected = this.#expected[index];
      if (found !== expected) throw new Error(`${entityId} was adjusted ${expected} times, but says ${found}`);
    }
  }

  #expect(index: number): void {
    this.#expected[index] = (this.#expected[index] as number) + 1;
  }
}
