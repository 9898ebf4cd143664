/** Paths, queries and bodies that nobody would send: always an answer, never a failure of ours. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningEdge, send, startEdge } from "../test-support.ts";
import { libraryServices } from "./test-support.ts";

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({ services: libraryServices, frontierMethods: [] });
});
afterAll(() => edge.close());

function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const parts = [
  "library",
  "shelves",
  "books",
  "echo",
  "names",
  "files",
  "kinds",
  "old",
  "s1",
  "1",
  "",
  ".",
  "..",
  "*",
];
const odd = [
  "%2F",
  "%2e%2e",
  "%00",
  "%",
  "%zz",
  ":",
  ":lend",
  ";",
  "\\",
  "%5c",
  "~",
  "{id}",
  "%25",
  "%C3%A9",
];
const names = [
  "number",
  "text",
  "nestedOne.innerText",
  "nested_one",
  "labels.a",
  "__proto__",
  "constructor.name",
  "page",
  "size",
  "tags",
  "at",
];
const values = [
  "1",
  "-1",
  "",
  "true",
  "x",
  "%00",
  "%ff",
  "%F0%9F%98%80",
  "1e999",
  "NaN",
  "2026-01-01T00:00:00Z",
  "a=b",
  "+",
];
const jsons = [
  "{}",
  "[]",
  "null",
  "1",
  '"a"',
  '{"text":1}',
  '{"any":1e999}',
  '{"any":{"a":[{}]}}',
  '{"nestedOne":{"below":{"below":{}}}}',
  '{"labels":{"":""}}',
  '{"at":"9999-12-31T23:59:59.999999999Z"}',
  '{"at":"0000-01-01T00:00:00Z"}',
  '{"span":"-315576000001s"}',
  '{"span":"1sx"}',
  '{"text":"\\u0000"}',
  '{"bindings":[99]}',
  '{"counts":[1e10]}',
  '{"long":1e30}',
  '{"mask":"a_b"}',
  '{"mask":"a..b"}',
  '{"fullTitle":{}}',
  '{"book":{}}',
  '{"wrapped":null}',
  '{"any":null}',
  '{"blob":"===="}',
  '{"ratio":"Infinity"}',
  '{"ratio":1e400}',
];

describe("whatever comes", () => {
  it("is answered, with a refusal at worst", async () => {
    const random = createRandom(5);
    const pick = (from: readonly string[]): string => from[random(from.length)] as string;
    for (let round = 0; round < 3_000; round++) {
      const path = Array.from(
        { length: 1 + random(6) },
        () => pick(random(4) === 0 ? odd : parts) + (random(9) === 0 ? pick(odd) : ""),
      );
      const known = ["/library/echo/1", "/library/shelves/s1/books/b1", "/library/shelves/s1/books"];
      const target = random(2) === 0 ? pick(known) : `/${path.join("/")}`;
      const query = Array.from({ length: random(4) }, () => `${pick(names)}=${pick(values)}`).join("&");
      const method = pick(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "REPORT"]);
      const hasBody = !["GET", "HEAD"].includes(method);
      const answer = await send(
        edge.http1,
        method,
        random(2) === 0 ? target : `${target}?${query}`,
        { authorization: "Bearer good", ...(hasBody && { "content-type": "application/json" }) },
        hasBody ? pick(jsons) : undefined,
      );
      const asked = `${method} ${target}?${query} → ${answer.status} ${answer.body}`;
      expect(answer.status === 501 || answer.status < 500, asked).toBe(true);
      if (answer.status >= 400 && method !== "HEAD")
        expect(() => JSON.parse(answer.body), asked).not.toThrow();
    }
    expect(edge.lines.filter(({ level }) => level === "error")).toEqual([]);
  });
});
