import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../../test/parts/eventually.ts";
import { type Received, type RunningEdge, send, sendJson, startEdge } from "../test-support.ts";
import { libraryServices } from "./test-support.ts";

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({ services: libraryServices, frontierMethods: [] });
});
afterAll(() => edge.close());

const token = { authorization: "Bearer good" };
const json = { "content-type": "application/json" };
const book = "/library/shelves/s1/books/b1";
const books = "/library/shelves/s1/books";

function get(target: string, headers: Record<string, string> = token) {
  return send(edge.http1, "GET", target, headers);
}

function write(method: string, target: string, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return send(edge.http1, method, target, { ...token, ...json, ...headers }, text);
}

function bodyOf(answer: Received) {
  return JSON.parse(answer.body);
}

const wholeBook = {
  id: "b1",
  fullTitle: "A book",
  lendable: false,
  pages: 0,
  binding: "BINDING_UNSPECIFIED",
  authors: [{ name: "A", rank: 1 }],
  createdAt: "2023-11-14T22:13:20.005Z",
};

describe("annotations", () => {
  it("binds path variables, answers implicit values and the handler's headers", async () => {
    const answer = await get(book);
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        "content-type": "application/json",
        "cache-control": "no-store",
        etag: '"1"',
        vary: "Origin, Accept",
        "x-content-type-options": "nosniff",
        "x-request-id": expect.any(String),
      },
    });
    expect(bodyOf(answer)).toEqual(wholeBook);
  });

  it("answers additional bindings alike", async () => {
    expect(bodyOf(await get("/library/v0/s1/b1/whole"))).toEqual(wholeBook);
  });

  it("answers HEAD as GET, without the body", async () => {
    const answer = await send(edge.http1, "HEAD", book, token);
    expect(answer).toMatchObject({ status: 200, body: "", headers: { etag: '"1"' } });
    expect(Number(answer.headers["content-length"])).toBe(JSON.stringify(wholeBook).length);
  });

  describe("with If-None-Match", () => {
    const read = (path: string, tag: string, method = "GET") =>
      send(edge.http1, method, path, { ...token, "if-none-match": tag });

    it.each(['"1"', 'W/"1"', '"0", "1"', "*"])("answers 304 to who knows it (%s)", async (tag) => {
      for (const method of ["GET", "HEAD"]) {
        const answer = await read(book, tag, method);
        expect(answer).toMatchObject({
          status: 304,
          body: "",
          headers: { etag: '"1"', "cache-control": "no-store", vary: "Origin, Accept" },
        });
        expect(answer.headers["content-type"]).toBeUndefined();
      }
    });

    it.each(['"0"', "1", ""])("answers who knows another state (%s)", async (tag) => {
      expect(bodyOf(await read(book, tag))).toEqual(wholeBook);
    });

    it("makes a weak tag where the handler has none, the same for HAL", async () => {
      const path = "/library/kinds/atlas/schema";
      const { etag = "" } = (await get(path)).headers;
      expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
      const hal = await send(edge.http1, "GET", path, { ...token, accept: "application/hal+json" });
      expect(hal.headers.etag).toBe(etag);
      expect((await read(path, String(etag))).status).toBe(304);
      expect((await read("/library/kinds", String(etag))).status).toBe(200);
    });

    it("is looked at after everything else, and not by lists and writes", async () => {
      expect((await send(edge.http1, "GET", book, { "if-none-match": "*" })).status).toBe(401);
      const page = await read(books, "*");
      expect(page.status).toBe(200);
      expect(page.headers.etag).toBeUndefined();
      const patched = await send(edge.http1, "PATCH", book, { ...token, "if-none-match": "*" });
      expect(patched.status).toBe(200);
    });
  });

  it("takes a body into a field, and answers the declared status", async () => {
    const answer = await write("POST", `${books}?dryRun=true`, { fullTitle: "New" });
    expect(answer).toMatchObject({
      status: 201,
      headers: { location: "/library/shelves/s1/books/new", etag: '"1"' },
    });
    expect(bodyOf(answer)).toMatchObject({ id: "new", fullTitle: "New" });
  });

  it("takes a body into the message, by presence", async () => {
    const note = async (body: unknown) => JSON.parse(bodyOf(await write("PATCH", book, body)).note);
    expect(await note({ fullTitle: "B" })).toEqual({ fullTitle: "B" });
    expect(await note({ lendable: false, data: { a: null, b: [1, {}] } })).toEqual({
      lendable: false,
      data: { a: null, b: [1, {}] },
    });
    expect(await note({ fullTitle: null })).toEqual({});
    expect(await note("")).toEqual({});
  });

  it("binds a variable inside the body's field", async () => {
    expect(bodyOf(await write("PUT", book, { fullTitle: "C" }))).toMatchObject({ id: "b1", fullTitle: "C" });
    expect(bodyOf(await write("PUT", book, { id: "b1", fullTitle: "C" }))).toMatchObject({ id: "b1" });
  });

  it("answers 204 with nothing where there is nothing to say", async () => {
    const answer = await send(edge.http1, "DELETE", book, token);
    expect(answer).toMatchObject({ status: 204, body: "" });
    expect(answer.headers["content-type"]).toBeUndefined();
    expect(answer.headers["content-length"]).toBeUndefined();
  });

  it("knows verbs", async () => {
    const id = "019a0000-0000-7000-8000-000000000001";
    expect(bodyOf(await write("POST", `${books}/${id}:lend`, { period: "3.5s" }))).toEqual({
      until: "2023-11-14T22:13:20.005Z",
    });
    expect(bodyOf(await get(`${books}:count`))).toEqual({ count: "9007199254740993" });
    expect((await write("POST", `${books}/${id}:burn`, {})).status).toBe(404);
    expect((await write("POST", `${books}/${id}:`, {})).status).toBe(404);
    expect((await write("POST", `${books}/${id}%3Alend`, {})).status).toBe(405);
    expect((await get(`${book}%3Acount`)).status).toBe(200);
  });

  it("answers one field as the body", async () => {
    expect(bodyOf(await get("/library/kinds"))).toEqual([{ name: "atlas", displayName: "" }]);
    expect(bodyOf(await get("/library/kinds/atlas/schema"))).toEqual({ type: "object", required: [] });
    expect(bodyOf(await get("/library/kinds/novel/schema"))).toEqual({});
  });

  it("binds several segments, and the rest of a path", async () => {
    const nameOf = async (path: string) => bodyOf(await get(path)).name;
    expect(await nameOf("/library/names/shelves/s%201/books/b1")).toBe("shelves/s 1/books/b1");
    expect(await nameOf("/library/files/a/b/c")).toBe("a/b/c");
    expect(await nameOf("/library/files/a%20b/c")).toBe("a b/c");
    expect(await nameOf("/library/files")).toBe("");
    expect(await nameOf("/library/any/thing/x")).toBe("x");
    expect((await get("/library/names/shelves/s1/books")).status).toBe(404);
    expect((await get("/library/names/shelves/s1/books/b1/c")).status).toBe(404);
  });

  it("takes other HTTP methods, by name and any", async () => {
    const methodOf = async (method: string, path: string) =>
      bodyOf(await send(edge.http1, method, path, token)).httpMethod;
    expect(await methodOf("REPORT", "/library/echo/1")).toBe("REPORT");
    for (const method of ["GET", "DELETE", "PURGE"]) {
      expect(await methodOf(method, "/library/any-method")).toBe(method);
    }
  });

  it("hands the request's headers to the handler", async () => {
    expect(bodyOf(await get("/library/echo/1", { "if-match": '"7"' })).ifMatch).toBe('"7"');
  });

  it("refuses a body where none is expected, and takes an empty one", async () => {
    expect(await write("DELETE", book, {})).toMatchObject({ status: 400 });
    expect((await write("DELETE", book, "")).status).toBe(204);
  });
});

