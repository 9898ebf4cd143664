/** What is asked before the proof of a mailbox empties an account that somebody opened on it. */

import type { FormKit } from "../html/forms.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import { toProviderLabel } from "../lib/well-known-providers.ts";
import { loginPaths } from "./login-view.ts";
import { ownStrategies } from "./offers.ts";

/** What is asked, and how to go on without. */
export interface TakeOverView {
  readonly email: string;
  /** Strategies that open the account as it is. */
  readonly waysToKeep: readonly string[];
  readonly returnTo: string | undefined;
  readonly forms: FormKit;
  /** Where the answer goes once more, and what goes with it. */
  readonly action: string;
  readonly fields: Html;
}

/** The question, behind a code that was right. Nothing has been done yet. */
export function toTakeOverBody(view: TakeOverView): Html {
  const { email, waysToKeep, returnTo, forms, action, fields } = view;
  const providers = waysToKeep.filter((name) => name !== ownStrategies.passkey);
  const labels = waysToKeep.map((name) =>
    name === ownStrategies.passkey ? "a passkey" : toProviderLabel(name),
  );
  return html`<section class="card">
<h1>Is this account yours?</h1>
<p>There is an account of <strong class="address">${email}</strong> already, which is opened with ${labels.join(" or ")}. Nobody has confirmed its address until now.</p>
<p>If you opened it, sign in that way first to keep what is there. Then confirm the address on the page of your account.</p>
${
  providers.length > 0 &&
  html`<form method="post" action="${loginPaths.provider}">
${forms.hidden(loginPaths.provider, { return_to: returnTo })}
${providers.map(
  (
    name,
  ) => html`<button class="primary" name="strategy" value="${name}">Sign in with ${toProviderLabel(name)} first</button>
`,
)}</form>`
}
${
  waysToKeep.includes(ownStrategies.passkey) &&
  html`<p><a class="button primary" href="${toPath(loginPaths.login, { return_to: returnTo })}">Sign in with a passkey first</a></p>`
}
<p class="otherwise">If you did not, somebody else used your address. Go on, and the account is yours alone: whatever was put into it is removed.</p>
<form method="post" action="${action}">
${fields}
<input type="hidden" name="take_over" value="1">
<button class="danger">Remove what is there and sign in</button>
</form>
</section>`;
}
