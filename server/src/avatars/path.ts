/** Below which path pictures are served. */
export const avatarsPath = "/avatars/";

/** What a path of ours names: the hash of a picture; undefined for anything else. */
export function findHash(path: string): string | undefined {
  const hash = path.startsWith(avatarsPath) ? path.slice(avatarsPath.length) : "";
  return /^[A-Za-z0-9_-]{43}$/.test(hash) ? hash : undefined;
}
