import type { FormKit } from "../html/forms.ts";
import { type Html, html } from "../html/html.ts";
import { longestTitle } from "../lib/title.ts";
import type { Standing } from "../organizations/member-service.ts";

/** Paths of the forms by which people say what they, and their organizations, are called. */
export const titlePaths = {
  person: "/account/title",
  organization: "/account/organization/title",
} as const;

/** What a person is called, on the page of their account. */
export function toOwnTitle({ forms, title }: { readonly forms: FormKit; readonly title: string }): Html {
  return html`<section class="card" aria-labelledby="own-title">
<h2 id="own-title">Your name</h2>
<p class="about">Shown to those who share an organization with you, and to apps that you sign in to.</p>
<form method="post" action="${titlePaths.person}">
${forms.hidden(titlePaths.person)}
<label for="title">What you are called</label>
<input id="title" name="title" dir="auto" value="${title}" maxlength="${longestTitle}" autocomplete="name">
<button>Change name</button>
</form>
</section>`;
}

/** What an organization is called, for those who may change it. */
export function toOrganizationTitle(view: { readonly forms: FormKit; readonly standing: Standing }): Html {
  const { id, title } = view.standing.organization;
  return html`<section class="card" aria-labelledby="its-title">
<h2 id="its-title">Its name</h2>
<form method="post" action="${titlePaths.organization}">
${view.forms.hidden(titlePaths.organization, { id })}
<label for="title">What it is called</label>
<input id="title" name="title" dir="auto" value="${title}" maxlength="${longestTitle}" autocomplete="organization">
<button>Change name</button>
</form>
</section>`;
}
