// Runs the same operations on two servers and says where their answers part.
import { drawOperations, type Operation } from './operations.ts';
import { Operator, type Tried } from './run-operations.ts';
import { SimulatedNats } from '../../src/index.ts';

export interface Parting {
  seed: number;
  at: number;
  operation: Operation;
  real: string;
  model: string;
  before: readonly string[];
}

/** Undefined where all answers are the same. */
export async function compare(
  seed: number,
  count: number,
  replicas: number,
  real: Tried,
): Promise<Parting | undefined> {
  const operations = drawOperations(seed, count, replicas);
  const expected = await onModel(seed, operations, replicas);
  await real.connection.request('$JS.API.STREAM.DELETE.S', '', { timeout: 5_000 });
  const operator = new Operator(real);
  const before: string[] = [];
  for (const [at, operation] of operations.entries()) {
    const model = expected[at] ?? '';
    const answer = await operator.carryOut(operation, model);
    // A cluster sometimes does not answer where one server refuses a consumer.
    const isSilent = operation.kind === 'createConsumer' && answer === 'no answer' && model.includes('error');
    if (answer !== model && !isSilent) return { seed, at, operation, real: answer, model, before: before.slice(-40) };
    before.push(`${JSON.stringify(operation)}\n  → ${answer}`);
  }
  return undefined;
}

async function onModel(seed: number, operations: readonly Operation[], replicas: number): Promise<string[]> {
  const nats = new SimulatedNats({ seed, nodes: replicas, lagMs: [0, 0], now: Date.now() });
  const process = nats.process('operator');
  const answers: string[] = [];
  const work = async (): Promise<void> => {
    const connection = await nats.connect(process);
    const operator = new Operator({
      connection,
      leader: () => Promise.resolve(connection),
      sleep: (ms) => process.clock.sleep(ms),
      now: () => nats.time.now,
    });
    for (const operation of operations) answers.push(await operator.carryOut(operation));
  };
  await nats.time.through(work(), 3_600_000);
  return answers;
}

export function show({ at, before, model, operation, real, seed }: Parting): string {
  return [
    `seed ${seed}, operation ${at}: ${JSON.stringify(operation)}`,
    ...before,
    `  server: ${real}`,
    `  model:  ${model}`,
  ].join('\n');
}
