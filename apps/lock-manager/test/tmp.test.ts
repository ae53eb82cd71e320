import { Session } from 'node:inspector/promises';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { startMesh } from './support/lock-manager.ts';
import { acquire, followEvents, lease, release, success, refresh } from './support/locks.ts';
import { queued, startWaiting, tellingOf } from './support/waiting.ts';
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
test('anew', async () => {
  const mesh = await startMesh(3);
  const nats = mesh.connection;
  const ann = await followEvents(nats);
  const race = async (i: number): Promise<void> => {
    const resource = `anew-race-${i}`;
    lease(await acquire(nats, resource, 'holder'));
    const early = startWaiting(nats, resource, 'ann', { waitMs: 8_000 });
    await queued(nats, resource, 1);
    const releasing = release(nats, resource, 'holder');
    await sleep((i % 8) / 2);
    const late = startWaiting(nats, resource, 'ann', { waitMs: 5_000 });
    success(await releasing, 'released');
    await late.answer;
    await early.answer;
    const l = late.answers[0]!,
      e = early.answers[0]!;
    if (l.at - late.sentAt > 400 || e.at - late.sentAt > 400) {
      console.log(
        i,
        'late',
        tellingOf(l.reply),
        l.reply.replayed,
        l.at - late.sentAt,
        'early',
        tellingOf(e.reply),
        e.reply.replayed,
        e.at - late.sentAt,
        ann
          .changes(resource)
          .map((c) => `${c.event} ${c.payload.state.owner_id} ${c.commandId} ${c.time % 100000}`)
          .join('\n'),
      );
    }
  };
  for (let i = 0; i < 96; i += 24) await Promise.all(Array.from({ length: 24 }, (_, j) => race(i + j)));
  await mesh.stop();
});
test('many', async () => {
  const mesh = await startMesh(3);
  const nats = mesh.connection;
  const ann = await followEvents(nats);
  lease(await acquire(nats, 'full', 'holder', { ttl: 60_000 }));
  const trace = { traceparent: 'p'.repeat(4_096), tracestate: 's'.repeat(4_096), baggage: 'b'.repeat(4_096) };
  const waiters = Array.from({ length: 512 }, (_, i) =>
    startWaiting(nats, 'full', 'w' + i, { waitMs: 60_000, headers: trace }),
  );
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  let t = performance.now();
  const step = (w: string) => {
    console.log(w, performance.now() - t);
    t = performance.now();
  };
  await queued(nats, 'full', 512);
  step('queued');
  {
    const { profile } = await session.post('Profiler.stop');
    writeFileSync('/tmp/prof.cpuprofile', JSON.stringify(profile));
  }
  const tooMany = startWaiting(nats, 'full', 'one-too-many', { headers: trace });
  console.log(tellingOf(await tooMany.answer));
  step('too many');
  const again = startWaiting(nats, 'full', 'w7', { waitMs: 60_000, headers: trace });
  console.log(tellingOf(await waiters[7]!.answer));
  waiters[7] = again;
  step('again');
  for (let i = 0; i < 40; i++) lease(await refresh(nats, 'full', 'holder', { ttl: 60_000 + i, headers: trace }));
  step('refreshed');
  success(await release(nats, 'full', 'holder', { headers: trace }), 'released');
  let n = 0;
  await Promise.all(
    waiters.map(async ({ owner, answer }) => {
      lease(await answer);
      await release(nats, 'full', owner);
      if (++n % 100 === 0) step('served ' + n);
    }),
  );
  step('served');
  return;
  const ch = ann.changes('full');
  for (let i = 1; i < ch.length; i++)
    if (ch[i]!.time - ch[i - 1]!.time > 300)
      console.log(
        ch
          .slice(i - 3, i + 3)
          .map(
            (c) => `${c.event} ${c.payload.state.owner_id} ${c.commandId} ${JSON.stringify(c.data)} ${c.time % 100000}`,
          )
          .join('\n'),
        '\n--',
      );
  const odd = waiters.filter((w) => w.answers.length !== 1);
  console.log(odd.length);
  await mesh.stop();
});
