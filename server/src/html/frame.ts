/**
 * What all pages have in common: the document around them, and the headers
 * that keep everything out which is not ours.
 */
import { randomBytes } from "node:crypto";
import type { PlainResponse } from "../http/plain-route.ts";
import { assetPaths, assetTexts } from "./assets.ts";
import { type Html, html } from "./html.ts";

/** What a page says that nothing was done. */
export interface Refusal {
  readonly status: number;
  /** Shown at the end of the page: by it whoever runs the place finds the request in the log. */
  readonly requestId: string;
  /** After how many seconds it is worth trying again, where that is known. */
  readonly retryAfterSeconds?: number | undefined;
}

/** One page. */
export interface HtmlPage {
  /** Default: none, and the status is 200. */
  readonly refusal?: Refusal | undefined;
  /** What the tab says, before the site's name. */
  readonly title: string;
  readonly body: Html;
  /** Beside the site's name at the top. */
  readonly aside?: Html;
  /** `wide` has room for lists; default `narrow`, a form. */
  readonly width?: "narrow" | "wide";
  /** Whether it uses passkeys, the one thing that needs a script. */
  readonly usesPasskeys?: boolean;
  /** Whether it is shown under another host, where none of our files are, and no forms or some. */
  readonly isAlone?: boolean | "with forms";
  /** Where the browser goes by itself, at once. */
  readonly refreshTo?: string;
  /** Values of `Set-Cookie`. */
  readonly setCookies?: readonly string[];
}

/** A page as it is answered. */
export interface PageResponse extends PlainResponse {
  readonly body: string;
}

/** Makes the answer of a page. */
export type RenderPage = (page: HtmlPage) => PageResponse;

/**
 * Nothing may be loaded but the page's own two files, which its nonce names;
 * nothing may frame it; its forms go to us alone.
 *
 * @see https://www.w3.org/TR/CSP3/
 */
function toPolicy(nonce: string, { usesPasskeys, isAlone }: HtmlPage): string {
  return [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    isAlone ? "img-src data:" : "img-src 'self'",
    ...(usesPasskeys ? [`script-src 'nonce-${nonce}'`, "connect-src 'self'"] : []),
    isAlone === true ? "form-action 'none'" : "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

/** @param siteName what the people who come here call the place */
export function createRenderPage(siteName: string): RenderPage {
  return (page) => {
    const { refusal, setCookies = [] } = page;
    const nonce = randomBytes(16).toString("base64url");
    return {
      status: refusal?.status ?? 200,
      headers: {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": toPolicy(nonce, page),
        "cache-control": "no-store",
        // Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
        "referrer-policy": "same-origin",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        ...(refusal?.retryAfterSeconds !== undefined && { "retry-after": String(refusal.retryAfterSeconds) }),
        ...(setCookies.length > 0 && { "set-cookie": [...setCookies] }),
      },
      body: toDocument(page, siteName, nonce).toString(),
    };
  };
}

function toDocument(page: HtmlPage, siteName: string, nonce: string): Html {
  const {
    title,
    body,
    aside,
    width = "narrow",
    usesPasskeys = false,
    isAlone = false,
    refreshTo,
    refusal,
  } = page;
  const { icon, style } = isAlone ? assetTexts : assetPaths;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
${refreshTo !== undefined && html`<meta http-equiv="refresh" content="${`0; url=${refreshTo}`}">`}
<title>${title} &middot; ${siteName}</title>
<link rel="icon" type="image/svg+xml" href="${icon}">
<link rel="stylesheet" href="${style}" nonce="${nonce}">
${usesPasskeys && html`<script type="module" src="${assetPaths.script}" nonce="${nonce}"></script>`}
</head>
<body class="${width}">
<header>
<span class="site">${mark}<span>${siteName}</span></span>
${aside}
</header>
<main>
${body}
${refusal !== undefined && html`<p class="request">Request <code>${refusal.requestId}</code></p>`}
</main>
</body>
</html>
`;
}

/** A door that stands open. */
const mark = html`<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false"><path d="M5 21V9a7 7 0 0 1 14 0v12M2.5 21h19" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"/><path d="M12 6.2 7.75 9.4V21L12 18.4z" fill="currentColor"/></svg>`;

/** A word to someone about what has just happened; read out at once. */
export function toNotice(text: string | undefined, kind: "problem" | "done" = "problem"): Html | undefined {
  if (text === undefined) return undefined;
  return html`<p class="notice ${kind}" role="${kind === "problem" ? "alert" : "status"}">${text}</p>`;
}
