import { createInbox, type NatsConnection } from '@nats-io/transport-node';

const api = '$JS.API.CONSUMER';
const executor = 'COMMANDS_inventory.executor';
const group = 'executor';

interface Answer {
  readonly error?: { readonly description: string };
}

async function ask(connection: NatsConnection, subject: string, body: object | '' = ''): Promise<Answer> {
  const message = await connection.request(subject, body === '' ? '' : JSON.stringify(body), { timeout: 5_000 });
  const answer = message.json<Answer>();
  if (answer.error !== undefined) throw new Error(`${subject}: ${answer.error.description}`);
  return answer;
}

/** Makes the consumer by which the agent `inventory` takes its commands, as the agent does. */
async function makeExecutor(inventory: NatsConnection, replicas = 1): Promise<void> {
  const config = {
    name: 'executor',
    durable_name: 'executor',
    ack_policy: 'explicit',
    filter_subject: 'queue.cmd.inventory.*.*',
    num_replicas: replicas,
    priority_groups: [group],
    priority_policy: 'pinned_client',
    priority_timeout: 1_000_000_000,
  };
  await ask(inventory, `${api}.CREATE.${executor}`, { stream_name: 'COMMANDS_inventory', config, action: 'create' });
  await ask(inventory, `${api}.INFO.${executor}`);
}

/** Takes one command as the agent does, acknowledges it, and lets another replica go on. @returns its subject */
export async function takeCommand(inventory: NatsConnection, replicas = 1): Promise<string> {
  await makeExecutor(inventory, replicas);
  const inbox = createInbox('_INBOX_inventory');
  const delivered = inventory.subscribe(inbox, { max: 1 });
  const pull = JSON.stringify({ batch: 1, expires: 5_000_000_000, group });
  inventory.publish(`${api}.MSG.NEXT.${executor}`, pull, { reply: inbox });
  let subject = '';
  for await (const message of delivered) {
    ({ subject } = message);
    await inventory.request(message.reply ?? '', '', { timeout: 5_000 });
  }
  await ask(inventory, `${api}.UNPIN.${executor}`, { group });
  return subject;
}
