/** Whether two JSON values say the same; a key that is undefined is one that is not there. */
export function sameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) || Array.isArray(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
    return one.every((item, index) => sameJson(item, other[index]));
  }
  return holdsAll(one as Keyed, other as Keyed) && holdsAll(other as Keyed, one as Keyed, true);
}

type Keyed = Readonly<Record<string, unknown>>;

function holdsAll(one: Keyed, other: Keyed, keysOnly = false): boolean {
  for (const key of Object.keys(one)) {
    if (one[key] === undefined) continue;
    if (!Object.hasOwn(other, key)) return false;
    if (keysOnly ? other[key] === undefined : !sameJson(one[key], other[key])) return false;
  }
  return true;
}
