/**
 * The files that pages load: small, kept in memory, and named after their
 * content, so that a browser may keep them for ever.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { isNoneMatch } from "../http/entity-tag.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";

// The build puts the files' texts in place of these calls.
const styleText = readFileSync(new URL("./browser/pages.css", import.meta.url), "utf8");
const scriptText = readFileSync(new URL("./browser/pages.js", import.meta.url), "utf8");
const iconText = readFileSync(new URL("./browser/icon.svg", import.meta.url), "utf8");

/** A file as it is served. */
interface Asset {
  readonly path: string;
  readonly route: FunctionRoute;
}

function toAsset(name: string, contentType: string, text: string): Asset {
  const hash = createHash("sha256").update(text).digest("base64url").slice(0, 16);
  const path = `/assets/${name.replace(".", `-${hash}.`)}`;
  const etag = `"${hash}"`;
  const headers = { etag, "cache-control": "public, max-age=31536000, immutable" };
  function handle({ header }: Pick<PlainRequest, "header">): PlainResponse {
    if (isNoneMatch(header.get("if-none-match"), etag)) return { status: 304, headers };
    return { status: 200, headers: { ...headers, "content-type": contentType }, body: text };
  }
  return { path, route: { method: "GET", path, handle } };
}

const style = toAsset("pages.css", "text/css; charset=utf-8", styleText);
const script = toAsset("pages.js", "text/javascript; charset=utf-8", scriptText);
const icon = toAsset("icon.svg", "image/svg+xml", iconText);

/** Where the files are. */
export const assetPaths = { style: style.path, script: script.path, icon: icon.path } as const;

/** Style and script for the page itself, of one that is shown where the files are not. */
export const assetTexts = {
  style: `data:text/css;base64,${Buffer.from(styleText).toString("base64")}`,
  icon: `data:image/svg+xml;base64,${Buffer.from(iconText).toString("base64")}`,
} as const;

/** What browsers ask for beside an answer that names no icon, such as a document of JSON. */
const favicon: FunctionRoute = {
  method: "GET",
  path: "/favicon.ico",
  handle: () => ({
    status: 200,
    headers: { "content-type": "image/svg+xml", "cache-control": "public, max-age=86400" },
    body: iconText,
  }),
};

/** Serves them. */
export const assetRoutes: readonly FunctionRoute[] = [style.route, script.route, icon.route, favicon];
