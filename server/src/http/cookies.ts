/**
 * Values of the cookies of a name; a request may carry several.
 *
 * Before a name stand spaces and tabs, and nothing else is taken off: to a
 * browser another kind of space belongs to the name, which any neighbour under
 * the same domain may then set, whatever prefix follows (RFC 6265bis §4.1.3).
 */
export function findCookies(header: Headers, name: string): string[] {
  const cookies = (header.get("cookie") ?? "")
    .split(";")
    .map((pair) => pair.replace(/^[ \t]+/, "").trimEnd());
  return cookies.filter((pair) => pair.startsWith(`${name}=`)).map((pair) => pair.slice(name.length + 1));
}
