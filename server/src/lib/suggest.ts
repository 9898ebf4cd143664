/**
 * Finds what was probably meant: the candidate with the fewest slips of the
 * pen (insert, drop, change, swap of neighbours), if they are few enough.
 */
export function findNearest(text: string, candidates: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let fewest = Math.max(2, Math.floor(text.length / 4)) + 1;
  for (const candidate of candidates) {
    const slips = isSpelling(text, candidate) ? 0 : countSlips(text, candidate);
    if (slips < fewest) {
      nearest = candidate;
      fewest = slips;
    }
  }
  return nearest;
}

/** Whether only the style of writing differs (`publicUrl`), or one leaves off the other's end (`issuer`). */
function isSpelling(text: string, candidate: string): boolean {
  const [one, other] = [toPlain(text), toPlain(candidate)];
  return one.length >= 3 && (one.startsWith(other) || other.startsWith(one));
}

function toPlain(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]/g, "");
}

function countSlips(from: string, to: string): number {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const change = from[row - 1] === to[column - 1] ? 0 : 1;
      const isSwap = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + change,
        row > 1 && column > 1 && isSwap ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    before = last;
    last = current;
  }
  return last[to.length] ?? 0;
}
