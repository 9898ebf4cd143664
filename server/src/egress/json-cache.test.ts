import { expect, test } from "vitest";
import { silentLog } from "../lib/log.ts";
import type { Egress } from "./egress.ts";
import { EgressError } from "./egress-error.ts";
import { createJsonCache, type JsonCache, type JsonCacheOptions } from "./json-cache.ts";

const url = "https://idp.test/jwks";

/** A cache over a server whose answers the test gives, with a clock the test moves. */
function setUp(
  options: { cacheControl?: string } & Pick<
    JsonCacheOptions,
    "maxEntries" | "ttlSeconds" | "cooldownSeconds"
  > = {},
) {
  let nowMs = Date.parse("2026-11-22T00:00:00Z");
  const state = { fetches: 0, body: "", failing: false, gate: Promise.resolve() };
  const egress: Egress = {
    vet: () => Promise.reject(new Error("not used")),
    fetch: async (asked) => {
      state.fetches += 1;
      const body = state.body === "" ? JSON.stringify({ version: state.fetches }) : state.body;
      await state.gate;
      if (state.failing) throw new EgressError("connection", "idp.test", "is down");
      const headers = new Headers(options.cacheControl ? { "cache-control": options.cacheControl } : {});
      return { url: asked, status: 200, headers, body: Buffer.from(body) };
    },
  };
  const clock = { now: () => new Date(nowMs) };
  const { cacheControl: _said, ...rest } = options;
  const cache = createJsonCache({ egress, clock, log: silentLog, ...rest });
  const pass = (seconds: number) => {
    nowMs += seconds * 1000;
  };
  return { cache, state, pass };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const reasonOf = (asked: Promise<unknown>) => asked.then(String, (error: EgressError) => error.reason);

test("fetches once for all who ask at the same time, and not again while fresh", async () => {
  const { cache, state, pass } = setUp();
  const answers = await Promise.all(Array.from({ length: 100 }, () => cache.get(url)));
  expect(new Set(answers)).toEqual(new Set([{ version: 1 }]));
  pass(239);
  expect(await cache.get(url)).toBe(answers[0]);
  await settle();
  expect(state.fetches).toBe(1);
});

test("asks again in the background before a document is too old", async () => {
  const { cache, state, pass } = setUp();
  await cache.get(url);
  pass(240);
  expect(await cache.get(url)).toEqual({ version: 1 });
  await settle();
  expect(await cache.get(url)).toEqual({ version: 2 });
  expect(state.fetches).toBe(2);
});

test("has the cooldown of a fetch that fails begin at its end, however long it took", async () => {
  const { cache, state, pass } = setUp();
  state.failing = true;
  const { promise, resolve } = Promise.withResolvers<void>();
  state.gate = promise;
  const asked = reasonOf(cache.get(url));
  await settle();
  pass(40);
  resolve();
  expect(await asked).toBe("connection");
  pass(29);
  expect(await reasonOf(cache.get(url))).toBe("connection");
  expect(state.fetches).toBe(1);
  pass(1);
  await reasonOf(cache.get(url));
  expect(state.fetches).toBe(2);
});

test("keeps documents that say nothing, and waits after a failure, as long as it is told", async () => {
  const { cache, state, pass } = setUp({ ttlSeconds: 3_600, cooldownSeconds: 5 });
  await cache.get(url);
  pass(2_879);
  await cache.get(url);
  await settle();
  expect(state.fetches).toBe(1);
  pass(7_200);
  state.failing = true;
  for (const seconds of [4, 1]) {
    expect(await reasonOf(cache.get(url))).toBe("connection");
    pass(seconds);
  }
  expect(state.fetches).toBe(2);
  state.failing = false;
  expect(await cache.get(url)).toEqual({ version: 3 });
});

test("waits for a new document once the old one is too old", async () => {
  const { cache, pass } = setUp();
  await cache.get(url);
  pass(300);
  expect(await cache.get(url)).toEqual({ version: 2 });
});

test.each([
  ["max-age=600", 600],
  ["public, max-age=600, must-revalidate", 600],
  ["MAX-AGE = 600", 600],
  ["max-age=5", 60],
  ["no-store", 60],
  ["max-age=600, no-cache", 60],
  ["max-age=86400", 3600],
  ["max-age=99999999999999", 300],
  ["s-maxage=10", 300],
  ["max-age=soon", 300],
])("%s keeps a document for %d s", async (cacheControl, seconds) => {
  const { cache, pass } = setUp({ cacheControl });
  await cache.get(url);
  // Not asked meanwhile, so nothing was fetched in the background.
  pass(seconds - 1);
  expect(await cache.get(url)).toEqual({ version: 1 });
  const later = setUp({ cacheControl });
  await later.cache.get(url);
  later.pass(seconds);
  expect(await later.cache.get(url)).toEqual({ version: 2 });
});

test("serves a document for an hour after its time while the server fails, and no longer", async () => {
  const { cache, state, pass } = setUp();
  await cache.get(url);
  state.failing = true;
  pass(300 + 3599);
  expect(await cache.get(url)).toEqual({ version: 1 });
  pass(1);
  expect(await reasonOf(cache.get(url))).toBe("connection");
  state.failing = false;
  pass(30);
  expect(await cache.get(url)).toMatchObject({ version: expect.any(Number) });
});

test("nobody waits for a server that is known to fail while the old document is good", async () => {
  const { cache, state, pass } = setUp();
  await cache.get(url);
  state.failing = true;
  pass(300);
  await cache.get(url);
  pass(30);
  state.gate = new Promise(() => {});
  expect(await cache.get(url)).toEqual({ version: 1 });
  expect(state.fetches).toBe(3);
});

test("a failing server is asked once per cooldown", async () => {
  const { cache, state, pass } = setUp();
  state.failing = true;
  for (let call = 0; call < 1000; call += 1) expect(await reasonOf(cache.get(url))).toBe("connection");
  expect(state.fetches).toBe(1);
  pass(29);
  await reasonOf(cache.get(url));
  expect(state.fetches).toBe(1);
  pass(1);
  await reasonOf(cache.get(url));
  expect(state.fetches).toBe(2);
});

test.each([
  ["a full document", ""],
  ["an empty key set", '{"keys":[]}'],
])("1000 wishes for something newer than %s fetch once per cooldown", async (_, body) => {
  const { cache, state, pass } = setUp();
  state.body = body;
  const ask = (wish: JsonCache["get"]) => Promise.all(Array.from({ length: 500 }, () => wish(url)));
  await ask(cache.get);
  await ask(cache.refresh);
  await ask(cache.refresh);
  expect(state.fetches).toBe(1);
  pass(29);
  await ask(cache.refresh);
  expect(state.fetches).toBe(1);
  pass(1);
  await ask(cache.refresh);
  await ask(cache.refresh);
  expect(state.fetches).toBe(2);
});

test("a wish for something newer that fails answers the old document", async () => {
  const { cache, state, pass } = setUp();
  await cache.get(url);
  state.failing = true;
  pass(30);
  expect(await cache.refresh(url)).toEqual({ version: 1 });
});

test("a clock set back does not stop refreshing", async () => {
  const { cache, state, pass } = setUp();
  await cache.get(url);
  pass(-3600);
  expect(await cache.refresh(url)).toEqual({ version: 2 });
  expect(state.fetches).toBe(2);
});

test("keeps only so many documents", async () => {
  const { cache, state } = setUp({ maxEntries: 2 });
  for (const path of ["a", "b", "c", "c", "b"]) await cache.get(`https://idp.test/${path}`);
  expect(state.fetches).toBe(3);
  await cache.get("https://idp.test/a");
  expect(state.fetches).toBe(4);
});

test.each(["[]", "null", "1", "{", "", "<html>"])("a body of %s is no document", async (body) => {
  const { cache, state } = setUp();
  state.body = body || " ";
  expect(await reasonOf(cache.get(url))).toBe("content");
});