describe("query parameters", () => {
  async function echo(query: string) {
    const answer = await get(`/library/echo/1?${query}`);
    const { request } = bodyOf(answer);
    return request ?? bodyOf(answer);
  }

  it.each([
    ["long=-9007199254740993", { long: "-9007199254740993" }],
    ["unsigned=4294967295", { unsigned: 4294967295 }],
    ["ratio=-1.5e3", { ratio: -1500 }],
    ["flag=true", { flag: true }],
    ["flag=false", { flag: false }],
    ["text=a+b%2Bc%20d%3D", { text: "a b+c d=" }],
    ["text=a=b", { text: "a=b" }],
    ["text=%E2%82%AC", { text: "€" }],
    ["text", { text: "" }],
    ["&&text=a&", { text: "a" }],
    ["maybe=", { maybe: "" }],
    ["blob=aGk%3D", { blob: "aGk=" }],
    ["binding=BINDING_SOFT", { binding: "BINDING_SOFT" }],
    ["binding=1", { binding: "BINDING_HARD" }],
    ["tags=a&tags=b&tags=a", { tags: ["a", "b", "a"] }],
    ["counts=1&counts=-2", { counts: [1, -2] }],
    ["bindings=BINDING_HARD&bindings=2", { bindings: ["BINDING_HARD", "BINDING_SOFT"] }],
    ["at=2026-01-02T03:04:05.006Z", { at: "2026-01-02T03:04:05.006Z" }],
    ["span=1.500s", { span: "1.500s" }],
    ["wrapped=false", { wrapped: false }],
    ["wrappedText=", { wrappedText: "" }],
    ["wrapped_text=x", { wrappedText: "x" }],
    ["mask=fullTitle,data", { mask: "fullTitle,data" }],
    ["nestedOne.innerText=x", { nestedOne: { innerText: "x", innerCounts: [] } }],
    [
      "nested_one.inner_counts=1&nestedOne.innerCounts=2",
      { nestedOne: { innerText: "", innerCounts: [1, 2] } },
    ],
    [
      "nestedOne.below.innerText=y",
      { nestedOne: { innerText: "", innerCounts: [], below: { innerText: "y", innerCounts: [] } } },
    ],
    ["thisOne=4", { thisOne: 4 }],
    ["number=1", { number: 1 }],
    ["number=01", { number: 1 }],
  ])("reads %s", async (query, expected) => {
    expect(await echo(query)).toMatchObject({ number: 1, ...expected });
  });

  it("leaves optional fields absent", async () => {
    const request = await echo("");
    expect(Object.keys(request)).not.toContain("maybe");
    expect(request).toMatchObject({ text: "", tags: [], labels: {} });
  });

  it.each([
    ["long=1.5", "long must be of integer"],
    ["long=9223372036854775808", "long must be of integer"],
    ["unsigned=-1", "unsigned must be of integer"],
    ["counts=1&counts=x", "counts must be of integer"],
    ["counts=0x10", "counts must be of integer"],
    ["counts=", "counts must be of integer"],
    ["ratio=1,5", "ratio must be of number"],
    ["ratio=NaN", "ratio must be of number"],
    ["flag=yes", "flag must be of boolean"],
    ["flag=", "flag must be of boolean"],
    ["flag=TRUE", "flag must be of boolean"],
    ["blob=%2A", "blob must be of base64"],
    ["binding=BINDING_MAGIC", "binding must be one of BINDING_UNSPECIFIED, BINDING_HARD, BINDING_SOFT"],
    ["at=yesterday", "at must be of date-time"],
    ["at=2026-02-31", "at must be of date-time"],
    ["span=1h", "span must be of duration"],
    ["wrapped=1", "wrapped must be of boolean"],
    ["nested_one.inner_counts=z", "nested_one.inner_counts must be of integer"],
    ["text=a&text=b", "text is given more than once"],
    ["wrappedText=a&wrapped_text=b", "wrapped_text is given more than once"],
    ["nothing=1", "nothing is not expected"],
    ["nestedOne=1", "nestedOne is not expected"],
    ["nestedOne.nothing=1", "nestedOne.nothing is not expected"],
    ["nestedOne.innerText.more=1", "nestedOne.innerText.more is not expected"],
    ["labels=1", "labels is not expected"],
    ["labels.a=1", "labels.a is not expected"],
    ["any=1", "any is not expected"],
    ["any.stringValue=1", "any.stringValue is not expected"],
    ["at.seconds=1", "at.seconds is not expected"],
    ["stamp=1", "stamp is not expected"],
    ["constructor=1", "constructor is not expected"],
    ["__proto__=1", "__proto__ is not expected"],
    ["=1", "query is not expected"],
    ["number=2", "number must be equal to the one in the path"],
    ["thisOne=4&thatOne=x", "thatOne excludes another that is given"],
  ])("refuses %s", async (query, expected) => {
    const { error, message, details } = await echo(query);
    expect({ error, message }).toEqual({
      error: "invalid_request",
      message: `Value for ${expected}`,
    });
    expect(details).toHaveLength(1);
  });

  it("refuses escapes that are not UTF-8", async () => {
    for (const query of ["text=%zz", "text=%ff", "%c0%af=1", "text=%"]) {
      expect(await echo(query)).toEqual({
        error: "invalid_request",
        message: "query has an escape that is not UTF-8",
      });
    }
  });

  it("takes none beside a body that is the message, and no part of a body's field", async () => {
    expect(bodyOf(await write("POST", "/library/echo/1?text=a", {})).message).toBe(
      "Value for text is not expected",
    );
    expect(bodyOf(await write("POST", `${books}?book.fullTitle=x`, {})).message).toBe(
      "Value for book.fullTitle is not expected",
    );
  });
});

