import { type Html, html } from "./html.ts";

/** A page that says one thing: a heading, a text, and what to do next. */
export function toMessageBody(
  { title, text }: { readonly title: string; readonly text: string },
  next: { readonly href: string; readonly label: string },
): Html {
  return html`<section class="card">
<h1>${title}</h1>
<p>${text}</p>
<p><a class="button primary" href="${next.href}">${next.label}</a></p>
</section>`;
}
