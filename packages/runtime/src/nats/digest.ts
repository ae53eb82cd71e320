import { createHash, hash } from 'node:crypto';

/** 72 bits of SHA-256: among the few commands that one entity remembers, no two have the same by chance. */
const CHARACTERS = 12;

/** The short form in which an entity remembers a command's id. */
export function digestOf(commandId: string): string {
  return hash('sha256', commandId, 'base64url').slice(0, CHARACTERS);
}

/** 24 bits: it only has to tell one misuse of an id from a retry. */
const BODY_CHARACTERS = 4;

/** A short form of what a command says, so that an id which was another command's is noticed. */
export function bodyDigest(said: unknown): string {
  return hash('sha256', JSON.stringify(said), 'base64url').slice(0, BODY_CHARACTERS);
}

/** 132 bits: what a sender stores under an id of its own may be anything. */
const MESSAGE_CHARACTERS = 22;

/** What a durable command is: where it goes, when, and what it says. */
export function messageDigest(subject: string, schedule: string, body: Uint8Array): string {
  const digest = createHash('sha256').update(`${subject} ${schedule}\n`).update(body).digest('base64url');
  return digest.slice(0, MESSAGE_CHARACTERS);
}
