import type { GoalResult, LoadResult } from './run/result.ts';

/** A claim, as a ratio of two contenders in one run. It never fails a run: a busy machine is no defect. */
interface Goal {
  readonly text: string;
  readonly load: string;
  readonly concurrency: number;
  readonly of: string;
  readonly to: string;
  readonly atLeast: number;
}

const GOALS: readonly Goal[] = [
  goal('Request/reply against the bare echo', 'updates', 64, 'meshforge', 'echo', 0.5),
  goal('Request/reply against PostgreSQL, both without fsync', 'updates', 64, 'meshforge', 'postgres-async', 2),
  goal('Request/reply against PostgreSQL, both with fsync', 'updates', 64, 'meshforge-fsync', 'postgres-fsync', 2),
  goal('Request/reply against Restate', 'updates', 64, 'meshforge', 'restate', 10),
  goal('Commit path inside the agent against the floor', 'updates', 64, 'meshforge-in-process', 'floor', 0.8),
  goal('Lock and unlock, durable and fenced, against Redlock', 'locks', 32, 'meshforge', 'redlock', 1),
  goal('Durable commands against a bare work queue', 'durable-send', 64, 'meshforge', 'jetstream', 0.5),
  goal('Durable commands against BullMQ', 'durable-send', 64, 'meshforge', 'bullmq', 1),
  goal('Durable commands against BullMQ, both with fsync', 'durable-send', 64, 'meshforge-fsync', 'bullmq-fsync', 1),
  goal('Durable commands against Restate, both with fsync', 'durable-send', 64, 'meshforge-fsync', 'restate', 1),
  goal('1,000,000 entities against 1,000', 'growth', 64, '1m', '1k', 0.9),
];

/** What came of each goal whose two contenders took part. */
export function judgeGoals(loads: readonly LoadResult[]): GoalResult[] {
  const measured = new Set(loads.map(({ id }) => id));
  return GOALS.filter(({ load }) => measured.has(load)).map(({ text, load, concurrency, of, to, atLeast }) => {
    const perSecond = (id: string): number | undefined =>
      loads
        .find((each) => each.id === load)
        ?.participants.find((each) => each.id === id)
        ?.measurements.find((each) => each.concurrency === concurrency)?.perSecond;
    const [one, other] = [perSecond(of), perSecond(to)];
    const ratio = one === undefined || other === undefined || other === 0 ? undefined : one / other;
    return { text: `${text}, ${concurrency} at a time`, atLeast, ...(ratio === undefined ? {} : { ratio }) };
  });
}

function goal(text: string, load: string, concurrency: number, of: string, to: string, atLeast: number): Goal {
  return { text, load, concurrency, of, to, atLeast };
}
