import { findMark } from "../lib/well-known-providers.ts";
import { type Html, html } from "./html.ts";

/** What a button says that leads to a provider: its mark, if it is a known one, and what people call it. */
export function toProviderWay(name: string, label: string): Html {
  const mark = findMark(name);
  return html`${
    mark !== undefined &&
    html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="${mark}"/></svg>`
  }Continue with ${label}`;
}
