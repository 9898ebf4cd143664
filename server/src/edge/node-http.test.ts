import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { type NodeRequest, readBody, toRawPath, toRawQuery } from "./node-http.ts";

describe("toRawPath and toRawQuery", () => {
  it.each([
    ["/a/b", "/a/b", ""],
    ["/a?b=c?d", "/a", "b=c?d"],
    ["/a#b?c", "/a", ""],
    ["/%2e%2e/a", "/%2e%2e/a", ""],
    ["//host/a", "//host/a", ""],
    ["http://host:80/a?b", "/a", "b"],
    ["http://host", "", ""],
    ["*", "*", ""],
    ["/%", "/%", ""],
    [undefined, "", ""],
  ])("splits %j", (target, path, query) => {
    expect(toRawPath(target)).toBe(path);
    expect(toRawQuery(target)).toBe(query);
  });
});

describe("readBody", () => {
  function requestOf(chunks: string[], headers = {}) {
    const body = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
    return Object.assign(body, { headers }) as unknown as NodeRequest;
  }

  it("takes a body of exactly the limit", async () => {
    expect(String(await readBody(requestOf(["abc", "de"]), 5))).toBe("abcde");
  });

  it("refuses a byte more", async () => {
    await expect(readBody(requestOf(["abc", "def"]), 5)).rejects.toMatchObject({
      reason: "REQUEST_TOO_LARGE",
    });
  });

  it("refuses by the announced length", async () => {
    const request = requestOf([], { "content-length": "6" });
    await expect(readBody(request, 5)).rejects.toMatchObject({ reason: "REQUEST_TOO_LARGE" });
  });

  it("says so when the sender goes away", async () => {
    const body = new Readable({ read() {} });
    const reading = readBody(Object.assign(body, { headers: {} }) as unknown as NodeRequest, 5);
    body.push("ab");
    body.destroy();
    await expect(reading).rejects.toThrow("cut off");
  });
});
