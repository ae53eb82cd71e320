import { hash } from 'node:crypto';

/** 96 bits of SHA-256: nobody finds two command ids with the same digest by chance. */
const CHARACTERS = 16;

/** The short form in which an entity remembers a command's id. */
export function digestOf(commandId: string): string {
  return hash('sha256', commandId, 'base64url').slice(0, CHARACTERS);
}
