import { expect, it } from "vitest";
import { html } from "./html.ts";

it("escapes texts, in text and in attributes", () => {
  const hostile = `"><script>alert('1')</script>&amp;\``;
  expect(html`<p title="${hostile}">${hostile}</p>`.toString()).toBe(
    '<p title="&#34;&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;amp;&#96;">' +
      "&#34;&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;amp;&#96;</p>",
  );
});

it("takes markup of its own kind, lists and numbers; leaves nothing for what is absent", () => {
  const items = ["a", "<b>"].map((one) => html`<li>${one}</li>`);
  expect(html`<ul>${items}</ul>${0}${undefined}${false}`.toString()).toBe(
    "<ul><li>a</li><li>&#60;b&#62;</li></ul>0",
  );
});

it("does not take for markup what only looks like it", () => {
  const forged = { toString: () => "<b>" } as unknown as string;
  expect(() => html`<p>${forged}</p>`).toThrow();
});

it("refuses an attribute whose value has no quotes", () => {
  expect(() => html`<a href=${"x"}>`).toThrow("quotes");
  expect(() => html`<a href= ${"x"}>`).toThrow("quotes");
});
