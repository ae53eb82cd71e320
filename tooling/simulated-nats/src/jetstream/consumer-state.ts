/** What a consumer's replicas, or its disk, know of its deliveries. */

interface Pair {
  consumer: number;
  stream: number;
}

export interface Pending {
  /** The count of the first delivery. */
  delivery: number;
  /** When it was delivered, milliseconds since the epoch; or when its message was stored, after a change of the leader. */
  at: number;
}

export class ConsumerState {
  readonly delivered: Pair;
  readonly ackFloor: Pair;
  readonly pending = new Map<number, Pending>();
  readonly redelivered = new Map<number, number>();

  constructor(startSequence: number) {
    this.delivered = { consumer: 0, stream: startSequence - 1 };
    this.ackFloor = { consumer: 0, stream: startSequence - 1 };
  }

  copy(): ConsumerState {
    const copy = new ConsumerState(1);
    Object.assign(copy.delivered, this.delivered);
    Object.assign(copy.ackFloor, this.ackFloor);
    for (const [sequence, pending] of this.pending) copy.pending.set(sequence, { ...pending });
    for (const [sequence, count] of this.redelivered) copy.redelivered.set(sequence, count);
    return copy;
  }

  wasDelivered(delivery: number, sequence: number, count: number, at: number, isAckedAtOnce: boolean): void {
    const { ackFloor, delivered, pending, redelivered } = this;
    if (delivery <= ackFloor.consumer) return;
    if (!isAckedAtOnce) {
      const known = pending.get(sequence);
      if (sequence > delivered.stream) pending.set(sequence, { delivery, at });
      else if (known !== undefined) known.at = at;
    }
    delivered.consumer = Math.max(delivered.consumer, delivery);
    delivered.stream = Math.max(delivered.stream, sequence);
    if (isAckedAtOnce) Object.assign(ackFloor, delivered);
    else if (count > 1) redelivered.set(sequence, Math.max(redelivered.get(sequence) ?? 0, count - 1));
  }

  wasAcknowledged(delivery: number, sequence: number): void {
    const { ackFloor, delivered, pending, redelivered } = this;
    redelivered.delete(sequence);
    if (delivery <= ackFloor.consumer) return;
    const known = pending.get(sequence);
    if (known === undefined) return;
    pending.delete(sequence);
    const first = Math.min(delivery, known.delivery);
    if (pending.size === 0) Object.assign(ackFloor, delivered);
    else if (first === ackFloor.consumer + 1) {
      Object.assign(ackFloor, floorAfter(first, sequence, delivered.stream + 1, pending));
    }
  }

  /** Takes over what the leader has. */
  replace(leader: {
    readonly next: number;
    readonly count: number;
    readonly floor: Pair;
    readonly pending: ReadonlyMap<number, Pending>;
    readonly redelivered: ReadonlyMap<number, number>;
  }): void {
    Object.assign(this.delivered, { consumer: leader.count - 1, stream: leader.next - 1 });
    Object.assign(this.ackFloor, leader.floor);
    this.pending.clear();
    for (const [sequence, each] of leader.pending) this.pending.set(sequence, { ...each });
    this.redelivered.clear();
    for (const [sequence, count] of leader.redelivered) this.redelivered.set(sequence, count);
  }

  skipTo(sequence: number, isAckedAtOnce: boolean): void {
    this.delivered.stream = Math.max(this.delivered.stream, sequence - 1);
    if (isAckedAtOnce) this.ackFloor.stream = this.delivered.stream;
  }
}

/** Where the floor stands after the message right above it was acknowledged. @param next of the stream, not delivered yet */
export function floorAfter(
  delivery: number,
  sequence: number,
  next: number,
  pending: ReadonlyMap<number, Pending>,
): Pair {
  let lowest = Infinity;
  for (const each of pending.keys()) if (each > sequence && each < next) lowest = Math.min(lowest, each);
  const above = pending.get(lowest);
  if (above === undefined) return { consumer: delivery, stream: sequence };
  return { consumer: above.delivery - 1, stream: lowest - 1 };
}
