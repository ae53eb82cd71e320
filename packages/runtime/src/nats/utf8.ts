/**
 * Text as bytes to be sent. Node.js cuts short buffers from a pool, where the standard TextEncoder allocates an ArrayBuffer
 * for each: with several texts per message, that is much of an agent's garbage.
 */
export function utf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}
