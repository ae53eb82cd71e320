interface Awaited {
  readonly told: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** As long as MeshForge's contender waits for an outcome. */
const patienceMs = 60_000;

/** What clients wait for whose jobs are told of one by one, by the id of the job. */
export class Outcomes {
  readonly #awaited = new Map<string, Awaited>();

  /** To be called before the job is sent, which may be told of before its sending is acknowledged. */
  open(id: string): () => Promise<void> {
    let [resolve, reject]: [() => void, (error: Error) => void] = [() => {}, () => {}];
    const told = new Promise<void>((yes, no) => ([resolve, reject] = [yes, no]));
    // Not everybody waits for it.
    told.catch(() => {});
    this.#awaited.set(id, { told, resolve, reject });
    return async () => {
      const timer = setTimeout(() => this.tell(id, new Error(`job ${id} was not told of`)), patienceMs);
      await told.finally(() => clearTimeout(timer));
    };
  }

  tell(id: string, error?: Error): void {
    const awaited = this.#awaited.get(id);
    this.#awaited.delete(id);
    if (error === undefined) awaited?.resolve();
    else awaited?.reject(error);
  }
}
