/** What senders were told, against the log. */
import type { CommandRecord, HistoryRecord, Told } from '../records.ts';
import type { Logs, LogMessage } from './log-view.ts';

type Say = (breach: string) => void;

const REFUSALS: ReadonlySet<Told['kind']> = new Set(['conflict', 'rejected', 'denied', 'malformed']);

/** I2, I3, I5: outcomes that were told are those of the log, and an id commits once. */
export function checkCommands({ commands, copies, script }: HistoryRecord, logs: Logs, say: Say): void {
  const areCopiesOurs = !script.steps.some(
    (step) => step.kind === 'disturb' && step.what === 'command' && step.how === 'double',
  );
  for (const [id, commits] of logs.commits) {
    if (commits.length > 1) say(`I5: ${id} is committed ${commits.length} times`);
    if (logs.records.has(id)) say(`I5: ${id} is committed and refused`);
  }
  for (const command of commands) {
    const [commit] = logs.commits.get(command.id) ?? [];
    checkExpectation(command, commit, say);
    for (const told of command.told) {
      const unchanged = logs.unchanged.get(command.id)?.find(({ version }) => version === told.version);
      if (told.kind === 'committed') checkCommitted(command, told, commit ?? unchanged, say);
      else if (REFUSALS.has(told.kind)) {
        const times = copies.get(command.id) ?? [];
        checkRefused(command, told, commit, times.length, say);
        if (areCopiesOurs) checkLateRefusal(command, told, commit, times, say);
      }
    }
    if (logs.records.has(command.id) && !command.isDurable) say(`I2: ${command.id} was requested, and has a record`);
  }
}

function checkExpectation({ expectedVersion, id }: CommandRecord, commit: LogMessage | undefined, say: Say): void {
  if (commit === undefined || expectedVersion === undefined || expectedVersion === 0) return;
  if (commit.version !== expectedVersion + 1) {
    say(`I3: ${id} expects version ${expectedVersion}, and is committed as ${commit.version}`);
  }
}

function checkCommitted(
  { agent, entity, id }: CommandRecord,
  told: Told,
  commit: LogMessage | undefined,
  say: Say,
): void {
  const what = `${id}, told to be committed as version ${told.version}`;
  if (commit === undefined) say(`I2: ${what}, is not in the log`);
  else if (commit.agent !== agent || commit.entity !== entity) say(`I2: ${what} of ${entity}, is of ${commit.entity}`);
  else if (commit.version !== told.version) say(`I5: ${what}, is version ${commit.version}`);
  else if (JSON.stringify(commit.state) !== JSON.stringify(told.state)) {
    say(`I5: ${what}, was told ${JSON.stringify(told.state)}, and the log says ${JSON.stringify(commit.state)}`);
  }
}

function checkRefused(
  command: CommandRecord,
  told: Told,
  commit: LogMessage | undefined,
  copies: number,
  say: Say,
): void {
  if (command.agent === 'lock' && told.code === 'cancelled') return;
  const what = `${command.id}, refused as ${told.kind} ${told.code} at ${told.at}`;
  if (told.kind === 'conflict' && command.expectedVersion === undefined) say(`${what}, expects no version`);
  if (told.code === 'negative' && Number(command.data['by']) >= 0) say(`${what}, takes nothing`);
  if (commit === undefined) return;
  // Another copy of a request may still be under way; of a durable command, none can.
  const isOneCopy = copies <= 1;
  const isOnlyDurable = command.isDurable && !command.isRequested;
  const isReal = told.code !== 'expired' || isOneCopy;
  if (isReal && (isOnlyDurable || (isOneCopy && !command.isDurable))) say(`I2: ${what}, is committed at ${commit.at}`);
}

/**
 * The first copy was committed, and a later one refused: of a copy that was sent after the commit, that is not true. One that was
 * sent before may have been refused before.
 */
function checkLateRefusal(
  { agent, id, isDurable }: CommandRecord,
  { at, code, kind }: Told,
  commit: LogMessage | undefined,
  copies: readonly number[],
  say: Say,
): void {
  if (commit === undefined || isDurable || agent === 'lock') return;
  const { seenAt } = commit.stored;
  const before = copies.filter((time) => time < seenAt).length;
  if (at > seenAt && before === 1)
    say(`I5: ${id}, refused as ${kind} ${code} at ${at}, was committed before, at ${seenAt}`);
}

/** Commits under a lease: a lower token than one before is refused. */
export function checkFences({ commands }: HistoryRecord, { entities }: Logs, say: Say): void {
  const byId = new Map(commands.map((command) => [command.id, command]));
  for (const { entity, messages } of entities) {
    const highest = new Map<string, number>();
    for (const { commandId, kind } of messages) {
      const lease = kind === 'commit' ? byId.get(commandId)?.lease : undefined;
      if (lease === undefined) continue;
      const before = highest.get(lease.resource) ?? 0;
      if (lease.fencingToken < before) {
        say(`fencing: ${commandId} on ${entity} has token ${lease.fencingToken}, after ${before}`);
      }
      highest.set(lease.resource, Math.max(before, lease.fencingToken));
    }
  }
}

/** What was read is a state that the entity had. */
export function checkReads({ reads }: HistoryRecord, { entities }: Logs, say: Say): void {
  const states = new Map<string, Set<string>>();
  for (const { agent, entity, messages } of entities) {
    if (agent !== 'stock') continue;
    const found = messages.flatMap(({ kind, state, version }) =>
      kind === 'commit' ? [`${version} ${JSON.stringify(state)}`] : [],
    );
    states.set(entity, new Set(found));
  }
  for (const { at, found, what } of reads) {
    for (const { entity, state, version } of found) {
      if (states.get(entity)?.has(`${version} ${JSON.stringify(state)}`) !== true) {
        say(`${what} of ${entity} at ${at}: version ${version} never was ${JSON.stringify(state)}`);
      }
    }
  }
}

/** I8: bad input changes nothing, and the answer says what was wrong. */
export function checkGarbage({ commands, copies, garbage }: HistoryRecord, logs: Logs, say: Say): void {
  for (const { answer, expects, shape } of garbage) {
    if (answer !== undefined && !expects.includes(answer)) say(`I8: ${shape} is answered ${answer}`);
  }
  const known = new Set([...copies.keys(), ...commands.map(({ id }) => id)]);
  for (const { commandId } of logs.queued) known.add(commandId);
  known.delete('');
  for (const [id, [commit]] of logs.commits) {
    // The lock manager takes places out of its wait lists by commands of its own.
    if (!known.has(id) && commit?.agent !== 'lock')
      say(`I8: ${commit?.agent} ${commit?.entity} has a commit of ${id}, which nobody sent`);
  }
}
