import { type Html, html } from "../html/html.ts";
import { toExactText } from "./texts.ts";

/** A time as a text says it, to the minute for whoever points at it. */
export function toTime(at: Date, text: string): Html {
  return html`<time datetime="${at.toISOString()}" title="${toExactText(at)}">${text}</time>`;
}
