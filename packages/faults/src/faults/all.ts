import { cutConnections } from './cut-connections.ts';
import { delayLinks } from './delay-links.ts';
import { deleteReaction } from './delete-reaction.ts';
import { deleteRecreated } from './delete-recreated.ts';
import { dropAcks } from './drop-acks.ts';
import type { Fault } from './fault.ts';
import { freezeAgent } from './freeze-agent.ts';
import { freezeServer } from './freeze-server.ts';
import { fullStream } from './full-stream.ts';
import { jumpAgentClock } from './jump-agent-clock.ts';
import { killAgent } from './kill-agent.ts';
import { killServer } from './kill-server.ts';
import { loseQueue } from './lose-queue.ts';
import { mixedRelease } from './mixed-release.ts';
import { partitionServer } from './partition-server.ts';
import { purgeLock } from './purge-lock.ts';
import { restoreLog } from './restore-log.ts';
import { scaleUp } from './scale-up.ts';

/** Every fault there is; a further one is a file and a line here. */
export const FAULTS: readonly Fault[] = [
  killServer,
  freezeServer,
  partitionServer,
  scaleUp,
  killAgent,
  freezeAgent,
  jumpAgentClock,
  dropAcks,
  delayLinks,
  cutConnections,
  fullStream,
  deleteRecreated,
  deleteReaction,
  loseQueue,
  restoreLog,
  purgeLock,
  mixedRelease,
];
