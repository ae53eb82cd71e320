import {
  commandSubject,
  delayedCommandSubject,
  entityEventFilter,
  entityStream,
  entitySubject,
  eventSubject,
  isName,
  parseSubject,
  querySubject,
  queuedCommandSubject,
  recordSubject,
  type ParsedSubject,
  type QueryKind,
} from '@meshforge/protocol';
import { mustBePrintable, mustBeSubject, textOf, utf16 } from '../readable.ts';
import { must, type Target } from '../target.ts';

/** Subjects: what is parsed is built again, and what is built is parsed again; nothing else gets in. */
export const subjects: Target = {
  name: 'subjects',
  seeds: [
    'cmd.inventory.adjust',
    'qry.lock.history',
    'evt.lock.acquired',
    'ent.inventory.sku-1.0.created',
    'ent.lock.a%2Eb.x.expired',
    'ent.lock.a%2Eb.refused',
    'queue.cmd.inventory.a%2Eb.adjust',
    'queue.later.inventory.a%2Eb.k',
    'ent.inventory.%.17.deleted',
    'sys_lock_manager created sku 1',
    'constructor __proto__ x',
    utf16('inventory created \ud800.*>'),
  ],
  words: ['cmd.', 'qry.', 'lock', 'sys_lock_manager', 'get', ' '],
  run(input) {
    const text = textOf(input);
    const parsed = parseSubject(text);
    if (parsed !== undefined) must(built(parsed) === text, 'it is built as something else', text);

    const [agent = '', name = '', ...rest] = text.split(' ');
    const entityId = rest.join(' ');
    const makers: readonly (readonly [number, () => string])[] = [
      [3, () => commandSubject(agent, name)],
      [3, () => querySubject(agent, name as QueryKind)],
      [3, () => eventSubject(agent, name)],
      [5, () => entitySubject(agent, entityId, 0, name)],
      [5, () => entitySubject(agent, entityId, 'x', name)],
      [4, () => recordSubject(agent, entityId)],
    ];
    for (const [count, make] of makers) {
      const subject = orRefusal(make);
      if (subject === undefined) continue;
      mustBeSubject(subject, count);
      const back = parseSubject(subject);
      must(back !== undefined && built(back) === subject, 'it is not parsed as what it was built from', subject);
      if (back.kind === 'entity' || back.kind === 'record')
        must(back.entityId === entityId, 'it is of another entity', subject);
    }
    for (const make of [() => entityStream(agent), () => entityEventFilter(agent, '*')]) {
      const stream = orRefusal(make);
      must((stream === undefined) === !isName(agent), 'a stream of what is no name', stream);
    }
  },
};

function built(parsed: ParsedSubject): string {
  switch (parsed.kind) {
    case 'command':
      return commandSubject(parsed.agent, parsed.action);
    case 'query':
      return `qry.${parsed.agent}.${parsed.query}`;
    case 'queued':
      // An action that no agent has is answered.
      return `${queuedCommandSubject(parsed.agent, parsed.entityId, 'x').slice(0, -1)}${parsed.action}`;
    case 'delayed':
      return delayedCommandSubject(parsed.agent, parsed.entityId, parsed.key);
    case 'event':
      return eventSubject(parsed.agent, parsed.event);
    case 'entity':
      return entitySubject(parsed.agent, parsed.entityId, parsed.slot, parsed.event);
    case 'record':
      return recordSubject(parsed.agent, parsed.entityId);
  }
}

/** Undefined where the name is refused, as it is documented. */
function orRefusal(make: () => string): string | undefined {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    mustBePrintable(error.message, 300, 'the refusal of a name');
    return undefined;
  }
}
