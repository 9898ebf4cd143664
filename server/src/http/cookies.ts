/** Values of the cookies of a name; a request may carry several. */
export function findCookies(header: Headers, name: string): string[] {
  const cookies = (header.get("cookie") ?? "").split(";").map((pair) => pair.trim());
  return cookies.filter((pair) => pair.startsWith(`${name}=`)).map((pair) => pair.slice(name.length + 1));
}
