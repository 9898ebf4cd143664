import { isDeepStrictEqual } from "node:util";

/** Names of what would be another value than it is, in order; what a patch leaves out stays as it is. */
export function listChanged<T extends object>(before: T, patch: Partial<T>): (keyof T & string)[] {
  const named = Object.keys(patch) as (keyof T & string)[];
  return named.filter((name) => !isDeepStrictEqual(before[name], patch[name])).toSorted();
}
