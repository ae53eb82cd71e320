/** Errors that the simulation must find, as one would make them: each a small change of the code. */
export interface Mutation {
  /** Its name in reports. */
  name: string;
  /** From the root of the repository. */
  file: string;
  /** Stands there once. */
  from: string;
  to: string;
  /** What goes wrong with it. */
  why: string;
}

const RUNTIME = 'packages/runtime/src';
const LOCKS = 'apps/lock-manager/src';

export const MUTATIONS: readonly Mutation[] = [
  // The commit path.
  {
    name: 'unguarded',
    file: `${RUNTIME}/nats/commit-publisher.ts`,
    from: '[...expecting(expectedSequence, entityFilter(agent.name, entityId))]',
    to: '[]',
    why: 'commits without compare-and-set: updates are lost',
  },
  {
    name: 'guarded-narrowly',
    file: `${RUNTIME}/nats/commit-publisher.ts`,
    from: 'expecting(expectedSequence, entityFilter(agent.name, entityId))',
    to: 'expecting(expectedSequence === 0 ? 0 : expectedSequence, subjectOf(agent, entityId, entry))',
    why: 'guards the subject of the event instead of the entity',
  },
  {
    name: 'doubt-forgotten',
    file: `${RUNTIME}/store/entity-store.ts`,
    from: 'doubtful = { attempt, on: entity };',
    to: '',
    why: 'a publish without an answer counts as not stored: what may still be stored is refused',
  },
  {
    name: 'no-probe',
    file: `${RUNTIME}/store/entity-store.ts`,
    from: 'if (isForgotten || doubtful !== undefined) {',
    to: 'if (entity.sequence < 0) {',
    why: 'does not ask the stream whether a doubtful publish was stored',
  },
  {
    name: 'refuses-from-memory',
    file: `${RUNTIME}/store/entity-store.ts`,
    from: 'if (asOf <= cameIn) continue;',
    to: '',
    why: 'refuses a command for what the entity was before the command came in',
  },
  {
    name: 'reads-followers',
    file: `${RUNTIME}/nats/entity-reader.ts`,
    from: 'if (authoritative && this.#isReplicated()) return this.#askLeader({ last_by_subj: subject });',
    to: '',
    why: 'refuses a command for what a follower has, which may be old',
  },
  {
    name: 'believes-deposed-leaders',
    file: `${RUNTIME}/store/entity-store.ts`,
    from: 'if (read.value.sequence < least) {',
    to: 'if (read.value.sequence < 0) {',
    why: 'takes an answer that is older than what it knows',
  },
  {
    name: 'duplicates-are-stored',
    file: `${RUNTIME}/nats/jetstream-errors.ts`,
    from: "kind: duplicate === true ? 'duplicate' : 'stored', sequence",
    to: "kind: 'stored', sequence",
    why: 'takes the answer to a second copy for that to a commit of its own: tells another outcome than the first',
  },
  {
    name: 'in-process-is-a-lost-race',
    file: `${RUNTIME}/nats/jetstream-errors.ts`,
    from: 'if (errorCode === SAME_MESSAGE_ID_IN_PROCESS || TRANSIENT_STATUS.has(code))',
    to: "if (errorCode === SAME_MESSAGE_ID_IN_PROCESS) return { kind: 'lost_race' };\n  if (TRANSIENT_STATUS.has(code))",
    why: 'believes that a commit which is being stored is not stored',
  },
  {
    name: 'retries-unknown',
    file: `${RUNTIME}/core/decide.ts`,
    from: 'if (earlier !== undefined) {',
    to: "if (earlier !== undefined && earlier.digest === '') {",
    why: 'does not know a command again that was decided before',
  },
  {
    name: 'version-not-compared',
    file: `${RUNTIME}/core/decide.ts`,
    from: 'command.expectedVersion !== undefined && command.expectedVersion !== current',
    to: 'command.expectedVersion !== undefined && command.expectedVersion > current',
    why: 'executes a command although the entity has another version than it expects',
  },
  {
    name: 'version-of-the-dead',
    file: `${RUNTIME}/core/entity.ts`,
    from: 'return entity.state === null ? 0 : entity.version;',
    to: 'return entity.version;',
    why: 'an entity that was closed conflicts with a command that expects none',
  },
  {
    name: 'stale-token-passes',
    file: `${RUNTIME}/core/lease-check.ts`,
    from: 'if (lease.fencingToken < highest)',
    to: 'if (lease.fencingToken + 1 < 0)',
    why: 'who has lost the lock still writes',
  },
  {
    name: 'fence-not-kept',
    file: `${RUNTIME}/nats/commit-publisher.ts`,
    from: "if (fences !== '') lines.push([HEADERS.fences, fences]);",
    to: '',
    why: 'another replica does not know which tokens were seen',
  },
  {
    name: 'answers-into-the-log',
    file: `${RUNTIME}/intake/command-intake.ts`,
    from: "const isForged = answerable(message, this.#options.inboxPrefix) === 'forged';",
    to: 'const isForged = false;',
    why: 'executes a request whose answer is to go where no inbox is',
  },
  {
    name: 'unreadable-headers-throw',
    file: `${RUNTIME}/intake/command-headers.ts`,
    from: "return 'unreadable';",
    to: "throw new TypeError('unreadable');",
    why: 'a header that is none stops a worker or goes without an answer',
  },
  // Leases.
  {
    name: 'void-expiry-counts',
    file: `${RUNTIME}/core/entity.ts`,
    from: 'if (expired !== undefined && (last === undefined || last.entry.version < expired.entry.version)) {',
    to: 'if (expired !== undefined && (last === undefined || last.sequence < expired.sequence)) {',
    why: 'the expiry of a lease that was refreshed meanwhile ends the new one',
  },
  {
    name: 'expiry-read-alone',
    file: `${RUNTIME}/nats/entity-reader.ts`,
    from: "if (kind === 'expiry') return true;",
    to: "if (kind === 'expiry') return false;",
    why: 'takes the last message for how the entity stands, also if it is a void expiry',
  },
  {
    name: 'one-slot',
    file: `${RUNTIME}/nats/commit-publisher.ts`,
    from: 'setsLease(entry) ? version : 0',
    to: 'setsLease(entry) ? 0 : 0',
    why: 'a late expiry takes the commit of the next lease away',
  },
  {
    name: 'leases-end-early',
    file: `${RUNTIME}/store/lost-lease.ts`,
    from: 'return endsAt + LEASE_LOST_MS < serverNow;',
    to: 'return endsAt - LEASE_LOST_MS < serverNow;',
    why: 'the agent ends a lease before its time is over',
  },
  {
    name: 'tokens-count',
    file: `${LOCKS}/rules.ts`,
    from: 'Math.max((lock?.fencing_token ?? 0) + 1, now * 1_000)',
    to: '(lock?.fencing_token ?? 0) + 1',
    why: 'tokens go back when the log of a lock was purged',
  },
  {
    name: 'tokens-by-the-clock',
    file: `${LOCKS}/rules.ts`,
    from: 'Math.max((lock?.fencing_token ?? 0) + 1, now * 1_000)',
    to: 'now * 1_000',
    why: 'tokens go back when a replica takes the server for later than another does',
  },
  {
    name: 'anybody-refreshes',
    file: `${LOCKS}/rules.ts`,
    from: 'if (lock.owner_id !== owner) {',
    to: "if (lock.owner_id === '') {",
    why: 'another owner refreshes or releases a lease',
  },
  {
    name: 'acquired-while-held',
    file: `${LOCKS}/rules.ts`,
    from: 'if (lock.owner_id === owner) return extend(lock, owner, ttlMs, context);',
    to: 'if (lock.owner_id === owner || Date.parse(lock.expires_at) <= now) return extend(lock, owner, ttlMs, context);',
    why: 'takes a lease over whose expiry is not in the log yet',
  },
  {
    name: 'nobody-serves-waiters',
    file: `${LOCKS}/waiting.ts`,
    from: 'if (isTurn) await this.#decide(mine.get(keyOf(first)) as Waiter);',
    to: '',
    why: 'who waits for a lock never gets it',
  },
  {
    name: 'lease-counted-from-the-answer',
    file: `${RUNTIME}/client/locks/kept-lock.ts`,
    from: "return { kind: 'extended', sentAt, durationMs: this.#ttlMs };",
    to: "return { kind: 'extended', sentAt: clock.monotonic(), durationMs: this.#ttlMs };",
    why: 'believes in a lease for longer than it lasts',
  },
  {
    name: 'grant-counted-from-the-answer',
    file: `${RUNTIME}/client/locks/acquire-lock.ts`,
    from: 'term: { sentAt, durationMs } });',
    to: 'term: { sentAt: clock.monotonic(), durationMs } });',
    why: 'believes in a lease for longer than it lasts, from its grant on',
  },
  {
    name: 'old-grants-count-in-full',
    file: `${RUNTIME}/client/locks/lock-commands.ts`,
    from: 'return isReplayed ? 0 : Math.min(',
    to: 'return Math.min(',
    why: 'the answer to a retry tells of a lease that may be over',
  },
  {
    name: 'lost-leases-come-back',
    file: `${RUNTIME}/client/locks/lease-term.ts`,
    from: "if (current.kind === 'lost' || answer.kind === 'unanswered') return current;",
    to: "if (answer.kind === 'extended') return granted(answer);\n  if (current.kind === 'lost' || answer.kind === 'unanswered') return current;",
    why: 'a late answer revives a lease that counted as lost, or shortens what was promised',
  },
  // Durable commands.
  {
    name: 'order-of-delivery',
    file: `${RUNTIME}/durable/worker.ts`,
    from: "if (order.kind === 'delivered' || (lane.isChecked && first !== undefined)) return lane.waiting.shift();",
    to: "if (order.kind === 'delivered' || first !== undefined) return lane.waiting.shift();",
    why: 'executes what is delivered, although something older is stored',
  },
  {
    name: 'redelivered-out-of-turn',
    file: `${RUNTIME}/durable/worker.ts`,
    from: 'lane.isChecked = head.isFirst;',
    to: 'lane.isChecked = true;',
    why: 'behind a command that was delivered before, others may be missing',
  },
  {
    name: 'gaps-go-unnoticed',
    file: `${RUNTIME}/durable/pull-loop.ts`,
    from: 'if (pin !== this.#run?.run.pin || number !== this.#lastNumber + 1) this.#beginRun(pin);',
    to: 'if (pin !== this.#run?.run.pin) this.#beginRun(pin);',
    why: 'a delivery that was lost is overtaken by the next',
  },
  {
    name: 'removed-before-the-letter',
    file: `${RUNTIME}/durable/worker.ts`,
    from: 'if (!(await this.#bury(item, { code, reason, tries }, lane, run))) return this.#putBack(item);',
    to: 'void this.#bury(item, { code, reason, tries }, lane, run);',
    why: 'a command leaves the queue before its dead letter is stored',
  },
  {
    name: 'refusals-not-recorded',
    file: `${RUNTIME}/store/entity-store.ts`,
    from: 'else if (queued === undefined || !decision.isVerdict) return this.#refuse(command, decision);',
    to: 'else if (queued === undefined || queued.sequence > 0) return this.#refuse(command, decision);',
    why: 'a durable command that was refused can commit when it is delivered again',
  },
  {
    name: 'mark-stays',
    file: `${RUNTIME}/core/entity.ts`,
    from: 'if (isMarked(place, mark)) return mark;',
    to: 'if (isMarked(place, mark) || mark.sequence >= 0) return mark;',
    why: 'a command that is dead or was cancelled can be executed by another replica',
  },
  {
    name: 'buried-unmarked',
    file: `${RUNTIME}/durable/durable-commands.ts`,
    from: "const why = parsed?.kind === 'queued' ? await store.moveMark(parsed.entityId, message) : undefined;",
    to: "const why = parsed?.kind === 'none' ? await store.moveMark('', message) : undefined;",
    why: 'a dead letter of a command which another replica goes on to try',
  },
  {
    name: 'cancelled-all-the-same',
    file: `${RUNTIME}/durable/durable-commands.ts`,
    from: 'if (!(await wasCancelled(requester, agent, schedule.key))) return undefined;',
    to: "if (schedule.key !== '') return undefined;",
    why: 'executes a delayed command that was cancelled when its time came',
  },
  {
    name: 'cancelled-and-executed',
    file: `${RUNTIME}/durable/delayed-commands.ts`,
    from: "const lines = [['Nats-TTL', TTL] as const, ...expecting(0, decisions)];",
    to: "const lines = [['Nats-TTL', TTL] as const];",
    why: 'who cancels and who executes both decide',
  },
  {
    name: 'schedules-as-commands',
    file: `${RUNTIME}/durable/durable-commands.ts`,
    from: "if (headerOf(message, 'Nats-Schedule') !== '') {",
    to: "if (headerOf(message, 'Nats-Schedule') === 'never') {",
    why: 'executes a message that the server takes away and stores again when its time comes',
  },
  {
    name: 'wrong-pin-kept',
    file: `${RUNTIME}/durable/pull-loop.ts`,
    from: 'if (ended?.pin === this.#run?.run.pin) this.endRun();',
    to: '',
    why: 'a worker goes on to ask under a pin that counts no more, and gets nothing',
  },
  {
    name: 'lost-pulls-waited-for',
    file: `${RUNTIME}/durable/pull-loop.ts`,
    from: 'if (this.#pull !== undefined && clock.monotonic() > this.#pull.sentAt + PULL_MS + PULL_GRACE_MS) {',
    to: 'if (this.#pull !== undefined && clock.monotonic() < 0) {',
    why: 'a worker whose pull was lost never asks again',
  },
  // Reactions.
  {
    name: 'reaction-ids-differ',
    file: `${RUNTIME}/reaction/reaction.ts`,
    from: 'commandId: derivedId(name, agent, event, index),',
    to: 'commandId: `${derivedId(name, agent, event, index)}-${String(message.storedAt % 1 === 0 ? performance.now() : 0)}`,',
    why: 'an event that is handled twice leads to two commands',
  },
  {
    name: 'reaction-order-by-event',
    file: `${RUNTIME}/reaction/reaction.ts`,
    from: "entityOf: ({ subject }) => subject.split('.', 3).join('.'),",
    to: 'entityOf: ({ subject }) => subject,',
    why: 'events of one entity overtake each other',
  },
  {
    name: 'reaction-begins-at-once',
    file: `${RUNTIME}/durable/worker.ts`,
    from: "this.#isOpen = order.kind === 'stored';",
    to: 'this.#isOpen = true;',
    why: 'a new worker of a reaction does not wait for what the former one has left',
  },
  {
    name: 'reaction-forgets-letters',
    file: `${RUNTIME}/reaction/reaction.ts`,
    from: 'const isOutage = isStoring && error instanceof MeshError && OUTAGES.has(error.code);',
    to: 'const isOutage = false;',
    why: 'an outage makes a dead letter of an event',
  },
];
