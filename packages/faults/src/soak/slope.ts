export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * How much `y` grows with `x`: the median of the slopes between any two points (Theil and Sen), which a few samples taken in
 * a bad moment do not move. 0 for fewer than two points.
 */
export function slopeOf(points: readonly Point[]): number {
  const slopes = points
    .flatMap((one, index) => points.slice(index + 1).map((other) => (other.y - one.y) / (other.x - one.x)))
    .filter(Number.isFinite)
    .toSorted((left, right) => left - right);
  return slopes[Math.floor(slopes.length / 2)] ?? 0;
}
