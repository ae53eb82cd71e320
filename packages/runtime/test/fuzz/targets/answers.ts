import { GetResult, HistoryResult, ListResult } from '@meshforge/protocol';
import { outcomeOf, queryResult } from '../../../src/client/reply.ts';
import { MeshError } from '../../../src/errors.ts';
import { frame, messageOf, readFrame } from '../frames.ts';
import { must, type Target } from '../target.ts';

/** Answers to commands and queries, as the client reads them: what is none of MeshForge's is the error `protocol`. */
export const answers: Target = {
  name: 'answers',
  seeds: [
    frame(
      '',
      ['Mesh-Command-Id: c'],
      '{"event":"evt.inventory.updated","payload":{"entity_id":"a","entity_version":1,"state":null}}',
    ),
    frame(
      '',
      ['Mesh-Replayed: true'],
      '{"event":"evt.inventory.updated","payload":{"entity_id":"a","entity_version":1,"state":{}}}',
    ),
    frame(
      '',
      ['Nats-Service-Error-Code: 404', 'Nats-Service-Error: there is no such entity'],
      '{"event":"evt.inventory.rejected","payload":{"entity_id":"a","action":"get","code":"not_found","reason":"r"}}',
    ),
    frame('', [], '{"entity_id":"a","entity_version":1,"state":{}}'),
    frame('', [], '{"entities":[]}'),
  ],
  words: ['Nats-Service-Error-Code: ', 'Mesh-Replayed: true\r\n', '"code":"unavailable"'],
  run(input) {
    const message = messageOf(readFrame(input), '_INBOX.a');
    try {
      void message.headers;
    } catch {
      return;
    }
    const outcome = orProtocolError(() => outcomeOf(message));
    must(outcome === undefined || typeof outcome.payload === 'object', 'an outcome without a payload');
    for (const schema of [GetResult, HistoryResult, ListResult]) {
      const result = orProtocolError(() => queryResult<unknown>(message, schema));
      if (result?.ok === true) must(schema.safeParse(result.value).success, 'a result that is none');
      must(result?.ok !== false || typeof result.refusal.code === 'string', 'a refusal without a code');
    }
  },
};

function orProtocolError<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MeshError && error.code === 'protocol') return undefined;
    throw error;
  }
}
