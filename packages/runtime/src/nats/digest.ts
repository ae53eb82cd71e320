import { hash } from 'node:crypto';

/** 72 bits of SHA-256: among the few commands that one entity remembers, no two have the same by chance. */
const CHARACTERS = 12;

/** The short form in which an entity remembers a command's id. */
export function digestOf(commandId: string): string {
  return hash('sha256', commandId, 'base64url').slice(0, CHARACTERS);
}
