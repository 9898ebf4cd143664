import { beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Clock } from "../lib/clock.ts";
import { compareKeyChecks, KeyMismatchError, type ProcessKeys, verifyKeyChecks } from "./key-checks.ts";
import { encryptionKeyId, toCheckValue } from "./sealer.ts";
import { findKeyChecks, removeKeyChecks } from "./store.ts";

const clock: Clock = { now: () => new Date("2026-01-01T00:00:00Z") };
const purposes = ["encryption", "session-hash", "session-block"] as const;

function key(fill: string): Buffer {
  return Buffer.alloc(32, fill);
}

function keysOf(changes: Partial<ProcessKeys> = {}): ProcessKeys {
  return {
    encryptionKeys: [key("e")],
    sessionHashKey: "h".repeat(32),
    sessionBlockKey: "b".repeat(32),
    previousSessionHashKeys: [],
    previousSessionBlockKeys: [],
    ...changes,
  };
}

describeDatabases("key checks", (under) => {
  beforeEach(async () => {
    await under.database.transaction(async (tx) => {
      for (const purpose of purposes) await removeKeyChecks(tx, purpose);
    });
  });

  const verify = (changes: Partial<ProcessKeys> = {}) =>
    verifyKeyChecks(under.database, keysOf(changes), clock);
  const readAll = async () => {
    const checks = await Promise.all(
      purposes.map((purpose) => findKeyChecks(under.database.reader, purpose)),
    );
    return checks.flat();
  };

  it("records every key of a fresh database, and nothing that tells of them", async () => {
    await verify();
    const checks = await readAll();
    expect(checks.map(({ purpose }) => purpose)).toEqual(purposes);
    expect(checks[0]).toEqual({
      purpose: "encryption",
      keyId: encryptionKeyId(key("e")),
      checkValue: toCheckValue(key("e")),
    });
    const text = JSON.stringify(checks);
    for (const secret of [key("e"), Buffer.from("h".repeat(32)), Buffer.from("b".repeat(32))]) {
      for (const encoding of ["base64", "base64url", "hex", "utf8"] as const) {
        expect(text).not.toContain(secret.toString(encoding));
      }
    }
  });

  it("accepts the same keys again and records nothing", async () => {
    await verify();
    const before = await readAll();
    await verify();
    expect(await readAll()).toEqual(before);
  });

  describe.each([
    ["encryption_key", { encryptionKeys: [key("x")] }, { encryptionKeys: [key("x"), key("e")] }],
    [
      "authentication.session.hash_secret_key",
      { sessionHashKey: "x".repeat(32) },
      { sessionHashKey: "x".repeat(32), previousSessionHashKeys: ["h".repeat(32)] },
    ],
    [
      "authentication.session.block_secret_key",
      { sessionBlockKey: "x".repeat(32) },
      { sessionBlockKey: "x".repeat(32), previousSessionBlockKeys: ["b".repeat(32)] },
    ],
  ])("%s", (setting, other, both) => {
    it("another one is refused, by name, and nothing is recorded", async () => {
      await verify();
      const before = await readAll();
      const refused = await verify(other).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(KeyMismatchError);
      expect((refused as Error).message).toMatch(new RegExp(`^${setting}: `));
      expect(await readAll()).toEqual(before);
      await expect(compareKeyChecks(under.database.reader, keysOf(other))).rejects.toBeInstanceOf(
        KeyMismatchError,
      );
    });

    it("a new one before the old one is accepted, and compared without recording it", async () => {
      await verify();
      const before = await readAll();
      expect(await compareKeyChecks(under.database.reader, keysOf(both))).toEqual([setting]);
      expect(await readAll()).toEqual(before);
      await verify(both);
      expect(await compareKeyChecks(under.database.reader, keysOf(both))).toEqual([]);
      await verify(both);
    });
  });

  it("an encryption key stays needed for as long as the database knows it", async () => {
    await verify();
    await verify({ encryptionKeys: [key("x"), key("e")] });
    await expect(verify({ encryptionKeys: [key("x")] })).rejects.toBeInstanceOf(KeyMismatchError);
    await expect(verify({ encryptionKeys: [key("e")] })).rejects.toBeInstanceOf(KeyMismatchError);
    await verify({ encryptionKeys: [key("e"), key("x")] });
  });

  it("a session key that was replaced is no longer enough by itself", async () => {
    const fresh = "x".repeat(32);
    await verify();
    await verify({ sessionHashKey: fresh, previousSessionHashKeys: ["h".repeat(32)] });
    await verify({ sessionHashKey: fresh });
    await expect(verify()).rejects.toBeInstanceOf(KeyMismatchError);
  });

  it("processes that start together record each key once, and of two that differ one starts", async () => {
    const other = await under.openAnother();
    await Promise.all([verify(), verifyKeyChecks(other, keysOf(), clock)]);
    expect(await readAll()).toHaveLength(3);

    await under.database.transaction(async (tx) => {
      for (const purpose of purposes) await removeKeyChecks(tx, purpose);
    });
    const results = await Promise.allSettled([
      verify({ encryptionKeys: [key("1")] }),
      verifyKeyChecks(other, keysOf({ encryptionKeys: [key("2")] }), clock),
    ]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });
});
