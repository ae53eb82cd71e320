/** The tables of answers in docs/locks.md, as data. */
import { readFileSync } from 'node:fs';

const page = new URL('../../../../docs/locks.md', import.meta.url);

export const STATES = [
  'never held',
  'free, released',
  'free, expired',
  'free, owners wait',
  'free for 2 s, owners wait',
  'held',
] as const;
export type State = (typeof STATES)[number];

const AROUND_WAITERS = ['first who waits', 'later who waits', 'another'] as const;
/** Who can ask in each state, beside an operator, who can always. */
export const ASKERS = {
  'never held': ['anybody'],
  'free, released': ['its last holder', 'another'],
  'free, expired': ['its last holder', 'another'],
  'free, owners wait': AROUND_WAITERS,
  'free for 2 s, owners wait': AROUND_WAITERS,
  held: ['its holder', 'another', 'who waits for it'],
} as const satisfies Record<State, readonly string[]>;
export type Asker = (typeof ASKERS)[State][number] | 'an operator';

const TOKENS = ['no token', 'right token', 'older token', 'future token'] as const;

/** What can be asked in the name of an owner, as the page heads its columns. */
export const ACTIONS = [
  'acquire',
  'acquire, wait_ms > 0',
  'cancel',
  ...TOKENS.map((token) => `refresh, ${token}` as const),
  ...TOKENS.map((token) => `release, ${token}` as const),
] as const;
export type Action = (typeof ACTIONS)[number] | 'break';

export interface Cell {
  readonly state: State;
  readonly asker: Asker;
  readonly action: Action;
  readonly answer: string;
}

export function nameOf({ state, asker, action }: Pick<Cell, 'state' | 'asker' | 'action'>): string {
  return `${state} | ${asker} | ${action}`;
}

/** Every cell that the page must have, by its name. */
export function allNames(): string[] {
  return STATES.flatMap((state) => [
    ...ASKERS[state].flatMap((asker) => ACTIONS.map((action) => nameOf({ state, asker, action }))),
    nameOf({ state, asker: 'an operator', action: 'break' }),
  ]);
}

/** Every cell that the page has, in its order, as often as it has it. */
export function readCells(): Cell[] {
  const [, tables = ''] = /<!-- answers -->([^]*)<!-- \/answers -->/.exec(readFileSync(page, 'utf8')) ?? [];
  return tables
    .trim()
    .split(/\n{2,}/)
    .flatMap(cellsOf);
}

function cellsOf(table: string): Cell[] {
  const [head = [], , ...rows] = table.split('\n').map(fieldsOf);
  const actions = actionsOf(head.slice(2));
  return rows.flatMap(([state, asker, ...answers]) =>
    answers.map((answer, column) => ({
      state: state as State,
      asker: asker as Asker,
      action: (actions[column] ?? `column ${column + 1}`) as Action,
      answer,
    })),
  );
}

function fieldsOf(line: string): string[] {
  return line
    .replace(/^\||\|$/g, '')
    .split('|')
    .map((field) => field.trim().replaceAll('`', ''));
}

/** A column of a token alone is of the action before it. */
function actionsOf(heads: readonly string[]): string[] {
  let action = '';
  return heads.map((head) => {
    if (TOKENS.some((token) => token === head)) return `${action}, ${head}`;
    [action = ''] = head.split(',');
    return head;
  });
}
