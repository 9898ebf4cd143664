/**
 * Forms that nobody else can send in a person's name: each carries a token
 * made from the browser's cookie, and its `Origin` must be ours besides.
 */

import { isFromOwnPage } from "../http/own-origin.ts";
import type { PlainRequest } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import { isFormToken, toFormToken } from "./form-token.ts";
import { type Html, html } from "./html.ts";

/** Tells browsers apart by a cookie of theirs that no other site can read. */
export interface FormBrowsers {
  /** The browser a request came from: every well-formed value it sent, usually one. */
  find(header: Headers): string[];
  /** The browser a request came from, or a new one. */
  get(header: Headers): string;
  /** `Set-Cookie` that has the browser remembered. */
  toSetCookies(browser: string): string[];
}

/** What a page with forms needs. */
export interface FormKit {
  /** The hidden fields of a form that posts to `path`; absent and empty values are left out. */
  hidden(path: string, values?: Readonly<Record<string, string | undefined>>): Html;
  /** To be sent with the page. */
  readonly setCookies: readonly string[];
}

/** Longest value of a field, in characters. */
const longestValue = 8192;

/** A field that was sent once; empty when it was not sent. @throws DomainError INVALID_REQUEST */
export function readField(form: URLSearchParams, name: string): string {
  const [value = "", ...others] = form.getAll(name);
  if (others.length > 0 || value.length > longestValue || value.includes("\0")) {
    throw new DomainError("INVALID_REQUEST", { detail: `field ${name} repeated, too long or with a NUL` });
  }
  return value;
}

/** Opens a form kit for a browser; a request by HEAD is given no cookie. */
export function openForms(
  { method, header }: Pick<PlainRequest, "method" | "header">,
  browsers: FormBrowsers,
): FormKit {
  const browser = browsers.get(header);
  return {
    hidden(path, values = {}) {
      const given = Object.entries(values).filter(([, value]) => Boolean(value));
      return html`${[["token", toFormToken(browser, path)], ...given].map(
        ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
      )}`;
    },
    setCookies: method === "HEAD" ? [] : browsers.toSetCookies(browser),
  };
}

/**
 * The fields of a form of ours.
 *
 * @throws DomainError INVALID_REQUEST when it is no form, CROSS_ORIGIN when it
 *   was not sent from a page of ours in this browser
 */
export function readForm(
  { path, header, body }: PlainRequest,
  publicUrl: string,
  browsers: Pick<FormBrowsers, "find">,
): URLSearchParams {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(header.get("content-type") ?? "")) {
    throw new DomainError("INVALID_REQUEST", { detail: "not a form" });
  }
  const form = new URLSearchParams(Buffer.from(body).toString("utf8"));
  const isOurs = isFormToken(readField(form, "token"), browsers.find(header), path);
  if (!isFromOwnPage(header, publicUrl)) throw new DomainError("CROSS_ORIGIN", { detail: "foreign origin" });
  if (!isOurs) throw new DomainError("CROSS_ORIGIN", { detail: "form token of another browser or form" });
  return form;
}
