import type { z } from 'zod';
import { assertName, isName, isTakenToken, SIGNAL_EVENTS } from './subjects.ts';

/** What one action takes and what its success is called. */
export interface ActionContract {
  /** For people who look at the agent with `nats micro info`. */
  description?: string;
  /** Schema of the command's `data`; JSON types only. */
  data: z.ZodType;
  /** `evt.<agent>.<event>` announces the success. */
  event: string;
  /** Schema of the event's `data`, if the action adds any. */
  eventData?: z.ZodType;
  /**
   * A command must name the lease under which it is sent: any lease, or one on the resource that the function names. The
   * agent knows the function; on the wire it says only that there must be a lease.
   */
  requiresLease?: true | ((command: never) => string);
  /** The agent's own process decides it; as a command from anybody else it is unknown. */
  internal?: true;
}

/** Everything that others need to know to talk to an agent; the agent is built on the same value. */
export interface AgentContract {
  /** The agent's name: micro service, queue group. */
  name: string;
  description?: string;
  /** Schema of a live entity's state; JSON types only. */
  state: z.ZodType;
  /** What `get` and `list` tell of an entity beside its state. */
  view?: z.ZodObject;
  actions: Readonly<Record<string, ActionContract>>;
  /** Event that the NATS server itself commits when a lease of this agent ends unrefreshed. */
  expiryEvent?: string;
  /** What the agent tells everybody beside its commits and refusals, by the event's name; at most once. */
  notices?: Readonly<Record<string, { description: string; schema: z.ZodType }>>;
  /** Payload of `evt.<agent>.denied`, where the agent answers refusals of its own rules so instead of `rejected`. */
  denied?: z.ZodType;
}

/**
 * Returns the contract as it is given, fully typed.
 * @throws RangeError for a name that no subject can carry, or that would make two things speak under one subject.
 */
export function defineContract<const Contract extends AgentContract>(contract: Contract): Contract {
  assertName('agent', contract.name);
  if (isTakenToken(contract.name)) {
    throw new RangeError(`another agent speaks under the token ${contract.name}: choose another name`);
  }
  const { expiryEvent, notices = {} } = contract;
  for (const notice of Object.keys(notices)) assertEventName(notice);
  if (expiryEvent !== undefined) assertEventName(expiryEvent);
  for (const [action, { event }] of Object.entries(contract.actions)) {
    assertName('action', action);
    assertEventName(event);
    if (Object.hasOwn(notices, event)) {
      throw new RangeError(`event ${event} of action ${action} is also a notice: choose another name`);
    }
    if (event === expiryEvent) {
      throw new RangeError(`event ${event} of action ${action} is also the expiry event: choose another name`);
    }
  }
  return contract;
}

/** @throws RangeError for a name that is none or that is taken by a signal. */
export function assertEventName(event: string): void {
  if (!isName(event)) assertName('event', event);
  if ((SIGNAL_EVENTS as readonly string[]).includes(event)) {
    throw new RangeError(`event ${event} is reserved for commands that changed nothing: choose another name`);
  }
}
