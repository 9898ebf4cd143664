/** Pages that say one thing. */
import { type Html, html } from "./html.ts";
import { loginPaths } from "./login-view.ts";

/** A heading, a text, and what to do next. */
export function toMessageBody(
  { title, text }: { readonly title: string; readonly text: string },
  next: { readonly href: string; readonly label: string } = {
    href: loginPaths.login,
    label: "Go to sign-in",
  },
): Html {
  return html`<section class="card">
<h1>${title}</h1>
<p>${text}</p>
<p><a class="button primary" href="${next.href}">${next.label}</a></p>
</section>`;
}

/** For a link that was opened in another browser than the sign-in began in. */
export function toOtherBrowserBody(): Html {
  return html`<section class="card">
<h1>Go back to where you began</h1>
<p>This sign-in began in another browser, and can only be finished there.</p>
<ol>
<li>Go back to the browser or device where you asked for the mail.</li>
<li>Type the code that is in the same mail as the link.</li>
</ol>
<p class="hint">If you did not ask for a mail, close this page: nothing has happened.</p>
</section>`;
}
