/** Version of this program; a test holds it against package.json. */
export const version = "0.2.0";

/**
 * Whether a program's version is the one asked for or a later one, in the
 * order of Semantic Versioning (§11), but that all pre-releases of a version
 * are alike. What is no version is never late enough.
 */
export function isAtLeast(programVersion: string, oldest: string): boolean {
  const [one, other] = [toNumbers(programVersion), toNumbers(oldest)];
  if (one === undefined || other === undefined) return false;
  const at = one.findIndex((number, index) => number !== other[index]);
  return at < 0 || (one[at] ?? 0) > (other[at] ?? 0);
}

/** Major, minor, patch, and whether it is released. */
function toNumbers(text: string): readonly number[] | undefined {
  const [, major, minor, patch, rest] =
    /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:(-[\w.-]+)|\+[\w.-]+)?$/.exec(text) ?? [];
  if (patch === undefined) return undefined;
  return [Number(major), Number(minor), Number(patch), rest === undefined ? 1 : 0];
}
