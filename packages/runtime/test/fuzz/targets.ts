import type { Target } from './target.ts';
import { acknowledgements } from './targets/acknowledgements.ts';
import { answers } from './targets/answers.ts';
import { commandHeaders } from './targets/command-headers.ts';
import { commands } from './targets/commands.ts';
import { events } from './targets/events.ts';
import { json } from './targets/json.ts';
import { payloads } from './targets/payloads.ts';
import { fences } from './targets/fences.ts';
import { histories, reads } from './targets/reads.ts';
import { recentCommands } from './targets/recent-commands.ts';
import { replies } from './targets/replies.ts';
import { replySubjects } from './targets/reply-subjects.ts';
import { servers } from './targets/servers.ts';
import { services } from './targets/services.ts';
import { storedMessages } from './targets/stored-messages.ts';
import { subjects } from './targets/subjects.ts';
import { texts } from './targets/texts.ts';
import { tokens } from './targets/tokens.ts';

/** Everything that reads bytes or text from the wire. */
export const TARGETS: readonly Target[] = [
  json,
  commands,
  replies,
  payloads,
  tokens,
  subjects,
  texts,
  commandHeaders,
  replySubjects,
  services,
  acknowledgements,
  storedMessages,
  recentCommands,
  fences,
  reads,
  histories,
  events,
  answers,
  servers,
];
