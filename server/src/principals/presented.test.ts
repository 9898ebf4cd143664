import { describe, expect, it } from "vitest";
import { findCookies } from "../http/node-http.ts";
import { isFromBrowser, readPresentedCredentials } from "./presented.ts";

function basic(text: string | Buffer): string {
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

describe("presented credentials", () => {
  it.each([
    ["a JWT", "Bearer a.b.c", { kind: "access_token", token: "a.b.c" }],
    ["any case of the scheme", "bEaReR a.b.c", { kind: "access_token", token: "a.b.c" }],
    ["an opaque token", "Bearer vstt_abc", { kind: "opaque_token", token: "vstt_abc" }],
    ["a personal access token", "Bearer vstu_abc", { kind: "personal_token", token: "vstu_abc" }],
    ["one that only begins alike", "Bearer vstuabc", { kind: "opaque_token", token: "vstuabc" }],
    ["a dotted text that is no JWT", "Bearer a.b", { kind: "opaque_token", token: "a.b" }],
    ["basic", basic("id:secret"), { kind: "basic", id: "id", secret: "secret" }],
    [
      "basic in capitals",
      basic("id:secret").toUpperCase().slice(0, 5) + basic("id:secret").slice(5),
      { kind: "basic", id: "id", secret: "secret" },
    ],
    ["a secret with colons", basic("id:a:b:"), { kind: "basic", id: "id", secret: "a:b:" }],
    ["a secret in UTF-8", basic("id:pässwörd"), { kind: "basic", id: "id", secret: "pässwörd" }],
    ["an empty secret", basic("id:"), { kind: "basic", id: "id", secret: "" }],
  ])("reads %s", (_name, authorization, expected) => {
    expect(readPresentedCredentials(new Headers({ authorization }), [])).toEqual([expected]);
  });

  it.each([
    ["an empty header", ""],
    ["a lone scheme", "Bearer"],
    ["an unknown scheme", "Digest abc"],
    ["basic that is not base64", "Basic ***"],
    ["basic without a colon", basic("secret")],
    ["basic that is not UTF-8", basic(Buffer.from([0xff, 0x3a, 0xff]))],
  ])("marks %s as malformed", (_name, authorization) => {
    expect(readPresentedCredentials(new Headers({ authorization }), [])).toMatchObject([
      { kind: "malformed" },
    ]);
  });

  it("does not read two Authorization headers as one good one", () => {
    const header = new Headers({ authorization: basic("id:secret") });
    header.append("authorization", "Bearer a.b.c");
    expect(readPresentedCredentials(header, [])).toMatchObject([{ kind: "malformed" }]);
  });

  it("reads every credential on the request, of its session cookies those that count", () => {
    const header = new Headers({
      authorization: "Bearer x",
      "x-user-token": "a.b.c",
      cookie: "a=1; sid=s1; sid=s2; sid=s3",
    });
    expect(readPresentedCredentials(header, ["s1", "s2"])).toEqual([
      { kind: "opaque_token", token: "x" },
      { kind: "access_token", token: "a.b.c" },
      { kind: "session", cookie: "s1" },
      { kind: "session", cookie: "s2" },
    ]);
  });

  it.each([
    ["nothing of the kind", {}, false],
    ["other headers", { cookie: "sid=x", referer: "https://a.example/", "x-sec-fetch-site": "a" }, false],
    ["an origin", { origin: "https://a.example" }, true],
    ["the opaque origin", { origin: "null" }, true],
    ["what a page asks for", { "sec-fetch-site": "same-origin" }, true],
    ["what browsers may say one day", { "Sec-Fetch-Storage-Access": "none" }, true],
  ] as const)("takes a request for a browser's or not by its headers: %s", (_, headers, expected) => {
    expect(isFromBrowser(new Headers(headers))).toBe(expected);
  });

  it("tells a cookie's name from the end of another's", () => {
    expect(findCookies(new Headers({ cookie: "xsid=1; sid_=2" }), "sid")).toEqual([]);
    // To a browser these are other names, which a neighbour may set.
    for (const space of ["\u00a0", "\u0085", " \u00a0", "\u00a0 "]) {
      const cookie = `a=1;${space}__Host-vestibule-bind=2; =${space}sid=3`;
      expect(findCookies(new Headers({ cookie }), "__Host-vestibule-bind"), JSON.stringify(space)).toEqual(
        [],
      );
      expect(findCookies(new Headers({ cookie }), "sid")).toEqual([]);
    }
    expect(findCookies(new Headers({ cookie: "a=1;sid=2;\t sid=3 \t" }), "sid")).toEqual(["2", "3"]);
    expect(findCookies(new Headers(), "sid")).toEqual([]);
  });
});
