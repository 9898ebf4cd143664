import type { Room } from "../assembly/room.ts";
import type { Database } from "../db/database.ts";
import { isNoneMatch } from "../http/entity-tag.ts";
import type { FunctionRoute } from "../http/plain-route.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { Avatars } from "./avatars.ts";
import { avatarsPath, findHash } from "./path.ts";
import { findAvatar } from "./store.ts";

/** What pictures stand on. */
export interface AvatarParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Origin that browsers see. */
  readonly publicUrl: string;
}

/** What others ask of pictures. */
export interface AvatarsRoom extends Room {
  readonly avatars: Avatars;
}

/** Puts pictures together with the route that serves them, to whoever knows their URL. */
export function assembleAvatars(parts: AvatarParts): AvatarsRoom {
  return { avatars: new Avatars(parts), routes: [createAvatarRoute(parts.database)] };
}

/**
 * Serves a picture as what it was checked to be. Opened as a page it runs
 * nothing and loads nothing, and pages of other origins may show it.
 */
function createAvatarRoute({ reader }: Pick<Database, "reader">): FunctionRoute {
  return {
    method: "GET",
    path: `${avatarsPath}{id}`,
    readsNoCookie: true,
    handle: async ({ path, header }) => {
      const hash = findHash(path);
      const picture = hash === undefined ? undefined : await findAvatar(reader, hash);
      if (picture === undefined) throw new DomainError("NOT_FOUND");
      const etag = `"${hash}"`;
      const headers = {
        etag,
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "cross-origin",
      };
      if (isNoneMatch(header.get("if-none-match"), etag)) return { status: 304, headers };
      return { status: 200, headers: { ...headers, "content-type": picture.type }, body: picture.bytes };
    },
  };
}
