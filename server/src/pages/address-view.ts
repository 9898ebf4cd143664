import type { UndoableChange } from "../accounts/email-undo.ts";
import { undoPath } from "../accounts/email-undo.ts";
import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import { loginPaths } from "./login-view.ts";
import { toExactText } from "./texts.ts";
import { toTime } from "./time.ts";

/** Paths of what changes the address of one's account. */
export const addressPaths = {
  /** Asks for the code, and begins a change. */
  code: "/account/email",
  confirm: "/account/email/confirm",
} as const;

/** The address on the page of one's account. @param isRecent whether the session is young enough to change it */
export function toAddress({
  forms,
  email,
  isRecent,
}: {
  readonly forms: FormKit;
  readonly email: string;
  readonly isRecent: boolean;
}): Html {
  return html`<section class="card" aria-labelledby="address">
<h2 id="address">E-mail address</h2>
<p class="about">You sign in with <span class="address">${email}</span>, and we write to you there.</p>
${isRecent ? toChangeForm(forms) : toSignInAgain("To change it")}
</section>`;
}

function toChangeForm(forms: FormKit): Html {
  return html`<div class="row"><details name="act"><summary>Change it</summary>
<form method="post" action="${addressPaths.code}" class="inline">
${forms.hidden(addressPaths.code)}
<label for="new-email">New address</label>
<input id="new-email" name="email" type="email" maxlength="254" required autocomplete="email" spellcheck="false" aria-describedby="new-email-hint">
<p class="hint" id="new-email-hint">We send a code to it. Nothing changes until you have typed the code here. All your other sessions are signed out then, and the address you have now is told.</p>
<button class="small primary">Send the code</button>
</form></details></div>`;
}

/** In place of what only a session of the last ten minutes may do. @param what it is for, such as "To change it" */
export function toSignInAgain(what: string): Html {
  return html`<p>${what}, sign in again first: your last sign-in is more than ten minutes ago, and this makes sure that it is still you.</p>
<p><a class="button" href="${loginPaths.login}?again=1">Sign in again</a></p>`;
}

/** Where the code is typed that was sent to the new address. */
export function toAddressCodeBody(view: {
  readonly forms: FormKit;
  readonly email: string;
  readonly state: string;
  readonly problem: string | undefined;
  readonly hasOutbox: boolean;
}): Html {
  const { forms, email, state, problem, hasOutbox } = view;
  return html`<section class="card">
<h1>Check your mail</h1>
<p class="lead">We sent a code to <strong class="address">${email}</strong>.</p>
${toNotice(problem)}
<form method="post" action="${addressPaths.confirm}">
${forms.hidden(addressPaths.confirm, { state })}
<label for="code">Code</label>
<input id="code" class="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="characters" autocorrect="off" spellcheck="false" maxlength="20" required autofocus aria-describedby="code-hint"${problem !== undefined && html` aria-invalid="true"`}>
<p class="hint" id="code-hint">Six letters and digits. Case and spaces do not matter.</p>
<button class="primary">Change the address</button>
</form>
<div class="after"><a href="/account">Leave it as it is</a></div>
<p class="hint">No mail after a minute? Look among the unwanted ones. If it says that an account has the address already, sign in with that instead.</p>
${hasOutbox && html`<p class="hint outbox">This server sends no mail yet: it writes it to <code>outbox</code> in its data folder, and says in its log where.</p>`}
</section>`;
}

/** Asks whoever followed the link in the mail to the address before. */
export function toUndoBody(forms: FormKit, token: string, change: UndoableChange): Html {
  const { from, to, changedAt, expiresAt } = change;
  return html`<section class="card">
<h1>Take your address back?</h1>
<p class="lead">The account that had <strong class="address">${from}</strong> has the address <strong class="address">${to}</strong> since ${toTime(changedAt, toExactText(changedAt))}.</p>
<p>If you changed it yourself, leave it so. If you did not, take it back: the account has <span class="address">${from}</span> again, whoever is signed in to it is signed out, and the passkeys and linked accounts that were added since are gone. Its address cannot be changed for three days then.</p>
<form method="post" action="${undoPath}">
${forms.hidden(undoPath, { t: token })}
<button class="primary">Take the address back</button>
</form>
<p class="hint">You can do this until ${toTime(expiresAt, toExactText(expiresAt))}.</p>
</section>`;
}

/** What somebody is told who has taken an address back. */
export function toTakenBack(email: string) {
  return {
    told: {
      title: "The address is yours again",
      text: `Sign in with ${email}, and look at your account: its passkeys, linked accounts and organizations.`,
    },
    next: { href: toPath(loginPaths.login, { again: "1" }), label: "Sign in" },
  };
}
