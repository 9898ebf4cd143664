/** The pages of the login at the public URL. */
import type { FormKit } from "../../html/forms.ts";
import { type Html, html } from "../../html/html.ts";
import { toProviderWay } from "../../html/provider-way.ts";
import { toProviderLabel } from "../../lib/well-known-providers.ts";
import type { GateProvider } from "../directory/frontend.ts";
import { gatePaths, toLoginPath } from "./places.ts";

/** What people call a provider. @param siteName what they call this service */
export function toLabel({ type, name }: Pick<GateProvider, "type" | "name">, siteName: string): string {
  switch (type.name) {
    case "VESTIBULE":
      return siteName;
    case "GOOGLE":
      return "Google";
    case "GITHUB":
      return "GitHub";
    default:
      return toProviderLabel(name);
  }
}

/** Under which name a provider may be known; of our own and others' own by none. */
export function toKnownName({ type, name }: Pick<GateProvider, "type" | "name">): string {
  switch (type.name) {
    case "VESTIBULE":
      return "";
    case "GOOGLE":
    case "GITHUB":
      return type.name.toLowerCase();
    default:
      return name;
  }
}

/** Which of several providers somebody comes by. */
export function toChooserBody(
  host: string,
  state: string,
  choices: readonly { readonly id: string; readonly name: string; readonly label: string }[],
): Html {
  return html`<section class="card">
<h1>Sign in</h1>
<p class="lead">to continue to <strong class="address">${host}</strong></p>
${choices.map(
  ({
    id,
    name,
    label,
  }) => html`<p><a class="button" href="${toLoginPath(state, { with: id })}">${toProviderWay(name, label)}</a></p>
`,
)}
</section>`;
}

/** Somebody who is signed in here, and what is asked of them. */
export interface AnswerView {
  readonly host: string;
  readonly email: string;
  readonly forms: FormKit;
  /** What goes with the answer. */
  readonly fields: {
    readonly state: string;
    readonly with: string;
    readonly session: string;
    /** What a yes is to. */
    readonly answer: "continue" | "tell";
  };
  /** Where to go as somebody else. */
  readonly otherwise: string;
}

/** Asks whoever signed out of the frontend before as whom they come back. */
export function toContinueBody({ host, email, forms, fields, otherwise }: AnswerView): Html {
  return html`<section class="card">
<h1>Welcome back</h1>
<p class="lead">to <strong class="address">${host}</strong></p>
<form method="post" action="${gatePaths.answer}">
${forms.hidden(gatePaths.answer, { ...fields })}
<button class="primary">Continue as ${email}</button>
</form>
<p><a class="button" href="${otherwise}">Use another account</a></p>
</section>`;
}

/** Asks somebody from elsewhere whether whoever runs the frontend may know who they are. */
export function toConfirmBody(view: AnswerView, organization: string): Html {
  const { host, email, forms, fields, otherwise } = view;
  return html`<section class="card">
<h1>Tell ${host} who you are?</h1>
<p>It is run by <strong>${organization}</strong>, which you are not a member of.</p>
<p>Whoever runs it will know:</p>
<ul>
<li>your address, <strong class="address">${email}</strong></li>
<li>which of the organizations that it lets in you are in</li>
<li>when you come, and from where</li>
</ul>
<form method="post" action="${gatePaths.answer}">
${forms.hidden(gatePaths.answer, { ...fields })}
<button class="primary">Continue to ${host}</button>
</form>
<p><a class="button" href="${otherwise}">Use another account</a></p>
<p class="hint">You are asked this once. If you do not want to go there, close this page: nothing has been told.</p>
</section>`;
}
