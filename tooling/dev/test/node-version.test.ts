import { expect, test } from 'vitest';
import { nodeTooOld } from '../lib/node-version.mjs';

test.each(['20.19.0', '20.20.2', '22.0.0', '100.1.0'])('Node %s is new enough for >=20.19', (version) => {
  expect(nodeTooOld('>=20.19', version)).toBeUndefined();
});

test.each(['20.18.3', '18.20.4', '8.0.0'])(
  'Node %s is too old for >=20.19, and the message says what to get',
  (version) => {
    const message = nodeTooOld('>=20.19', version);
    expect(message).toContain('needs Node 20.19 or newer');
    expect(message).toContain(version);
    expect(message).toContain('https://nodejs.org');
  },
);
