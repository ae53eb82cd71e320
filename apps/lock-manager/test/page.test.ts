/** Hunts an answer in docs/locks.md that is not the real one, and a bound that is another by now. */
import { readFile } from 'node:fs/promises';
import { LOCK_LIMITS } from '@meshforge/protocol';
import { expect, test } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { startMesh } from './support/lock-manager.ts';

interface Step {
  subject: string;
  body: string;
  timeoutMs: number;
  inBackground: boolean;
  /** Its own answer first, then those of commands in the background that it brings about. */
  answers: string[];
}

const COMMAND = /^\$ nats request (?:--timeout (\d+)s )?(\S+) '(.*)'( &)?$/;

function stepsOf(block: string): Step[] {
  const steps: Step[] = [];
  for (const line of block.split('\n').filter((each) => each !== '')) {
    const [isCommand, timeout = '5', subject = '', body = '', background] = COMMAND.exec(line) ?? [];
    if (isCommand === undefined) steps.at(-1)?.answers.push(line);
    else
      steps.push({
        subject,
        body,
        timeoutMs: Number(timeout) * 1_000,
        inBackground: background !== undefined,
        answers: [],
      });
  }
  return steps;
}

/** What depends on the moment is the same in every run then. */
function timeless(answer: string): string {
  return answer
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'then')
    .replace(/"(remaining_ms|retry_after_ms)":\d+/g, '"$1":"so many"')
    .replace(/"fencing_token":\d+/g, '"fencing_token":"a token"');
}

const tokensIn = (answer: string): string[] =>
  [...answer.matchAll(/"fencing_token":(\d+)/g)].map(([, token]) => token as string);

const readPage = (): Promise<string> => readFile(new URL('../../../docs/locks.md', import.meta.url), 'utf8');

test('the limits are those of the protocol', async () => {
  const limits = /^## Limits\n([^]*?)^## /m.exec(await readPage())?.[1] ?? '';
  const numbers = new Set(limits.match(/\d+(?:,\d{3})*/g));
  for (const [name, value] of Object.entries(LOCK_LIMITS)) {
    expect(numbers, `${name} stands in the table`).toContain(value.toLocaleString('en'));
  }
});

test('the commands over the wire are answered as the page shows', async () => {
  const steps = stepsOf(/^```console\n([^]*?)^```/m.exec(await readPage())?.[1] ?? '');
  expect(steps.map(({ subject }) => subject.split('.').pop())).toEqual([
    'acquire',
    'acquire',
    'acquire',
    'get',
    'refresh',
    'release',
    'break',
  ]);
  const { connection } = endWithTest(await startMesh());
  const background: Promise<string>[] = [];
  /** The real tokens, by those of the page. */
  const tokens = new Map<string, string>();
  let waiters = 0;
  connection.subscribe('evt.lock.queued', { callback: () => void waiters++ });
  await connection.flush();
  for (const { subject, body: shown, timeoutMs, inBackground, answers } of steps) {
    const body = tokensIn(shown).reduce((text, token) => text.replace(token, tokens.get(token) ?? token), shown);
    const answer = connection.request(subject, body, { timeout: timeoutMs }).then((message) => message.string());
    if (inBackground) {
      background.push(answer);
      await until('it waits', () => Promise.resolve(waiters === background.length));
      continue;
    }
    const came = [await answer];
    for (let i = 1; i < answers.length; i++) came.push((await background.shift()) ?? 'nothing');
    expect(came.map(timeless)).toEqual(answers.map(timeless));
    const real = came.flatMap(tokensIn);
    for (const [i, token] of answers.flatMap(tokensIn).entries()) {
      expect(tokens.get(token) ?? real[i], 'one token of the page stands for one real one').toBe(real[i]);
      tokens.set(token, real[i] as string);
    }
  }
  expect(background).toEqual([]);
  expect(new Set(tokens.values()).size).toBe(tokens.size);
});
