import { type Html, html } from "../html/html.ts";

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
