import { isNoneMatch, toTag } from "../../http/entity-tag.ts";
import type { FunctionRoute } from "../../http/plain-route.ts";
import type { ProviderType } from "./provider-type.ts";

/**
 * The types' schemas where their `$id` says they are, for editors and
 * validators that follow it. They are the same for everybody and hold no
 * secret: no credential is asked for, and every origin may read them.
 */
export function createSchemaRoutes(types: readonly ProviderType[]): FunctionRoute[] {
  return types.map(({ schema }) => {
    const body = JSON.stringify(schema);
    const headers = {
      etag: toTag(body),
      "cache-control": "public, max-age=300",
      "access-control-allow-origin": "*",
    };
    return {
      method: "GET",
      path: new URL(String(schema.$id)).pathname,
      handle: ({ header }) =>
        isNoneMatch(header.get("if-none-match"), headers.etag)
          ? { status: 304, headers }
          : { status: 200, headers: { ...headers, "content-type": "application/schema+json" }, body },
    };
  });
}
