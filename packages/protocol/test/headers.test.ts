/** Hunts for header values that could forge a header or change on their way, and for numbers that left their documents. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ID_HEADER_VALUE,
  ID_HEADERS,
  LIMITS,
  LOCK_LIMITS,
  REJECTION_CODES,
  statusOfCode,
  TRACE_HEADER_VALUE,
  TRACE_HEADERS,
} from '../src/index.ts';
import { anyText } from './arbitraries.ts';

describe('an id header', () => {
  it.each(['a', '01J-x_y.z', 'order 7', 'é', '😀'.repeat(128), 'x'.repeat(128), 'a:b', '{"a":1}'])(
    'takes %j',
    (value) => {
      expect(ID_HEADER_VALUE.test(value)).toBe(true);
    },
  );

  it.each([
    '',
    ' ',
    ' a',
    'a ',
    '\u00a0a',
    'a\ufeff',
    'a\r\nNats-Msg-Id: b',
    'a\nb',
    'a\0b',
    'a\u0085b',
    'a\u007f',
    '\ud800',
    'x'.repeat(129),
    '😀'.repeat(129),
  ])('refuses %j', (value) => {
    expect(ID_HEADER_VALUE.test(value)).toBe(false);
  });

  it('comes out of the header block as it went in, whatever it takes', () => {
    fc.assert(
      fc.property(anyText, (value) => {
        if (!ID_HEADER_VALUE.test(value)) return;
        const block = new TextDecoder().decode(new TextEncoder().encode(`Mesh-Command-Id: ${value}\r\n`));
        expect(block.split(/\r\n|\r|\n/)).toHaveLength(2);
        expect(block.slice(block.indexOf(':') + 1).trim()).toBe(value);
        expect(Array.from(value).length).toBeLessThanOrEqual(LIMITS.idHeaderCharacters);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a trace header', () => {
  it.each(['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'a=1,b=2', 'x'.repeat(LIMITS.traceHeaderBytes)])(
    'takes %j',
    (value) => {
      expect(TRACE_HEADER_VALUE.test(value)).toBe(true);
    },
  );

  it.each(['', ' a', 'a\r\nb: c', 'é', 'a\tb', 'x'.repeat(LIMITS.traceHeaderBytes + 1)])('refuses %j', (value) => {
    expect(TRACE_HEADER_VALUE.test(value)).toBe(false);
  });
});

describe('the status of a refusal', () => {
  it.each([
    ['invalid_command', 400],
    ['unknown_action', 400],
    ['too_large', 400],
    ['not_found', 404],
    ['already_exists', 409],
    ['decided_before', 409],
    ['stale_token', 422],
    ['lease_required', 422],
    ['too_many_resources', 422],
    ['insufficient_stock', 422],
    ['constructor', 422],
    ['__proto__', 422],
    ['', 422],
    ['contended', 503],
    ['unavailable', 503],
  ])('%s is %i', (code, status) => {
    expect(statusOfCode(code)).toBe(status);
  });

  it('is there for every code, and 422 only for those of a lease and of a time', () => {
    const ruled = REJECTION_CODES.filter((code) => statusOfCode(code) === 422);
    expect(ruled).toEqual(['stale_token', 'lease_required', 'too_many_resources', 'expired']);
    expect(REJECTION_CODES.every((code) => statusOfCode(code) >= 400)).toBe(true);
  });
});

describe('the numbers of the wire', () => {
  it('are those of its documents', () => {
    expect(LIMITS).toMatchObject({
      entityIdCharacters: 256,
      nameCharacters: 64,
      idHeaderCharacters: 128,
      stateBytes: 512 * 1024,
      commandBytes: 1024 * 1024,
      fencedResources: 32,
    });
    expect(LOCK_LIMITS).toEqual({
      minTtlMs: 500,
      maxTtlMs: 86_400_000,
      defaultTtlMs: 30_000,
      maxWaitMs: 600_000,
      passOverMs: 2_000,
      maxWaiters: 512,
      maxResources: 32,
      reasonCharacters: 256,
    });
  });

  it('leave room for the longest state, ids and headers in one message', () => {
    const headers = ID_HEADERS.length * LIMITS.idHeaderCharacters * 4 + TRACE_HEADERS.length * LIMITS.traceHeaderBytes;
    expect(headers).toBeLessThan(64 * 1024);
    expect(LIMITS.stateBytes + headers + LIMITS.entityIdCharacters * 12).toBeLessThan(1024 * 1024);
  });
});
