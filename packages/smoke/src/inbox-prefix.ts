import { CannotRun } from './cannot-run.ts';

/** Agents answer only to subjects under this token, so an inbox anywhere else would wait for ever. */
export const DEFAULT_INBOX_PREFIX = '_INBOX';

/** @throws CannotRun for a prefix that no agent answers to or that no subject can begin with. */
export function assertInboxPrefix(prefix: string): string {
  if (/^_INBOX[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/.test(prefix)) return prefix;
  throw new CannotRun({
    problem: 'the inbox prefix is not usable',
    tried: `--inbox-prefix ${JSON.stringify(prefix)}`,
    expected:
      'a prefix that begins with _INBOX, such as _INBOX_client, without wildcards: agents answer to no other subject',
    remedy: 'leave it out, or give the prefix that the user’s permissions name',
  });
}
