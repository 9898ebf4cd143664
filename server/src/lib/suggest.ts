/**
 * Finds what was probably meant: the candidate with the fewest slips of the
 * pen (insert, drop, change, swap of neighbours), if they are few enough.
 */
export function findNearest(text: string, candidates: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let fewest = Math.max(2, Math.floor(text.length / 4)) + 1;
  const plain = toPlain(text);
  for (const candidate of candidates) {
    const slips = isSpelling(plain, toPlain(candidate)) ? 0 : countSlips(text, candidate, fewest);
    if (slips < fewest) {
      nearest = candidate;
      fewest = slips;
    }
  }
  return nearest;
}

/** Whether only the style of writing differs (`publicUrl`), or one leaves off the other's end (`issuer`). */
function isSpelling(one: string, other: string): boolean {
  return one.length >= 3 && (one.startsWith(other) || other.startsWith(one));
}

function toPlain(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** @param enough of them to be no candidate: their lengths alone say so of a text that is long to hurt */
function countSlips(from: string, to: string, enough: number): number {
  if (Math.abs(from.length - to.length) >= enough) return enough;
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
