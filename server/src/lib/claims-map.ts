/** Where an answer says what of a person, for those who have no standard names for it. */

/**
 * Paths into a JSON object, by dots: `data.id`. Of several, the first that says
 * something counts.
 */
export interface ClaimsMap {
  /** A text, or a whole number, which becomes text. */
  readonly subject: readonly string[];
  readonly email?: readonly string[] | undefined;
  /** True where the address is verified; `always` of a provider that tells no other; absent, none is. */
  readonly emailVerified?: readonly string[] | "always" | undefined;
  readonly name?: readonly string[] | undefined;
  readonly picture?: readonly string[] | undefined;
}

/** The value at the first path that has one; null is none. Only members of its own are followed. */
export function findAt(value: unknown, paths: readonly string[] = []): unknown {
  for (const path of paths) {
    const found = path.split(".").reduce<unknown>(step, value);
    if (found !== undefined && found !== null && found !== "") return found;
  }
  return undefined;
}

function step(value: unknown, name: string): unknown {
  const isHolder = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return isHolder ? (value as Record<string, unknown>)[name] : undefined;
}
