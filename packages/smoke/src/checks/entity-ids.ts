/** Any text of 1–256 characters names an entity, and no two texts name the same one. */
import { InventoryState } from '@meshforge/protocol';
import { fact } from '../check.ts';
import { expectItem } from '../expect-outcome.ts';
import { expectEqual } from '../expect.ts';
import { expectItemIs } from './steps.ts';

/** Each pair or group of these is one text to somebody who forgets to encode, trims, folds case or normalises. */
const oddLabels = [
  'plain',
  'PLAIN',
  'a.b',
  'a%2Eb',
  'a%2eb',
  'a b',
  'a  b',
  ' a b ',
  'a\tb',
  'a\nb',
  '*',
  '>',
  'a.*',
  'a.>',
  '$SYS',
  'a/b\\c',
  '"quoted"',
  '%',
  '😀',
  'e\u0301',
  '\u00e9',
  '__proto__',
  '../..',
];

export const entityIdChecks = [
  fact('entity ids with dots, spaces, wildcards and emoji work and stay apart', async (context) => {
    const prefix = context.newId('odd');
    const ids = oddLabels.map((label) => context.adoptItem(`${prefix}-${label}`));
    for (const [index, id] of ids.entries()) {
      const reply = await context.inventory.send('create', id, { name: 'smoke', quantity: index }, { expect: 0 });
      expectItem(reply, 'created', 1);
      expectEqual('entity_id of the event', (await context.events.announced(reply)).payload['entity_id'], id);
    }
    for (const [index, id] of ids.entries()) await expectItemIs(context, id, 1, { quantity: index });
  }),

  fact('a command on an id that is a wildcard changes that entity alone', async (context) => {
    const prefix = context.newId('wild');
    const [star, plain] = [context.adoptItem(`${prefix}-*`), context.adoptItem(`${prefix}-x`)];
    for (const id of [star, plain])
      expectItem(await context.inventory.send('create', id, { name: 'smoke' }), 'created', 1);
    expectItem(await context.inventory.send('update', star, { quantity: 5 }, { expect: 1 }), 'updated', 2);
    await expectItemIs(context, plain, 1, { quantity: 0 });
  }),

  fact('an entity id may have 256 characters, also of four bytes each', async (context) => {
    for (const filler of ['x', '😀']) {
      const begin = context.newId('long');
      const id = context.adoptItem(begin + filler.repeat(256 - begin.length));
      expectItem(await context.inventory.send('create', id, { name: 'smoke', quantity: 1 }), 'created', 1);
      expectItem(await context.inventory.send('adjust', id, { delta: 1 }, { expect: 1 }), 'adjusted', 2);
      expectEqual('quantity', (await context.inventory.find(id, InventoryState))?.state.quantity, 2);
    }
  }),
];
