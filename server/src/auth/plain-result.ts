/** Results of `/auth/callback` as the plainest of pages, where nobody draws better ones. */
import type { ErrorKind } from "../lib/errors.ts";
import {
  type CallbackForm,
  type CallbackResult,
  callbackPath,
  type RenderResult,
} from "./callback-routes.ts";

const statuses = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  failed_precondition: 400,
  resource_exhausted: 429,
  aborted: 409,
  unavailable: 503,
  unimplemented: 501,
  internal: 500,
} as const satisfies Record<ErrorKind, number>;

/** The HTTP status of a page that shows a result. */
export function toResultStatus(result: CallbackResult): number {
  if (result.kind === "refused") return statuses[result.error.kind];
  return result.kind === "denied" ? 403 : 200;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function toForm({ state, formToken }: CallbackForm, code: string | undefined): string {
  const hidden = { state, token: formToken, ...(code !== undefined && { code }) };
  const inputs = Object.entries(hidden).map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`,
  );
  const typed =
    code === undefined ? '<label>Code <input name="code" autocomplete="one-time-code" required></label>' : "";
  return `<form method="post" action="${callbackPath}">${inputs.join("")}${typed}<button>Sign in</button></form>`;
}

function toBody(result: CallbackResult): string {
  switch (result.kind) {
    case "confirm":
      return `<p>Sign in as ${escapeHtml(result.form.email)}?</p>${toForm(result.form, result.code)}`;
    case "link_required":
      return `<p>Type the code mailed to ${escapeHtml(result.form.email)}.</p>${toForm(result.form, undefined)}`;
    case "other_browser":
      return "<p>Type the code in the mail in the browser where you asked for it.</p>";
    case "denied":
      return "<p>The sign-in was not completed.</p>";
    case "refused":
      return `<p>${escapeHtml(result.error.message)}</p>${result.form ? toForm(result.form, undefined) : ""}`;
  }
}

/** @see the head of this file */
export const renderPlainResult: RenderResult = (result) => ({
  status: toResultStatus(result),
  headers: {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    // Not less: without a referrer a form would come from the origin `null`.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": `default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action ${toFormAction(result)}`,
  },
  body: `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>${toBody(result)}</html>`,
});

/** Where forms may go, and be redirected to. */
function toFormAction(result: CallbackResult): string {
  const form = "form" in result ? result.form : undefined;
  return form === undefined ? "'none'" : `'self' ${new URL(form.returnTo).origin}`;
}
