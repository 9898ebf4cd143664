import { describe, expect, it } from "vitest";
import { createBrowsers } from "../auth/browser-sign-in.ts";
import type { PlainRequest } from "../http/plain-route.ts";
import { toFormToken } from "./form-token.ts";
import { openForms, readField, readForm } from "./forms.ts";

const publicUrl = "https://id.example.org";
const browser = Buffer.alloc(32, 1).toString("base64url");
const stranger = Buffer.alloc(32, 2).toString("base64url");
const path = "/account/sign-out";

function post(fields: Record<string, string> | string, header: Record<string, string> = {}): PlainRequest {
  return {
    method: "POST",
    path,
    query: new URLSearchParams(),
    header: new Headers({
      cookie: `__Host-vestibule_browser=${browser}`,
      origin: publicUrl,
      "content-type": "application/x-www-form-urlencoded",
      ...header,
    }),
    body: Buffer.from(typeof fields === "string" ? fields : new URLSearchParams(fields).toString()),
    info: { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} },
  };
}

const token = toFormToken(browser, path);
const browsers = createBrowsers({ secure: true, crossSite: false });
const read = (request: PlainRequest) => readField(readForm(request, publicUrl, browsers), "id");

describe("a form", () => {
  it("is read when it comes from our page in this browser", () => {
    expect(read(post({ token, id: "1" }))).toBe("1");
    const withoutOrigin = post({ token, id: "1" }, { "sec-fetch-site": "same-origin" });
    withoutOrigin.header.delete("origin");
    expect(read(withoutOrigin)).toBe("1");
  });

  it("carries the token that it is read with", () => {
    const { hidden, setCookies } = openForms({ ...post(""), method: "GET" }, browsers);
    expect(hidden(path, { id: "1", none: undefined, empty: "" }).toString()).toBe(
      `<input type="hidden" name="token" value="${token}"><input type="hidden" name="id" value="1">`,
    );
    expect(setCookies).toEqual([
      expect.stringMatching(`^vestibule_browser=${browser};.*HttpOnly.*Secure`),
      expect.stringMatching(`^__Host-vestibule_browser=${browser};.*HttpOnly.*Secure`),
    ]);
  });

  it("is opened for HEAD without a cookie", () => {
    expect(openForms({ ...post(""), method: "HEAD" }, browsers).setCookies).toEqual([]);
  });

  it.each([
    ["no token", post({ id: "1" })],
    ["another browser's token", post({ token: toFormToken(stranger, path), id: "1" })],
    ["another form's token", post({ token: toFormToken(browser, "/account/passkeys/remove"), id: "1" })],
    ["no cookie", post({ token, id: "1" }, { cookie: "" })],
    [
      "a cookie that a neighbour can set",
      post({ token, id: "1" }, { cookie: `vestibule_browser=${browser}` }),
    ],
    ["a sibling's origin", post({ token, id: "1" }, { origin: "https://evil.example.org" })],
    ["the origin null", post({ token, id: "1" }, { origin: "null" })],
    [
      "a sibling's origin that claims to be the same",
      post({ token }, { origin: "http://id.example.org", "sec-fetch-site": "same-origin" }),
    ],
  ])("is refused with %s", (_, request) => {
    expect(() => read(request)).toThrow(expect.objectContaining({ reason: "CROSS_ORIGIN" }));
  });

  it("is refused without an origin from another site", () => {
    for (const site of [undefined, "same-site", "cross-site", "none"]) {
      const request = post({ token, id: "1" }, site === undefined ? {} : { "sec-fetch-site": site });
      request.header.delete("origin");
      expect(() => read(request)).toThrow(expect.objectContaining({ reason: "CROSS_ORIGIN" }));
    }
  });

  it.each([
    ["JSON", post({ token }, { "content-type": "application/json" })],
    ["text", post({ token }, { "content-type": "text/plain" })],
    ["a field twice", post(`token=${token}&id=1&id=2`)],
    ["a field too long", post({ token, id: "x".repeat(8193) })],
    ["a field with a NUL", post({ token, id: "a\0b" })],
  ])("is refused as %s", (_, request) => {
    expect(() => read(request)).toThrow(expect.objectContaining({ reason: "INVALID_REQUEST" }));
  });
});
