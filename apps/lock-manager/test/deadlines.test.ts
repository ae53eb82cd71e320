// Hunts: a wait that goes on when its command is gone, so that timers pile up; and an end that is missed, or told of a command as it was.
import type { AgentHost, HeldCommand } from '@meshforge/runtime';
import { expect, test } from 'vitest';
import { Deadlines } from '../src/waiting/deadlines.ts';

function setUp() {
  const held = new Map<string, HeldCommand>();
  const asleep = new Set<() => void>();
  const told: HeldCommand[] = [];
  const find = (_entityId: string, commandId: string): HeldCommand | undefined => held.get(commandId);
  const host = {
    held: {
      find,
      get size() {
        return held.size;
      },
    },
    serverNow: () => 0,
    sleep: (_ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        const wake = (): void => {
          asleep.delete(wake);
          resolve();
        };
        asleep.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      }),
  } as unknown as AgentHost;
  const deadlines = new Deadlines(host, (command) => told.push(command));
  const command = (commandId: string, keeper = 'one'): HeldCommand => {
    const made = { entityId: 'lock', commandId, keeper, until: 1_000 } as HeldCommand;
    held.set(commandId, made);
    return made;
  };
  const wakeAll = async (): Promise<void> => {
    for (const wake of asleep) wake();
    await Promise.resolve();
  };
  return { asleep, command, deadlines, held, told, wakeAll };
}

test('a command that has waited long enough is told of as it is held then', async () => {
  const { command, deadlines, told, wakeAll } = setUp();
  deadlines.set(command('a', 'one'));
  const adopted = command('a', 'other');
  await wakeAll();
  expect(told).toEqual([adopted]);
});

test('a command that was answered, set anew, or forgotten with all others, is waited for no longer', async () => {
  const { asleep, command, deadlines, held, told, wakeAll } = setUp();
  deadlines.set(command('answered'));
  deadlines.forget(command('answered'));
  deadlines.set(command('anew'));
  deadlines.set(command('anew'));
  expect(asleep.size).toBe(1);
  deadlines.set(command('dropped'));
  held.delete('dropped');
  await wakeAll();
  expect(told.map(({ commandId }) => commandId)).toEqual(['anew']);
  deadlines.set(command('last'));
  deadlines.stop();
  expect(asleep.size).toBe(0);
});

test('of thousands that others have answered, few are still waited for', () => {
  const { asleep, command, deadlines, held } = setUp();
  for (let index = 0; index < 5_000; index++) {
    deadlines.set(command(`${index}`));
    held.delete(`${index}`);
  }
  expect(asleep.size).toBeLessThanOrEqual(65);
});
