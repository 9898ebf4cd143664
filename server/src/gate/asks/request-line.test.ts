import { describe, expect, it } from "vitest";
import { findForwarded, findOriginal, findRepeated } from "./request-line.ts";

describe("nginx's", () => {
  const original = ["X-Original-URL", "https://app.test/a?b", "X-Original-Method", "GET"];

  it("is taken apart where the path begins", () => {
    const line = { scheme: "https", host: "app.test", method: "GET", target: "/a?b" };
    expect(findOriginal(original)).toEqual(line);
    expect(findOriginal(["x-original-method", "GET", "X-ORIGINAL-URL", "https://app.test/a?b"])).toEqual(
      line,
    );
  });

  it.each([
    ["https://a@app.test/h", "a@app.test", "/h"],
    ["https://app.test:443//x", "app.test:443", "//x"],
    // What nginx makes of an absolute form: `$scheme://$host$request_uri`.
    ["https://other.testhttp://other.test/abs", "other.testhttp:", "//other.test/abs"],
    ["https:///x", "", "/x"],
    ["https://app.test?x=/y", "app.test?x=", "/y"],
  ])("of %s has the host %s", (url, host, target) => {
    expect(findOriginal(["X-Original-URL", url, "X-Original-Method", "GET"])).toMatchObject({ host, target });
  });

  it.each([
    ["without a URL", ["X-Original-Method", "GET"]],
    ["without a method", ["X-Original-URL", "https://app.test/"]],
    ["with two URLs", [...original, "X-Original-URL", "https://app.test/public"]],
    ["with the same URL twice", [...original, "x-original-url", "https://app.test/a?b"]],
    ["with two methods", [...original, "x-original-method", "GET"]],
    ["with a URL that has no path", ["X-Original-URL", "https://app.test", "X-Original-Method", "GET"]],
    ["with no URL at all in it", ["X-Original-URL", "/a", "X-Original-Method", "GET"]],
    ["with the other dialects' headers", ["X-Forwarded-Uri", "/a", "X-Forwarded-Method", "GET"]],
  ])("is none %s", (_, lines) => {
    expect(findOriginal(lines)).toBeUndefined();
  });
});

describe("Traefik's and Caddy's", () => {
  const forwarded = [
    ["X-Forwarded-Method", "POST"],
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "app.test"],
    ["X-Forwarded-Uri", "/a?b"],
  ];

  it("is in four headers, whatever the others say", () => {
    const lines = [
      ...forwarded,
      ["X-Original-URL", "https://evil.test/"],
      ["X-Forwarded-Prefix", "/p"],
    ].flat();
    expect(findForwarded(lines)).toEqual({
      scheme: "https",
      host: "app.test",
      method: "POST",
      target: "/a?b",
    });
  });

  it.each(forwarded)("is none without %s, or with two", (name, value) => {
    const others = forwarded.filter(([each]) => each !== name).flat();
    expect(findForwarded(others)).toBeUndefined();
    expect(
      findForwarded([...others, name ?? "", value ?? "", name?.toLowerCase() ?? "", value ?? ""]),
    ).toBeUndefined();
  });
});

describe("Envoy's", () => {
  it.each([
    ["HTTP/1.1", ["Host", "app.test"]],
    ["HTTP/2", [":authority", "app.test", ":path", "/x"]],
  ])("is its own, by %s", (_, lines) => {
    expect(findRepeated("PUT", "/a?b", [...lines, "x-forwarded-proto", "https"])).toEqual({
      scheme: "https",
      host: "app.test",
      method: "PUT",
      target: "/a?b",
    });
    expect(findRepeated("PUT", "/a?b", lines)).toMatchObject({ scheme: undefined, host: "app.test" });
  });

  it("is none without a host or with two kinds of it, and of several no host is made", () => {
    expect(findRepeated("GET", "/", [])).toBeUndefined();
    expect(findRepeated("GET", "/", ["host", "app.test", ":authority", "app.test"])).toBeUndefined();
    expect(findRepeated("GET", "/", ["host", "app.test", "Host", "app.test"])).toMatchObject({
      host: "app.test, app.test",
    });
    expect(
      findRepeated("GET", "/", ["host", "a", "x-forwarded-proto", "https", "x-forwarded-proto", "http"]),
    ).toMatchObject({ scheme: "https, http" });
  });
});
