import type { HistoryRecord } from '../records.ts';
import { isDeed } from '../script.ts';
import { checkCommands, checkFences, checkGarbage, checkReads } from './commands.ts';
import { checkDurable } from './durable.ts';
import { checkEvents, checkLocks, checkReaction, checkStates, checkVersions } from './entities.ts';
import { readLogs } from './log-view.ts';
import { checkRefusals } from './refusals.ts';

/** What is wrong with a history; empty if nothing. */
export function check(record: HistoryRecord): string[] {
  const breaches: string[] = [...record.unrest, ...record.beliefs];
  const say = (breach: string): void => {
    breaches.push(breach);
  };
  const logs = readLogs(record);
  if (record.hasRuin) return breaches;
  checkVersions(logs, say);
  checkStates(logs, say);
  checkLocks(logs, say);
  checkEvents(record.spoken, say);
  checkCommands(record, logs, say);
  checkFences(record, logs, say);
  checkReads(record, logs, say);
  checkRefusals(record, logs, say);
  checkGarbage(record, logs, say);
  checkDurable(record, logs, say);
  if (record.script.cast.reactors > 0) checkReaction(logs, say);
  if (record.script.steps.every(isDeed)) checkUndisturbed(record, say);
  return breaches;
}

/** Where nothing goes wrong, everything is answered. */
function checkUndisturbed({ commands, garbage, locks }: HistoryRecord, say: (breach: string) => void): void {
  for (const { cancelled, id, told } of commands) {
    for (const { code, kind, reason } of told) {
      // A command that was cancelled cannot be sent again.
      const isExpected = cancelled === true && code === 'rejected';
      if (kind === 'failed' && !isExpected) say(`undisturbed: ${id} fails: ${code} ${reason}`);
    }
  }
  for (const { answer, expects, shape } of garbage) {
    if (expects.length > 0 && answer === undefined) say(`undisturbed: nobody answers ${shape}`);
  }
  for (const { client, how, lock, why } of locks) {
    if (how === 'failed') say(`undisturbed: client ${client} fails to lock ${lock}: ${why}`);
  }
}
