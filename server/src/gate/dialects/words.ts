/** Pages that say something in words: what the gate refuses, and what has become of a sign-in. */
import type { HtmlPage } from "../../html/frame.ts";
import { html } from "../../html/html.ts";

/** What is said, and perhaps a way on. */
export interface Words {
  readonly title: string;
  readonly text: string;
  readonly next?: { readonly href: string; readonly label: string } | undefined;
  /** Another way on, of less weight. */
  readonly otherwise?: { readonly href: string; readonly label: string } | undefined;
}

/** Words about a refusal. */
export interface RefusalWords extends Words {
  readonly status: number;
  readonly retryAfterSeconds?: number | undefined;
}

/** What a page of words is about. */
export interface WordsAbout {
  readonly requestId: string;
  /** Whose owner is to be asked about a refusal; absent where it is not known. */
  readonly host?: string | undefined;
}

/** The page of words. */
export function toWordsPage(words: Words | RefusalWords, { requestId, host }: WordsAbout): HtmlPage {
  const { title, text, next, otherwise } = words;
  const refusal = "status" in words ? { ...words, requestId } : undefined;
  return {
    title,
    refusal,
    body: html`<section class="card">
<h1>${title}</h1>
<p>${text}</p>
${next && html`<p><a class="button primary" href="${next.href}">${next.label}</a></p>`}
${otherwise && html`<p><a class="button" href="${otherwise.href}">${otherwise.label}</a></p>`}
${
  refusal !== undefined &&
  host !== undefined &&
  html`<p>If that comes as a surprise, ask whoever runs <strong>${host}</strong>, and tell them which request it was.</p>`
}
</section>`,
  };
}
