/** A time as the server writes it: RFC 3339 with as many digits as it needs. */
export function nanoTime(micros: number): string {
  const ms = Math.floor(micros / 1_000);
  const rest = String(micros - ms * 1_000).padStart(3, '0');
  const digits = `${String(ms % 1_000).padStart(3, '0')}${rest}`.replace(/0+$/, '');
  const seconds = new Date(ms).toISOString().slice(0, 19);
  return digits === '' ? `${seconds}Z` : `${seconds}.${digits}Z`;
}

export function timeOf(ms: number): string {
  return nanoTime(Math.floor(ms * 1_000));
}
