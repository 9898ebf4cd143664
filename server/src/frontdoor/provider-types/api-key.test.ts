import { expect, test } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { hashSecret, newSecret } from "../../lib/secrets.ts";
import { createApiKeyType } from "./api-key.ts";
import { createTestContext, runTest, start, toOutline } from "./test-support.ts";

const provider = { id: "p1", orgId: "o1", data: {} };

function setUp() {
  const context = createTestContext();
  const key = newSecret("vstk");
  const expiresAt = new Date(start.getTime() + 60_000);
  context.storedKeys.set(hashSecret(key), { id: "key-1", title: "ci", expiresAt, providerId: "p1" });
  const type = createApiKeyType(context);
  const decideOn = (presented: string, at = provider) =>
    type.authenticate(at, { kind: "api_key", key: presented });
  return { context, key, expiresAt, type, decideOn };
}

test("reads keys from X-API-Key, or the header it is told, in lower case", () => {
  const { type } = setUp();
  expect(type.accepts({})).toEqual({ issuers: [], keyHeader: "x-api-key", own: false });
  expect(type.accepts({ header: "X-My-Key" }).keyHeader).toBe("x-my-key");
});

test("lets a key of the provider in", async () => {
  const { decideOn, expiresAt, key } = setUp();
  expect(await decideOn(key)).toEqual({
    allowed: true,
    identity: {
      subject: "key-1",
      emailVerified: false,
      organizations: [],
      groups: [],
      claims: { sub: "key-1", title: "ci" },
      expiresAt,
      name: "ci",
      dependsOn: ["key-1"],
      noteUse: expect.any(Function),
    },
  });
});

test("a key ends at its instant", async () => {
  const { context, decideOn, key } = setUp();
  context.pass(59);
  expect(await decideOn(key)).toMatchObject({ allowed: true });
  context.pass(1);
  expect(await decideOn(key)).toMatchObject({
    reason: "expired",
    detail: expect.stringContaining("2026-11-22T12:01:00.000Z"),
  });
});

test("judging notes no use; whoever lets somebody in by it does", async () => {
  const { context, decideOn, key, type } = setUp();
  const decision = await decideOn(key);
  await runTest(type, provider, { apiKey: key });
  expect(context.usedKeys).toEqual([]);
  if (decision.allowed) decision.identity.noteUse?.();
  expect(context.usedKeys).toEqual(["key-1"]);
});

test("refuses another provider's key, an unknown one and none of ours", async () => {
  const { decideOn, key } = setUp();
  expect(await decideOn(key, { ...provider, id: "p2" })).toMatchObject({ reason: "unknown_credential" });
  expect(await decideOn(newSecret("vstk"))).toMatchObject({ reason: "unknown_credential" });
  expect(await decideOn(newSecret("vstt"))).toMatchObject({ reason: "malformed" });
  expect(await decideOn("")).toMatchObject({ reason: "malformed" });
  expect(await decideOn(`vstk_${"a".repeat(100_000)}`)).toMatchObject({ reason: "malformed" });
});

test("tells a mistyped key without looking it up", async () => {
  const { context, key } = setUp();
  const type = createApiKeyType({
    ...context,
    apiKeys: { ...context.apiKeys, findApiKey: () => Promise.reject(new Error("looked up")) },
  });
  const mistyped = `${key.slice(0, -1)}${key.endsWith("A") ? "B" : "A"}`;
  expect(await type.authenticate(provider, { kind: "api_key", key: mistyped })).toMatchObject({
    reason: "malformed",
    detail: expect.stringContaining("mistyped"),
  });
});

test("a store that is down lets nobody in; a defect is thrown", async () => {
  const { context, key } = setUp();
  const withError = (error: Error) =>
    createApiKeyType({
      ...context,
      apiKeys: { ...context.apiKeys, findApiKey: () => Promise.reject(error) },
    }).authenticate(provider, { kind: "api_key", key });
  expect(await withError(new DomainError("UNAVAILABLE"))).toMatchObject({
    allowed: false,
    reason: "unavailable",
  });
  await expect(withError(new TypeError("defect"))).rejects.toThrow("defect");
});

test("takes no bearer token", async () => {
  const { key, type } = setUp();
  expect(await type.authenticate(provider, { kind: "opaque_token", token: key })).toMatchObject({
    reason: "wrong_kind",
  });
});

test("its dry run names the header and judges a sample, without showing it", async () => {
  const { key, type } = setUp();
  const checks = await runTest(type, provider, { apiKey: key });
  expect(toOutline(checks)).toBe("header sample");
  expect(JSON.stringify(checks)).not.toContain(key);
  expect(toOutline(await runTest(type, provider, { token: "x" }))).toBe("header !sample_kind");
  const unstored = await runTest(type, { orgId: "o1", data: {} }, { apiKey: key });
  expect(unstored.sample?.detail).toContain("not stored yet");
});
