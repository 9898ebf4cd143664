/** Ways out of a page: within the site, and away from it. */

import type { PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect } from "../http/redirect.ts";
import type { RenderPage } from "./frame.ts";
import { html } from "./html.ts";

/**
 * Sends someone to a URL after a form.
 *
 * Elsewhere they go by a page that leads on: browsers hold the whole chain of
 * redirects after a form against `form-action`, and where a provider or an app
 * redirects to next is not ours to know.
 */
export function navigate(
  render: RenderPage,
  url: string,
  publicUrl: string,
  setCookies: readonly string[] = [],
): PlainResponse {
  const target = new URL(url, publicUrl);
  return target.origin === publicUrl ? redirect(url, setCookies) : navigateByPage(render, target, setCookies);
}

/** Sends someone to a URL by a page that leads on by itself, and is where that navigation comes from. */
export function navigateByPage(
  render: RenderPage,
  target: URL,
  setCookies: readonly string[] = [],
): PlainResponse {
  return render({
    title: "One moment",
    refreshTo: target.href,
    setCookies,
    body: html`<section class="card">
<h1>One moment</h1>
<p>You are on your way to <strong>${target.host}</strong>.</p>
<p><a class="button primary" href="${target.href}">Continue</a></p>
</section>`,
  });
}

/**
 * Has a browser come anew that another site sent here without its session;
 * undefined where it came with all that it has.
 */
export type ComeAnew = (
  request: Pick<PlainRequest, "path" | "query" | "header">,
) => PlainResponse | undefined;

/** @param isSessionStrict whether session cookies are `SameSite=Strict`, which come along from our own site alone */
export function createComeAnew(render: RenderPage, publicUrl: string, isSessionStrict: boolean): ComeAnew {
  return ({ path, query, header }) =>
    isSessionStrict && header.get("sec-fetch-site") === "cross-site"
      ? navigateByPage(render, new URL(`${path}?${query}`, publicUrl))
      : undefined;
}

const loopbackNames = ["localhost", "127.0.0.1", "[::1]"];

/**
 * The same page under the public URL, when it was opened under another name
 * of this machine: cookies and passkeys belong to the public name alone.
 *
 * Not at another port than the public one: that is how a proxy on this machine
 * calls us, whatever its visitors typed, and they would be led here for ever.
 */
export function findPublicUrl(
  { method, path, query, header }: PlainRequest,
  publicUrl: string,
): string | undefined {
  const { hostname, host: publicHost } = new URL(publicUrl);
  const host = header.get("host")?.toLowerCase() ?? "";
  const asked = host.replace(/:\d+$/, "");
  const isSamePort = host.slice(asked.length) === publicHost.slice(hostname.length);
  const isOther = loopbackNames.includes(hostname) && loopbackNames.includes(asked) && asked !== hostname;
  if (!isOther || !isSamePort || (method !== "GET" && method !== "HEAD")) return undefined;
  const search = query.toString();
  return `${publicUrl}${path}${search === "" ? "" : `?${search}`}`;
}
