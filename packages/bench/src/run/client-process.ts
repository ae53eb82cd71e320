/** The client's process: does the work of one contender, stretch by stretch, as it is told. */
import { LOADS } from '../loads/index.ts';
import type { Work } from '../loads/load.ts';
import type { FromClient, ToClient } from './messages.ts';
import { runSlice } from './run-slice.ts';

let work: Work | undefined;
let contended = false;

async function obey(message: ToClient): Promise<FromClient> {
  switch (message.type) {
    case 'prepare': {
      const load = LOADS.find(({ id }) => id === message.load);
      const participant = load?.participants.find(({ id }) => id === message.contender);
      if (participant === undefined) throw new Error(`no contender ${message.contender} in ${message.load}`);
      contended = load?.contended === true;
      work = await participant.prepare(message.address);
      return { type: 'prepared' };
    }
    case 'run':
      if (work === undefined) throw new Error('told to run before it was told what');
      return { type: 'ran', slice: await runSlice(work, message.concurrency, message.durationMs, contended) };
    case 'finish':
      await work?.verify?.();
      await work?.close();
      return { type: 'finished' };
  }
}

function tell(message: FromClient): void {
  process.send?.(message);
}

process.on('message', (message: ToClient) => {
  obey(message).then(tell, (error: unknown) => {
    tell({ type: 'failed', why: error instanceof Error ? error.message : String(error) });
  });
});
process.once('disconnect', () => process.exit(1));
