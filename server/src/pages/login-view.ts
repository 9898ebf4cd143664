import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toProviderWay } from "../html/provider-way.ts";
import { type Offers, ownStrategies } from "./offers.ts";

/** Paths of the sign-in pages and of the forms on them. */
export const loginPaths = {
  login: "/login",
  mail: "/login/mail",
  provider: "/login/with",
  checkMail: "/login/check-mail",
  resend: "/login/resend",
} as const;

/** What the sign-in page shows. */
export interface LoginView {
  readonly offers: Offers;
  readonly forms: FormKit;
  /** A URL that was judged already; empty if none was asked for. */
  readonly returnTo: string;
  /** Whether that is the page of an invitation. */
  readonly answersInvitation?: boolean;
  /** Whether the way on is to an app behind the gate, whose login has said so. */
  readonly comesToApp?: boolean;
  /** What to put into the field for the address. */
  readonly email?: string | undefined;
  /** Whether the address was refused. */
  readonly isEmailWrong?: boolean;
  /** Who is signed in already and asked to prove it again. */
  readonly again?: string | undefined;
  readonly problem?: string | undefined;
  readonly done?: string | undefined;
}

/** The sign-in page. */
export function toLoginBody(view: LoginView): Html {
  const { again, returnTo, answersInvitation = false, comesToApp = false } = view;
  return html`<section class="card">
<h1>${again === undefined ? "Sign in" : "Sign in again"}</h1>
${
  again !== undefined
    ? html`<p class="lead">You are signed in as <strong class="address">${again}</strong>.</p>`
    : answersInvitation
      ? html`<p class="lead">to answer the invitation</p>`
      : returnTo !== "" &&
        !comesToApp &&
        html`<p class="lead">to continue to <strong class="address">${new URL(returnTo).host}</strong></p>`
}
${toNotice(view.problem)}${toNotice(view.done, "done")}
${toWaysIn(view)}
</section>`;
}

/** The ways to sign in, as offered. */
export function toWaysIn(view: LoginView): Html {
  const { offers } = view;
  const hasMail = offers.mailCode || offers.mailLink;
  const hasOthers = offers.passkey || offers.providers.length > 0;
  return html`${hasMail && (offers.isMailClosed ? mailIsClosed : toMailForm(view))}
${hasMail && hasOthers && html`<p class="or"><span>or</span></p>`}
${toOtherWays(view)}`;
}

const mailIsClosed = html`<p class="notice problem" role="status">This site cannot send mail at the moment, so nobody can sign in by mail. If there is no other way, tell whoever runs it.</p>`;

function toMailForm(view: LoginView): Html {
  const { offers, forms, returnTo, email = "", isEmailWrong = false, again, problem } = view;
  // Not past a problem, which is read out first, and not where nothing has to be typed.
  const isNext = email === "" && again === undefined && problem === undefined;
  const { mailCode, mailLink } = ownStrategies;
  return html`<form method="post" action="${loginPaths.mail}">
${forms.hidden(loginPaths.mail, { return_to: returnTo })}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" inputmode="email" autocomplete="username webauthn" autocapitalize="none" spellcheck="false" maxlength="254" required value="${email}"${isEmailWrong && html` aria-invalid="true"`}${(isEmailWrong || isNext) && html` autofocus`}>
${offers.mailCode && html`<button class="primary" name="strategy" value="${mailCode}">E-mail me a code</button>`}
${offers.mailLink && html`<button class="${offers.mailCode ? "quiet" : "primary"}" name="strategy" value="${mailLink}">E-mail me a link${offers.mailCode && " instead"}</button>`}
</form>`;
}

function toOtherWays({ offers, forms, returnTo }: LoginView): Html {
  return html`${
    offers.passkey &&
    html`<div class="passkey" data-passkey="sign-in" data-return-to="${returnTo}" hidden>
<button type="button">Sign in with a passkey</button>
<p class="notice problem" role="alert" hidden></p>
</div>
<noscript><p class="hint">Passkeys need JavaScript, which is switched off in this browser. Everything else works without it.</p></noscript>`
  }${
    offers.providers.length > 0 &&
    html`<form method="post" action="${loginPaths.provider}">
${forms.hidden(loginPaths.provider, { return_to: returnTo })}
${offers.providers.map(
  ({ name, label }) => html`<button name="strategy" value="${name}">${toProviderWay(name, label)}</button>
`,
)}</form>`
  }`;
}
