import { test } from 'vitest';
import { Checker } from '../src/checker/checker.ts';
import { simulate } from './checker/support/simulated-mesh.ts';
test('x', () => {
  const kinds: Record<string, number> = {};
  let shown = 0;
  for (let seed = 1; seed < 400; seed++) {
    const entries = simulate(seed, { commands: 150, clients: 5, entities: 2 });
    const c = new Checker();
    for (const e of entries) c.add(e);
    for (const b of c.finish()) {
      kinds[b.invariant + b.what.replace(/"[^"]*"|\d+|\S*-\S*/g, '#').slice(0, 90)] =
        (kinds[b.invariant + b.what.replace(/"[^"]*"|\d+|\S*-\S*/g, '#').slice(0, 90)] ?? 0) + 1;
      if (shown++ < 3) {
        const id = (b.history.find((e) => e.type === 'sent') as any)?.commandId;
        console.log(seed, b.what);
        for (const e of entries)
          if ((e as any).commandId === id || (e as any).causedBy === id)
            console.log('   ', JSON.stringify(e).slice(0, 300));
      }
    }
  }
  console.log(kinds);
});
