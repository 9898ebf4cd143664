import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import { createTokenSource, type TokenSource } from "../../shared/src/token-source.ts";
import { rejectionOf } from "./support.ts";

let nowMs: number;
let lifetimeSeconds: number | undefined;
let fetches: number;
let errors: unknown[];
/** What fetching does next instead of answering. */
let fault: (() => Promise<never>) | undefined;
let source: TokenSource;

function makeSource(random = 0): TokenSource {
  return createTokenSource({
    async fetchToken() {
      fetches += 1;
      const accessToken = `token-${fetches}`;
      if (fault) return await fault();
      return { accessToken, expiresInSeconds: lifetimeSeconds };
    },
    monotonicMs: () => nowMs,
    random: () => random,
    onError: (error) => errors.push(error),
  });
}

beforeEach(() => {
  nowMs = 5_000;
  lifetimeSeconds = 3600;
  fetches = 0;
  errors = [];
  fault = undefined;
  source = makeSource();
});

const unavailable = new ConnectError("temporarily unavailable", Code.Unavailable);

async function failUnavailable(): Promise<never> {
  throw unavailable;
}

it("fetches once for all who wait", async () => {
  const tokens = await Promise.all(Array.from({ length: 1000 }, () => source.get()));
  expect(new Set(tokens)).toEqual(new Set(["token-1"]));
  expect(await source.get()).toBe("token-1");
  expect(fetches).toBe(1);
});

describe("renewal", () => {
  // An hour less ten seconds is 3590 s; 75 % of it is 2692.5 s, 90 % is 3231 s.
  it.each([
    [0, 2692.5],
    [1, 3231],
  ])("goes on behind the calls, with jitter %d from %d s on", async (random, seconds) => {
    source = makeSource(random);
    await source.get();
    nowMs += seconds * 1000 - 1;
    await source.get();
    expect(fetches).toBe(1);
    nowMs += 1;
    expect(await Promise.all([source.get(), source.get()])).toEqual(["token-1", "token-1"]);
    await expect.poll(() => source.get()).toBe("token-2");
    expect(fetches).toBe(2);
  });

  it("is waited for ten seconds before the end", async () => {
    await source.get();
    nowMs += 3590_000;
    expect(await source.get()).toBe("token-2");
  });

  it("counts a short life from the request, not from the answer", async () => {
    lifetimeSeconds = 10;
    fault = undefined;
    const slow = createTokenSource({
      async fetchToken() {
        fetches += 1;
        nowMs += 8_000;
        return { accessToken: `token-${fetches}`, expiresInSeconds: 10 };
      },
      monotonicMs: () => nowMs,
      random: () => 0,
    });
    await slow.get();
    nowMs += 1_000;
    expect(await slow.get()).toBe("token-2");
  });

  it.each([undefined, 0, -5])("a life of %s seconds is one use", async (seconds) => {
    lifetimeSeconds = seconds;
    expect([await source.get(), await source.get()]).toEqual(["token-1", "token-2"]);
  });

  it("that fails leaves the token in use, backs off and tells", async () => {
    await source.get();
    fault = failUnavailable;
    nowMs += 2_700_000;
    for (let i = 0; i < 100; i++) expect(await source.get()).toBe("token-1");
    await expect.poll(() => errors).toEqual([unavailable]);
    expect(fetches).toBe(2);
    nowMs += 501; // half of a second at least, with this jitter
    await source.get();
    await expect.poll(() => fetches).toBe(3);
    nowMs += 999; // then half of two
    await source.get();
    expect(fetches).toBe(3);
    fault = undefined;
    nowMs += 2;
    await source.get();
    await expect.poll(() => source.get()).toBe("token-4");
  });
});

describe("failure", () => {
  it("reaches all who wait, and who asks again at once", async () => {
    fault = failUnavailable;
    const failed = await Promise.all(Array.from({ length: 100 }, () => rejectionOf(source.get())));
    expect(new Set(failed)).toEqual(new Set([unavailable]));
    expect(await rejectionOf(source.get())).toBe(unavailable);
    expect(fetches).toBe(1);
  });

  it("is asked about again after a wait that grows to a minute", async () => {
    fault = failUnavailable;
    const waits = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    for (const [index, wait] of waits.entries()) {
      await rejectionOf(source.get());
      nowMs += wait - 1;
      await rejectionOf(source.get());
      expect(fetches).toBe(index + 1);
      nowMs += 1;
    }
    fault = undefined;
    expect(await source.get()).toBe("token-9");
  });

  it("with a delay that the server asked for waits as long", async () => {
    fault = async () => {
      throw new ConnectError("slow down", Code.ResourceExhausted, { "retry-after": "90" });
    };
    await rejectionOf(source.get());
    fault = undefined;
    nowMs += 89_999;
    await rejectionOf(source.get());
    nowMs += 1;
    expect(await source.get()).toBe("token-2");
  });

  it("that is thrown and not rejected with is one too", async () => {
    const broken = createTokenSource({
      fetchToken: () => {
        fetches += 1;
        if (fetches === 1) throw new Error("broken");
        return Promise.resolve({ accessToken: "good", expiresInSeconds: 60 });
      },
      monotonicMs: () => nowMs,
      random: () => 0,
    });
    await expect(broken.get()).rejects.toThrow("broken");
    nowMs += 1_000;
    expect(await broken.get()).toBe("good");
  });
});

it("an aborted caller leaves, the others stay", async () => {
  const gate = Promise.withResolvers<void>();
  const waiting = createTokenSource({
    async fetchToken() {
      await gate.promise;
      return { accessToken: "late", expiresInSeconds: 60 };
    },
    monotonicMs: () => nowMs,
    random: () => 0,
  });
  const controller = new AbortController();
  const leaving = rejectionOf(waiting.get(controller.signal));
  const staying = waiting.get();
  controller.abort(new Error("enough"));
  expect((await leaving).message).toBe("enough");
  gate.resolve();
  expect(await staying).toBe("late");
  await expect(waiting.get(AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
});

describe("a refused token", () => {
  it("is replaced, once for all who had it", async () => {
    const token = await source.get();
    const renewed = await Promise.all(
      Array.from({ length: 100 }, async () => source.reject(token) && (await source.get())),
    );
    expect(new Set(renewed)).toEqual(new Set(["token-2"]));
    expect(fetches).toBe(2);
  });

  it("is kept when the one before it was refused less than ten seconds ago", async () => {
    source.reject(await source.get());
    const second = await source.get();
    nowMs += 9_999;
    expect(source.reject(second)).toBe(false);
    expect(await source.get()).toBe(second);
    nowMs += 1;
    expect(source.reject(second)).toBe(true);
    expect(await source.get()).toBe("token-3");
  });
});
