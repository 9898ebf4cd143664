import type { ServiceRegistration } from "../../assembly/services.ts";
import { isNoneMatch, toTag } from "../../http/entity-tag.ts";
import type { FunctionRoute } from "../../http/plain-route.ts";
import { version } from "../../lib/version.ts";
import { createOpenApiDocument } from "./openapi.ts";

/** `GET /openapi.json`: the document, made when it is first asked for. It is the same for every caller. */
export function createOpenApiRoute(options: {
  readonly services: readonly ServiceRegistration[];
  readonly publicOrigin: string;
}): FunctionRoute {
  let made: Promise<string> | undefined;
  return {
    method: "GET",
    path: "/openapi.json",
    handle: async ({ header }) => {
      made ??= makeDocument(options);
      const body = await made;
      const headers = { etag: toTag(body), "cache-control": "public, max-age=300" };
      if (isNoneMatch(header.get("if-none-match"), headers.etag)) return { status: 304, headers };
      return { status: 200, headers: { ...headers, "content-type": "application/json" }, body };
    },
  };
}

async function makeDocument(options: Parameters<typeof createOpenApiRoute>[0]): Promise<string> {
  // Only this reads the comments, so that a start does not.
  const { comments } = await import("@vestibule/proto/vestibule/comments");
  return JSON.stringify(createOpenApiDocument({ ...options, comments, title: "Vestibule", version }));
}
