/**
 * JSON with the members of every object in the order of their names: what
 * means the same is the same text, however a client has written it.
 *
 * @param value of bounded depth.
 */
export function toSortedJson(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) => (isObject(member) ? sortMembers(member) : member));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sortMembers(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const members = Object.entries(object);
  return Object.fromEntries(members.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
