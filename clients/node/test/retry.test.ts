import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@vestibule/proto/google/rpc/error_details_pb";
import { describe, expect, it } from "vitest";
import { findReason, findRetryDelayMs, getFieldViolations } from "../../shared/src/errors.ts";
import { createRetry, defaultRetryPolicy, type RetryPolicy } from "../src/retry.ts";
import { rejectionOf } from "./support.ts";

function unavailable(headers: Record<string, string> = {}): ConnectError {
  return new ConnectError("temporarily unavailable", Code.Unavailable, headers);
}

/** Runs an operation that fails with these errors in turn, and says how long was waited. */
async function run(errors: readonly unknown[], policy: Partial<RetryPolicy> = {}, random = 1) {
  const waits: number[] = [];
  let attempts = 0;
  const retry = createRetry(
    { ...defaultRetryPolicy, ...policy },
    {
      random: () => random,
      sleep: async (ms) => {
        waits.push(ms);
      },
    },
  );
  const outcome = await retry(async () => {
    const error = errors[attempts++];
    if (error !== undefined) throw error;
    return "done";
  }).catch((error: unknown) => error);
  return { outcome, attempts, waits };
}

describe("retrying", () => {
  it("waits up to twice as long each time, and gives up", async () => {
    const errors = Array.from({ length: 9 }, () => unavailable());
    const { outcome, attempts, waits } = await run(errors, { maxAttempts: 7 });
    expect(outcome).toBe(errors[6]);
    expect(attempts).toBe(7);
    expect(waits).toEqual([100, 200, 400, 800, 1600, 2000]);
  });

  it("waits for any part of that: full jitter", async () => {
    expect((await run([unavailable(), unavailable()], {}, 0)).waits).toEqual([0, 0]);
    expect((await run([unavailable(), unavailable()], {}, 0.5)).waits).toEqual([50, 100]);
  });

  it("succeeds when the operation does", async () => {
    expect(await run([unavailable(), unavailable(), unavailable()])).toMatchObject({
      outcome: "done",
      attempts: 4,
    });
  });

  it.each(
    [Code.Unauthenticated, Code.ResourceExhausted, Code.Aborted, Code.DeadlineExceeded, Code.Internal].map(
      (code) => [Code[code], code] as const,
    ),
  )("is not for %s", async (_, code) => {
    const error = new ConnectError("no", code);
    expect(await run([error])).toEqual({ outcome: error, attempts: 1, waits: [] });
  });

  it("is not for errors of other kinds", async () => {
    const error = new Error("a mistake");
    expect(await run([error])).toEqual({ outcome: error, attempts: 1, waits: [] });
  });

  it("waits as long as the server asks, up to a limit", async () => {
    expect((await run([unavailable({ "retry-after": "10" })])).waits).toEqual([10_100]);
    const tooLong = unavailable({ "retry-after": "11" });
    expect(await run([tooLong])).toEqual({ outcome: tooLong, attempts: 1, waits: [] });
  });

  it("ends with the caller", async () => {
    const controller = new AbortController();
    const retry = createRetry({ ...defaultRetryPolicy, initialDelayMs: 60_000, maxDelayMs: 60_000 });
    const ended = rejectionOf(
      retry(async () => {
        setImmediate(() => controller.abort());
        throw unavailable();
      }, controller.signal),
    );
    expect((await ended).name).toBe("AbortError");
    const error = unavailable();
    await expect(retry(() => Promise.reject(error), controller.signal)).rejects.toBe(error);
  });
});

describe("what an error says", () => {
  const details = [
    { desc: ErrorInfoSchema, value: { reason: "QUOTA", domain: "another.example" } },
    { desc: ErrorInfoSchema, value: { reason: "INVALID_REQUEST", domain: "vestibule" } },
    {
      desc: BadRequestSchema,
      value: { fieldViolations: [{ field: "body.title", description: "at most 200 characters" }] },
    },
    {
      desc: RetryInfoSchema,
      value: { retryDelay: create(DurationSchema, { seconds: 2n, nanos: 500_000_000 }) },
    },
  ];
  const error = new ConnectError("no", Code.InvalidArgument, { "retry-after": "7" }, details);

  it("is its reason, its violations and its delay", () => {
    expect(findReason(error)).toBe("INVALID_REQUEST");
    expect(getFieldViolations(error)).toEqual([
      { field: "body.title", description: "at most 200 characters" },
    ]);
    expect(findRetryDelayMs(error)).toBe(2_500);
  });

  it.each([new ConnectError("bare"), new Error("other"), undefined, "text"])("may be nothing: %s", (bare) => {
    expect(findReason(bare)).toBeUndefined();
    expect(getFieldViolations(bare)).toEqual([]);
    expect(findRetryDelayMs(bare)).toBeUndefined();
  });

  it.each([
    ["0", 0],
    ["7", 7_000],
    ["-1", undefined],
    ["1e9", undefined],
    ["soon", undefined],
    ["Wed, 21 Oct 2026 07:28:00 GMT", undefined],
  ])("has Retry-After %j", (header, ms) => {
    expect(findRetryDelayMs(unavailable({ "retry-after": header }))).toBe(ms);
  });
});
