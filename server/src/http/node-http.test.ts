import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import {
  joinRepeatedCredentials,
  type NodeRequest,
  readBody,
  toRawPath,
  toRawQuery,
  toWebHeaders,
} from "./node-http.ts";

describe("toRawPath and toRawQuery", () => {
  it.each([
    ["/a/b", "/a/b", ""],
    ["/a?b=c?d", "/a", "b=c?d"],
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

describe("toWebHeaders", () => {
  const convert = (headers: object) => Object.fromEntries(toWebHeaders({ headers } as NodeRequest));

  it("takes HTTP/2's authority for the host, and no other pseudo-header", () => {
    expect(convert({ ":method": "GET", ":authority": "a:1", accept: "b" })).toEqual({
      host: "a:1",
      accept: "b",
    });
    expect(convert({ ":authority": "a:1", host: "forged" })).toEqual({ host: "a:1" });
  });

  it("keeps HTTP/1.1's host and repeated headers", () => {
    expect(convert({ host: "a", "x-b": ["c", "d"], "x-e": undefined })).toEqual({ host: "a", "x-b": "c, d" });
  });
});

describe("readBody", () => {
  function requestOf(content: string[] | Readable, headers = {}) {
    const body =
      content instanceof Readable ? content : Readable.from(content.map((chunk) => Buffer.from(chunk)));
    const sent = { "transfer-encoding": "chunked", ...headers };
    return Object.assign(body, { headers: sent }) as unknown as NodeRequest;
  }

  it("takes a body of exactly the limit", async () => {
    expect(String(await readBody(requestOf(["abc", "de"]), 5))).toBe("abcde");
  });

  it("has none to wait for where none was announced", async () => {
    const silent = new Readable({ read() {} });
    const request = Object.assign(silent, { headers: {} }) as unknown as NodeRequest;
    expect(await readBody(request, 5)).toHaveLength(0);
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
    const reading = readBody(requestOf(body), 5);
    body.push("ab");
    body.destroy();
    await expect(reading).rejects.toThrow("cut off");
  });
});

describe("joinRepeatedCredentials", () => {
  function joined(rawHeaders: string[], first: string | undefined): string | undefined {
    const headers = first === undefined ? {} : { authorization: first };
    const request = { headers, rawHeaders } as unknown as NodeRequest;
    joinRepeatedCredentials(request);
    return request.headers.authorization;
  }

  it.each([
    ["one stays as it is", ["Host", "a", "Authorization", "Basic x"], "Basic x", "Basic x"],
    ["none stays absent", ["Host", "a", "X-Authorization", "Basic x"], undefined, undefined],
    [
      "two are joined",
      ["Authorization", "Basic x", "AUTHORIZATION", "Basic y"],
      "Basic x",
      "Basic x, Basic y",
    ],
    [
      "an equal one counts",
      ["authorization", "Bearer x", "authorization", "Bearer x"],
      "Bearer x",
      "Bearer x, Bearer x",
    ],
    ["an empty one counts", ["authorization", "Bearer x", "authorization", ""], "Bearer x", "Bearer x, "],
  ])("%s", (_, rawHeaders, first, expected) => {
    expect(joined(rawHeaders, first)).toBe(expected);
  });
});