describe("bodies", () => {
  it("takes every type", async () => {
    const sent = {
      number: 1,
      long: "5",
      unsigned: 6,
      ratio: 1.5,
      flag: true,
      text: "€😀\n",
      maybe: "",
      blob: "aGk=",
      binding: "BINDING_HARD",
      tags: ["a"],
      counts: [1],
      bindings: ["BINDING_SOFT"],
      at: "2026-01-02T03:04:05Z",
      span: "2s",
      wrapped: true,
      wrappedText: "w",
      mask: "a,bC",
      nestedOne: { innerText: "x", innerCounts: [2] },
      labels: { constructor: "c" },
      shelves: { "a.b": { innerText: "", innerCounts: [] } },
      thatOne: "z",
      any: [null, { a: 1 }],
    };
    expect(bodyOf(await write("POST", "/library/echo/1", sent)).request).toEqual({ ...sent, stamp: "" });
  });

  it("takes the schema's names too, a charset, and a list as a field", async () => {
    const answer = await write(
      "POST",
      "/library/echo/1",
      { nested_one: { inner_text: "x" } },
      {
        "content-type": 'Application/JSON; Charset="UTF-8"',
      },
    );
    expect(bodyOf(answer).request.nestedOne.innerText).toBe("x");
    expect(bodyOf(await write("POST", "/library/echo/1/tags", ["a", "b"])).request.tags).toEqual(["a", "b"]);
  });

  it("ignores output-only fields, of whatever type and depth", async () => {
    const answer = await write("POST", books, {
      fullTitle: "x",
      createdAt: 5,
      created_at: {},
      authors: [{ name: "n", rank: "first" }],
      earlier: { fullTitle: "y", createdAt: [] },
    });
    expect(answer.status).toBe(201);
    expect(bodyOf(answer)).toMatchObject({ authors: [{ name: "n", rank: 0 }] });
    expect(bodyOf(answer)).not.toHaveProperty("createdAt");
  });

  it.each([
    ['{"number":1}', undefined],
    ['{"number":"1"}', undefined],
    ['{"number":1.0}', undefined],
    ['{"number":null}', undefined],
    ['{"number":2}', "number must be equal to the one in the path"],
    ['{"number":[1]}', "number must be equal to the one in the path"],
    ['{"number":""}', "number must be equal to the one in the path"],
    ['{"flag":"true"}', "flag must be of boolean"],
    ['{"text":1}', "text must be of string"],
    ['{"unsigned":-1}', "unsigned must be of integer"],
    ['{"counts":[1,1.5]}', "counts[1] must be of integer"],
    ['{"counts":1}', "counts must be of array"],
    ['{"counts":[null]}', "counts[0] must be of integer"],
    ['{"ratio":"much"}', "ratio must be of number"],
    ['{"blob":"*"}', "blob must be of base64"],
    ['{"binding":"NO"}', "binding must be one of BINDING_UNSPECIFIED, BINDING_HARD, BINDING_SOFT"],
    ['{"at":"2026-13-01T00:00:00Z"}', "at must be of date-time"],
    ['{"span":{}}', "span must be of duration"],
    ['{"wrapped":"x"}', "wrapped must be of boolean"],
    ['{"nestedOne":[]}', "nestedOne must be of object"],
    ['{"nestedOne":{"below":{"innerText":1}}}', "nestedOne.below.innerText must be of string"],
    ['{"nested_one":{"inner_counts":["a"]}}', "nested_one.inner_counts[0] must be of integer"],
    ['{"labels":[]}', "labels must be of object"],
    ['{"labels":{"a":1}}', "labels.a must be of string"],
    ['{"shelves":{"a":{"innerText":1}}}', "shelves.a.innerText must be of string"],
    ['{"nothing":1}', "nothing is not expected"],
    ['{"nestedOne":{"nothing":1}}', "nestedOne.nothing is not expected"],
    ['{"constructor":1}', "constructor is not expected"],
    ['{"thisOne":1,"thatOne":"a"}', "thatOne excludes another that is given"],
    ['{"wrappedText":"a","wrapped_text":"a"}', "wrapped_text is given more than once"],
    ['{"text":"a","text":"a"}', "text is given more than once"],
    ['{"text":"a","t\\u0065xt":"a"}', "text is given more than once"],
    ['{"any":{"a":[{"b":1,"b":2}]}}', "any.a[0].b is given more than once"],
    ['{"__proto__":{}}', "__proto__ is not expected"],
    ['{"any":[{"__pro\\u0074o__":1}]}', "any[0].__proto__ is not expected"],
    ['{"any":"\\ud800"}', "any must be valid Unicode text"],
    ['{"labels":{"\\udfff":"a"}}', "labels must be valid Unicode text"],
    ["[]", "body must be of object"],
    ["null", "body must be of object"],
    ['"a"', "body must be of object"],
  ])("of %s: %s", async (body, refused) => {
    const answer = await write("POST", "/library/echo/1", body);
    if (refused === undefined) {
      expect(answer.status).toBe(200);
    } else {
      expect(answer.status).toBe(400);
      expect(bodyOf(answer)).toMatchObject({
        error: "invalid_request",
        message: `Value for ${refused}`,
      });
    }
  });

  it("names all that does not fit, and at most 50", async () => {
    const { details } = bodyOf(await write("POST", "/library/echo/1", { flag: 1, text: 2, nope: 3 }));
    expect(details).toEqual([
      { field: "flag", description: "must be of boolean" },
      { field: "text", description: "must be of string" },
      { field: "nope", description: "is not expected" },
    ]);
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`.repeat(100), 1]));
    const answer = await write("POST", "/library/echo/1", many);
    expect(bodyOf(answer).details).toHaveLength(50);
    expect(answer.body.length).toBeLessThan(20_000);
  });

  it("names fields of a body's field as the client wrote them", async () => {
    const answer = await write("POST", books, { fullTitle: 1, authors: [{ name: [] }] });
    expect(bodyOf(answer).details).toEqual([
      { field: "fullTitle", description: "must be of string" },
      { field: "authors[0].name", description: "must be of string" },
    ]);
    expect(bodyOf(await write("POST", books, "[]")).message).toBe("Value for body must be of object");
    expect(bodyOf(await write("POST", "/library/echo/1/tags", "{}")).message).toBe(
      "Value for body must be of array",
    );
    const differs = await write("PUT", book, { id: "b2" });
    expect(bodyOf(differs).message).toBe("Value for id must be equal to the one in the path");
  });

  it("names what breaks a rule of the schema in the same way", async () => {
    const answer = await write("POST", books, { fullTitle: "", pages: -1, authors: [{}] });
    expect(answer.status).toBe(400);
    const { error, message, details } = bodyOf(answer);
    expect(error).toBe("invalid_request");
    expect(message).toMatch(/^fullTitle: /);
    expect(details.map(({ field }: { field: string }) => field)).toEqual([
      "fullTitle",
      "pages",
      "authors[0].name",
    ]);
    expect(bodyOf(await write("POST", books, ""))).toMatchObject({ details: [{ field: "body" }] });
    expect(bodyOf(await get(`${books}?size=201`))).toMatchObject({ details: [{ field: "size" }] });
  });

  it.each([
    ["nothing that is JSON", "{", "request body is not valid JSON"],
    ["two values", "{}{}", "request body is not valid JSON"],
    ["a byte order mark", "\ufeff{}", "request body is not valid JSON"],
    ["a comment", "{/**/}", "request body is not valid JSON"],
    ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22]), "request body is not valid UTF-8"],
    [
      "deep nesting",
      `{"any":${"[".repeat(64)}${"]".repeat(64)}}`,
      "request body is nested deeper than 64 levels",
    ],
    [
      "a mebibyte of nesting",
      "[".repeat(524288) + "]".repeat(524288),
      "request body is nested deeper than 64 levels",
    ],
    ["too many values", `{"any":[${"{},".repeat(49_998)}{}]}`, "request body has more than 50000 values"],
    ["a mebibyte of values", `{"any":[${"1,".repeat(500_000)}1]}`, "request body has more than 50000 values"],
  ])("refuses %s", async (_, body, message) => {
    const answer = await write("POST", "/library/echo/1", body);
    expect(answer.status).toBe(400);
    expect(bodyOf(answer)).toEqual({ error: "invalid_request", message });
  });

  it("takes 50000 values", async () => {
    const body = `{"any":[${"{},".repeat(49_997)}{}]}`;
    expect((await write("POST", "/library/echo/1", body)).status).toBe(200);
  });

  it("takes 64 levels", async () => {
    const any = `${"[".repeat(63)}${"]".repeat(63)}`;
    expect((await write("POST", "/library/echo/1", `{"any":${any}}`)).status).toBe(200);
  });

  it("takes a mebibyte and refuses a byte more", async () => {
    const body = (bytes: number) => `{"text":"${"a".repeat(bytes - 11)}"}`;
    expect((await write("POST", "/library/echo/1", body(1024 * 1024))).status).toBe(200);
    const answer = await write("POST", "/library/echo/1", body(1024 * 1024 + 1));
    expect(answer.status).toBe(413);
    expect(bodyOf(answer).error).toBe("payload_too_large");
  });
});

describe("paths", () => {
  it.each([
    ["/library/echo/1/", 404],
    ["/library//echo/1", 404],
    ["//library/echo/1", 404],
    ["/library/./echo/1", 404],
    ["/library/x/../echo/1", 404],
    ["/library/shelves/../books/b", 404],
    ["/library/shelves/%2e%2e/books/b", 404],
    ["/library/shelves/.%2E/books/b", 404],
    ["/library/shelves/%2e/books/b", 404],
    ["/library/shelves/a%2Fb/books/b", 404],
    ["/library/shelves/a%5cb/books/b", 404],
    ["/library/shelves/a\\b/books/b", 404],
    ["/library/shelves/a%00/books/b", 404],
    ["/library/shelves/a%7f/books/b", 404],
    ["/library/shelves/%zz/books/b", 404],
    ["/library/shelves/%ff/books/b", 404],
    ["/library/shelves/%c0%ae/books/b", 404],
    ["/library/shelves/%/books/b", 404],
    ["/library/shelves//books/b", 404],
    ["/library/ECHO/1", 404],
    ["/Library/echo/1", 404],
    ["/library/%65cho/1", 404],
    ["/%6cibrary/echo/1", 404],
    ["/library/echo/1;a=b", 400],
    ["/library/echo/1%3Fx", 400],
    ["/library/echo/%31", 200],
    ["/library/echo/one", 400],
    ["/library/shelves/a%252Fb/books/b", 200],
    ["/library/shelves/.../books/b", 200],
    ["/library/files/a/../b", 404],
    ["/library/files/a//b", 404],
    ["/library", 404],
    ["/library/", 404],
    ["/library/nothing", 404],
  ])("%s is %i", async (path, status) => {
    const answer = await get(path);
    expect(answer.status).toBe(status);
    if (status === 404 && path.startsWith("/library")) {
      expect(bodyOf(answer)).toEqual({ error: "not_found", message: "there is nothing at this path" });
    }
  });

  it("decodes a value once", async () => {
    expect(bodyOf(await get("/library/any/x/%2541")).name).toBe("%41");
  });

  it("leaves paths of others alone", async () => {
    expect(bodyOf(await get("/nothing"))).toEqual({ code: "not_found", message: "not found" });
    expect((await get("/healthz")).status).not.toBe(404);
  });

  it("names the methods that a path has", async () => {
    expect(await send(edge.http1, "POST", book, { ...token, ...json }, "{}")).toMatchObject({
      status: 405,
      headers: { allow: "DELETE, GET, HEAD, PATCH, PUT" },
      body: '{"error":"method_not_allowed","message":"method not allowed"}',
    });
    expect(await send(edge.http1, "OPTIONS", "/library/kinds")).toMatchObject({
      status: 405,
      headers: { allow: "GET, HEAD" },
    });
  });

  it("label log and metrics by template", async () => {
    const id = "rest-label-1";
    await get(book, { ...token, "x-request-id": id });
    await eventually(() =>
      expect(edge.lines).toContainEqual(
        expect.objectContaining({
          requestId: id,
          path: book,
          route: "/library/shelves/{shelf_id}/books/{id}",
          code: "ok",
          credentialKind: "client_secret",
        }),
      ),
    );
    const { body } = await send(edge.http1, "GET", "/metrics");
    expect(body).toContain(
      'route="/library/shelves/{shelf_id}/books/{id}",code="ok",credential="client_secret"',
    );
    expect(body).not.toContain("s1/books");
  });
});

describe("media types", () => {
  it.each([
    ["application/json", "application/json"],
    ["*/*", "application/json"],
    ["application/*", "application/json"],
    ["APPLICATION/JSON;charset=utf-8", "application/json"],
    ["text/html, application/xhtml+xml, */*;q=0.1", "application/json"],
    ["application/hal+json", "application/hal+json"],
    ["application/hal+json, application/json", "application/hal+json"],
    ["application/json, application/hal+json;q=0.5", "application/json"],
    ["application/hal+json;q=0, */*", "application/json"],
    ["application/hal+json, */*", "application/hal+json"],
    ["application/json;q=0, application/*", "application/hal+json"],
    ["application/json;q=0, */*;q=0.1", "application/hal+json"],
    ["", "application/json"],
  ])("accepts %s", async (accept, type) => {
    const answer = await get(book, { ...token, accept });
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": type } });
    expect("_links" in bodyOf(answer)).toBe(type === "application/hal+json");
  });

  it.each([
    "text/html",
    "application/json;q=0, application/*;q=0, */*",
    "application/xml",
    "application/json;q=0",
    "application/json;q=2",
    "x",
    ";",
    ",",
  ])("refuses to answer %s", async (accept) => {
    const answer = await write("POST", books, { fullTitle: "x" }, { accept });
    expect(answer.status).toBe(406);
    expect(bodyOf(answer).error).toBe("not_acceptable");
  });

  it.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "application/json; version=1; charset=utf-16",
    "application/jsonp",
    "application/proto",
    "application/grpc",
    "",
  ])("refuses to take %s", async (type) => {
    const answer = await send(edge.http1, "POST", books, { ...token, "content-type": type }, "{}");
    expect(answer.status).toBe(415);
    expect(bodyOf(answer).error).toBe("unsupported_media_type");
  });

  it.each(["application/json;", 'application/json; version=1; charset="UTF-8"', " Application/JSON ; x "])(
    "takes %s",
    async (type) => {
      const headers = { ...token, "content-type": type };
      const answer = await send(edge.http1, "POST", books, headers, JSON.stringify({ fullTitle: "x" }));
      expect(answer.status).toBe(201);
    },
  );

  it("refuses an encoded body", async () => {
    expect((await write("POST", books, { fullTitle: "x" }, { "content-encoding": "gzip" })).status).toBe(415);
    expect((await write("POST", books, { fullTitle: "x" }, { "content-encoding": "identity" })).status).toBe(
      201,
    );
  });
});

describe("HAL", () => {
  const origin = "https://id.example.com";
  async function linksOf(target: string) {
    const answer = await get(target, { ...token, accept: "application/hal+json" });
    const links = bodyOf(answer)._links as Record<string, { href: string }>;
    return Object.fromEntries(
      Object.entries(links).map(([name, { href }]) => [name, href.replace(origin + books, "")]),
    );
  }

  it("links a resource to itself, by the public URL", async () => {
    expect(
      bodyOf(await get(`${book}?`, { ...token, accept: "application/hal+json", host: "evil.example" })),
    ).toEqual({
      ...wholeBook,
      _links: { self: { href: origin + book } },
    });
    const created = await write("POST", books, { fullTitle: "x" }, { accept: "application/hal+json" });
    expect(bodyOf(created)._links).toEqual({ self: { href: `${origin}${books}/new` } });
  });

  it("leaves arrays and free-form objects alone", async () => {
    const schema = await get("/library/kinds/atlas/schema", { ...token, accept: "application/hal+json" });
    expect(schema.headers["content-type"]).toBe("application/json");
    expect(bodyOf(schema)).toEqual({ type: "object", required: [] });
    const answer = await get("/library/kinds", { accept: "application/hal+json" });
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(bodyOf(answer)).toHaveLength(1);
  });

  it("leads through numbered pages", async () => {
    expect(await linksOf(`${books}?size=1&page=1&sort=a`)).toEqual({
      self: "?size=1&page=1&sort=a",
      first: "?size=1&sort=a",
      prev: "?size=1&sort=a&page=0",
      next: "?size=1&sort=a&page=2",
      last: "?size=1&sort=a&page=2",
    });
    expect(await linksOf(`${books}?size=1`)).toEqual({
      self: "?size=1",
      first: "?size=1",
      next: "?size=1&page=1",
      last: "?size=1&page=2",
    });
    expect(await linksOf(`${books}?size=1&page=2`)).not.toHaveProperty("next");
    expect(await linksOf(`${books}?size=1&page=9`)).toMatchObject({ prev: "?size=1&page=2" });
    expect(await linksOf(books)).toEqual({ self: "", first: "", last: "?page=0" });
  });

  it("leads on by cursor where one was asked for", async () => {
    expect(await linksOf(`${books}?size=1&page_token=`)).toMatchObject({
      first: "?size=1&page_token=",
      next: "?size=1&page_token=n+x",
    });
    expect(await linksOf(`${books}?pageToken=abc`)).toEqual({
      self: "?pageToken=abc",
      first: "?pageToken=",
      next: "?pageToken=n+x",
    });
    expect(await linksOf(`${books}?pageToken=last`)).toEqual({
      self: "?pageToken=last",
      first: "?pageToken=",
    });
  });
});

describe("refusals", () => {
  it.each([
    ["INVALID_REQUEST", 400, { error: "invalid_request", message: "invalid request" }],
    ["NOT_AUTHENTICATED", 401, { error: "unauthorized", message: "Bearer token is missing or invalid" }],
    ["NOT_AUTHORIZED", 403, { error: "forbidden", message: "not authorized" }],
    ["NOT_FOUND", 404, { error: "not_found", message: "not found" }],
    ["FRONTDOOR_NOT_FOUND", 403, { error: "not_found" }],
    ["NAME_TAKEN", 409, { error: "conflict", message: "name is taken" }],
    ["LAST_OWNER", 409, { error: "conflict" }],
    ["PRECONDITION_FAILED", 412, { error: "precondition_failed" }],
    ["REQUEST_TOO_LARGE", 413, { error: "payload_too_large" }],
    ["TOO_MANY_FAILURES", 429, { error: "too_many_requests" }],
    ["UNAVAILABLE", 503, { error: "unavailable" }],
    ["NOT_IMPLEMENTED", 501, { error: "not_implemented" }],
    ["BROKEN", 500, { error: "internal", message: "internal server error" }],
    ["CONNECT", 500, { error: "internal", message: "internal server error" }],
  ])("for %s is %i", async (reason, status, body) => {
    const answer = await get(`/library/fail/${reason}`, {});
    expect(answer.status).toBe(status);
    expect(bodyOf(answer)).toMatchObject(body);
    expect(answer.body).not.toContain("hunter2");
    const { headers } = answer;
    expect(headers["www-authenticate"] !== undefined).toBe(status === 401);
    expect(headers["retry-after"]).toBe(status === 429 ? "7" : undefined);
  });

  it("name a field in the client's words", async () => {
    expect(bodyOf(await get("/library/fail/INVALID_REQUEST", {})).details).toEqual([
      { field: "full_title", description: "is dull" },
    ]);
  });

  it("ask for credentials", async () => {
    for (const headers of [{}, { authorization: "Bearer bad" }]) {
      const answer = await get(book, headers);
      expect(answer).toMatchObject({
        status: 401,
        headers: { "www-authenticate": 'Bearer realm="vestibule", Basic realm="vestibule", charset="UTF-8"' },
      });
      expect(bodyOf(answer)).toEqual({
        error: "unauthorized",
        message: "Bearer token is missing or invalid",
      });
    }
  });

  it("say that a method has no handler", async () => {
    expect(await send(edge.http1, "POST", "/library/forget")).toMatchObject({ status: 501 });
  });

  it("judge bodies before credentials, and credentials before rules", async () => {
    const anonymous = (body: string) => send(edge.http1, "POST", books, json, body);
    expect((await anonymous("{")).status).toBe(400);
    expect((await anonymous('{"pages":-1}')).status).toBe(401);
  });

  it("come when the time is up, for a body that stalls too", async () => {
    const brief = await startEdge({
      services: libraryServices,
      frontierMethods: [],
      limits: { bodyBytes: 1000, requestSeconds: 0.1 },
    });
    try {
      const answer = await send(brief.http1, "GET", "/library/fail/hang");
      expect(answer).toMatchObject({ status: 504 });
      expect(bodyOf(answer)).toEqual({ error: "deadline_exceeded", message: "deadline exceeded" });
      const stalled = await send(brief.http1, "POST", books, { ...json, "content-length": "10" }, stall("{"));
      expect(stalled.status).toBe(504);
    } finally {
      await brief.close();
    }
  });

  it("come when the process ends", async () => {
    const shutdown = new AbortController();
    const ending = await startEdge({
      services: libraryServices,
      frontierMethods: [],
      shutdownSignal: shutdown.signal,
    });
    try {
      const call = send(ending.http1, "GET", "/library/fail/hang");
      setImmediate(() => shutdown.abort());
      expect((await call).status).toBe(503);
    } finally {
      await ending.close();
    }
  });
});

/** Chunks that are not the whole body. */
function* stall(text: string): Iterable<Buffer> {
  yield Buffer.from(text);
}

describe("browsers", () => {
  const cookie = { cookie: "sid=x", ...json };

  it("may write with the session cookie from our own pages only", async () => {
    const chain = { authenticate: async () => undefined };
    const open = await startEdge({ services: libraryServices, frontierMethods: [], principals: chain });
    try {
      const write = (headers: Record<string, string>) =>
        send(open.http1, "PATCH", book, { ...cookie, ...headers }, "{}");
      for (const headers of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }]) {
        const answer = await write(headers as Record<string, string>);
        expect(answer.status).toBe(403);
        expect(bodyOf(answer)).toEqual({ error: "forbidden", message: "not authorized" });
      }
      expect((await write({ origin: "https://id.example.com" })).status).toBe(401);
      expect((await write({ "sec-fetch-site": "same-origin" })).status).toBe(401);
      expect((await write({})).status).toBe(401);
      expect((await send(open.http1, "GET", "/library/kinds", { cookie: "sid=x" })).status).toBe(200);
    } finally {
      await open.close();
    }
  });

  it("ask first whether they may", async () => {
    const origin = "https://app.example.com";
    const preflight = { origin, "access-control-request-method": "PATCH" };
    expect(await send(edge.http1, "OPTIONS", book, preflight)).toMatchObject({
      status: 204,
      headers: {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": expect.stringMatching(/If-Match, If-None-Match, Idempotency-Key/),
      },
    });
    const answer = await get(book, { ...token, origin });
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": origin,
      "access-control-expose-headers": expect.stringMatching(/ETag, Location/),
    });
  });
});

describe("Frontier's style", () => {
  it("spells names as the schema and leaves out what is unset", async () => {
    expect(bodyOf(await get("/old/books/x"))).toEqual({ full_title: "x" });
  });

  it("refuses in its own words", async () => {
    expect(await get("/old/books/gone")).toMatchObject({
      status: 404,
      body: '{"code":"not_found","message":"book is gone"}',
    });
    expect(await get("/old/books/x", {})).toMatchObject({
      status: 401,
      body: '{"code":"unauthenticated","message":"not authenticated"}',
      headers: { "www-authenticate": expect.any(String) },
    });
    expect(await get("/old/books/12345678901")).toMatchObject({ status: 400 });
    expect(await get("/old/else")).toMatchObject({
      status: 404,
      body: '{"code":"not_found","message":"there is nothing at this path"}',
    });
    const wrong = await send(edge.http1, "PUT", "/old/books/x");
    expect(wrong).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    expect(bodyOf(wrong)).toEqual({ code: "unimplemented", message: "method not allowed" });
  });
});

describe("HTTP/2", () => {
  it("is the same", async () => {
    const client = connectHttp2(edge.http2);
    try {
      const stream = client.request({
        ":method": "POST",
        ":path": books,
        ...token,
        ...json,
        accept: "application/hal+json",
      });
      stream.end('{"fullTitle":"x"}');
      const [head] = await once(stream, "response");
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      expect(head).toMatchObject({ ":status": 201, etag: '"1"', "content-type": "application/hal+json" });
      expect(JSON.parse(Buffer.concat(chunks).toString())).toMatchObject({ id: "new", _links: {} });
    } finally {
      client.destroy();
    }
  });

  it("notes callers that go away", async () => {
    const client = connectHttp2(edge.http2);
    const stream = client.request({ ":path": "/library/fail/hang", "x-request-id": "rest-gone-1" });
    stream.on("error", () => {});
    setTimeout(() => client.destroy(), 50);
    await eventually(() =>
      expect(edge.lines.find(({ requestId }) => requestId === "rest-gone-1")).toMatchObject({
        code: "canceled",
      }),
    );
  });
});

describe("RPC", () => {
  it("is answered beside REST, by the same handlers", async () => {
    const answer = await sendJson(edge.http1, "/library.v1.LibraryService/GetBook", { id: "b1" }, token);
    expect(bodyOf(answer)).toMatchObject({ id: "b1", fullTitle: "A book" });
  });
});
