import { version } from "../../lib/version.ts";
import type { FunctionRoute } from "../plain-route.ts";
import type { ServiceRegistration } from "../services.ts";
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
    handle: async () => {
      made ??= makeDocument(options);
      return {
        status: 200,
        headers: { "content-type": "application/json", "cache-control": "public, max-age=300" },
        body: await made,
      };
    },
  };
}

async function makeDocument(options: Parameters<typeof createOpenApiRoute>[0]): Promise<string> {
  // Only this reads the comments, so that a start does not.
  const { comments } = await import("@vestibule/proto/vestibule/comments");
  return JSON.stringify(createOpenApiDocument({ ...options, comments, title: "Vestibule", version }));
}
