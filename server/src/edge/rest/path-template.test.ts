import { describe, expect, it } from "vitest";
import { parsePathTemplate } from "./path-template.ts";

function shapeOf(text: string) {
  const { segments, variables, verb } = parsePathTemplate(text);
  return {
    path: segments.map((segment) => ("literal" in segment ? segment.literal : segment.wildcard)).join("/"),
    variables: variables.map(({ fieldPath, start, end }) => `${fieldPath} ${start}-${end ?? ""}`),
    verb,
  };
}

describe("a template", () => {
  it.each([
    ["/a", "a", [], ""],
    ["/a/b:c", "a/b", [], "c"],
    ["/a/*/b", "a/*/b", [], ""],
    ["/a/**", "a/**", [], ""],
    ["/{a}", "*", ["a 0-1"], ""],
    ["/v1/{a.b_c}/d/{e}:f", "v1/*/d/*", ["a.b_c 1-2", "e 3-4"], "f"],
    ["/v1/{a=*}", "v1/*", ["a 1-2"], ""],
    ["/v1/{a=b/*/c/*}/d", "v1/b/*/c/*/d", ["a 1-5"], ""],
    ["/v1/{a=b/**}:c", "v1/b/**", ["a 1-"], "c"],
    ["/v1/{a=**}", "v1/**", ["a 1-"], ""],
    ["/v1/{a=b}", "v1/b", ["a 1-2"], ""],
    ["/.well-known/a~b@c", ".well-known/a~b@c", [], ""],
  ])("%s", (text, path, variables, verb) => {
    expect(shapeOf(text)).toEqual({ path, variables, verb });
  });

  it.each([
    "",
    "a",
    "/",
    "//a",
    "/a/",
    "/a//b",
    "/.",
    "/a/..",
    "/a:",
    "/a:b/c",
    "/a:b:c",
    "/a b",
    "/a%20b",
    "/a?b",
    "/é",
    "/**/a",
    "/{a=**}/b",
    "/***",
    "/a*",
    "/{}",
    "/{a",
    "/a}",
    "/{a}b",
    "/a{b}",
    "/{a}{b}",
    "/{a={b}}",
    "/{a=}",
    "/{a=/b}",
    "/{a=b/}",
    "/{1a}",
    "/{a.}",
    "/{a..b}",
    "/{a-b}",
    "/{a}/{a}",
    "/{a=..}",
  ])("is not %j", (text) => {
    expect(() => parsePathTemplate(text)).toThrow(Error);
  });
});
