import { decodeJson, printable } from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/transport-node';

const subjectWidth = 26;
const maxSubjectCharacters = 120;
const maxEntityCharacters = 60;
const maxBodyCharacters = 120;
/** A terminal that scrolls faster than this helps nobody. */
const maxLinesPerSecond = 100;

/** One event on one line. All text in it is somebody else's: nothing of it reaches a terminal unescaped. */
export function eventLine(subject: string, data: Uint8Array): string {
  const decoded = decodeJson(data);
  const shownSubject = printable(subject, maxSubjectCharacters).padEnd(subjectWidth);
  if (!decoded.ok || typeof decoded.value !== 'object' || decoded.value === null) {
    return `${shownSubject} ${printable(new TextDecoder().decode(data), maxBodyCharacters)}`;
  }
  const { entity_id: entityId, entity_version: version, ...rest } = decoded.value as Record<string, unknown>;
  const parts = [
    ...(typeof entityId === 'string' ? [printable(entityId, maxEntityCharacters)] : []),
    ...(typeof version === 'number' ? [`version ${version}`] : []),
    printable(JSON.stringify(rest), maxBodyCharacters),
  ];
  return `${shownSubject} ${parts.join('  ')}`;
}

/** Prints a line for each event of all agents, until the connection closes. */
export function printEvents(connection: NatsConnection, say: (line: string) => void): void {
  let printed = 0;
  let held = 0;
  const newSecond = setInterval(() => {
    if (held > 0) say(`… and ${held} more events in this second`);
    printed = held = 0;
  }, 1_000);
  const onEvent = ({ subject, data }: Msg): void => {
    if (printed >= maxLinesPerSecond) {
      held++;
      return;
    }
    printed++;
    say(`${new Date().toISOString().slice(11, 23)}  ${eventLine(subject, data)}`);
  };
  connection.subscribe('evt.>', {
    callback: (error, message) => {
      if (error) say(`! no events: ${printable(error.message, maxBodyCharacters)}`);
      else onEvent(message);
    },
  });
  void connection.closed().then(() => clearInterval(newSecond));
}
