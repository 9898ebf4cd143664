import type { FormKit } from "../html/forms.ts";
import { type Html, html } from "../html/html.ts";
import type { Membership } from "../organizations/organization.ts";
import { toSignInAgain } from "./address-view.ts";
import { toMembershipList } from "./organizations-view.ts";

/** Where a form deletes one's account. */
export const leavePath = "/account/delete";

/** The way out, on the page of one's account. @param isRecent whether the session is young enough to take it */
export function toLeave({
  forms,
  email,
  isRecent,
}: {
  readonly forms: FormKit;
  readonly email: string;
  readonly isRecent: boolean;
}): Html {
  return html`<section class="card" aria-labelledby="leave">
<h2 id="leave">Delete your account</h2>
<p class="about">Your passkeys, linked accounts, sessions and memberships go with it, at once and for good.</p>
${isRecent ? toLeaveForm(forms, email) : toSignInAgain("To delete it")}
</section>`;
}

function toLeaveForm(forms: FormKit, email: string): Html {
  return html`<div class="row"><details name="act"><summary>Delete it</summary>
<form method="post" action="${leavePath}" class="inline">
${forms.hidden(leavePath)}
<label for="leave-email">Type <span class="address">${email}</span> to go on</label>
<input id="leave-email" name="email" type="text" inputmode="email" maxlength="254" required autocomplete="off" autocapitalize="none" spellcheck="false">
<button class="small danger">Delete the account for good</button>
</form></details></div>`;
}

/** To somebody who would leave organizations without an owner. */
export function toStillOwnerBody(owned: readonly Membership[]): Html {
  return html`<section class="card">
<h1>These organizations need you</h1>
<p>Nobody else owns them. Make another member an owner of each, or delete it, then delete your account. Nothing has changed.</p>
${toMembershipList(owned)}
<p><a class="button primary" href="/account">Back to your account</a></p>
</section>`;
}
