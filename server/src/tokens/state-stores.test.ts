import { expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { consumeAssertion, deleteUsedAssertions } from "./assertion-store.ts";
import {
  deleteRevokedTokens,
  findRevokedTokens,
  insertRevokedToken,
  isRevokedToken,
} from "./revocation-store.ts";

const now = new Date("2026-01-01T00:00:00Z");
const later = new Date(now.getTime() + 60_000);

describeDatabases("used assertions", (under) => {
  it("are used once", async () => {
    const { database } = under;
    expect(await database.transaction((tx) => consumeAssertion(tx, "once", later))).toBe(true);
    expect(await database.transaction((tx) => consumeAssertion(tx, "once", later))).toBe(false);
    expect(await database.transaction((tx) => consumeAssertion(tx, "other", later))).toBe(true);
  });

  it("are used once by many at the same time, in two processes", async () => {
    const databases = [under.database, await under.openAnother()];
    for (let round = 0; round < 20; round++) {
      const id = `raced-${round}`;
      const outcomes = await Promise.all(
        [...databases, ...databases].map((database) =>
          database.transaction((tx) => consumeAssertion(tx, id, later)),
        ),
      );
      expect(outcomes.filter(Boolean)).toHaveLength(1);
    }
  });

  it("can be used again if the use was rolled back", async () => {
    const { database } = under;
    const failed = database.transaction(async (tx) => {
      await consumeAssertion(tx, "rolled-back", later);
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    expect(await database.transaction((tx) => consumeAssertion(tx, "rolled-back", later))).toBe(true);
  });

  it("are forgotten once they have expired", async () => {
    const { database } = under;
    await database.transaction((tx) => consumeAssertion(tx, "old", now));
    await database.transaction((tx) => consumeAssertion(tx, "older", new Date(now.getTime() - 1)));
    await database.transaction((tx) => consumeAssertion(tx, "young", later));
    expect(await database.transaction((tx) => deleteUsedAssertions(tx, now, 1))).toBe(1);
    expect(await database.transaction((tx) => deleteUsedAssertions(tx, now, 10))).toBe(1);
    expect(await database.transaction((tx) => deleteUsedAssertions(tx, now, 10))).toBe(0);
    expect(await database.transaction((tx) => consumeAssertion(tx, "old", later))).toBe(true);
    expect(await database.transaction((tx) => consumeAssertion(tx, "young", later))).toBe(false);
  });
});

describeDatabases("revoked tokens", (under) => {
  it("are found until they have expired", async () => {
    const { database } = under;
    await database.transaction(async (tx) => {
      await insertRevokedToken(tx, { jti: "old", expiresAt: now });
      await insertRevokedToken(tx, { jti: "young", expiresAt: later });
      await insertRevokedToken(tx, { jti: "young", expiresAt: now });
    });
    expect(await isRevokedToken(database.reader, "young")).toBe(true);
    expect(await isRevokedToken(database.reader, "unknown")).toBe(false);
    expect(await findRevokedTokens(database.reader, now, 10)).toEqual([{ jti: "young", expiresAt: later }]);
    expect(await findRevokedTokens(database.reader, new Date(0), 1)).toHaveLength(1);
    expect(await database.transaction((tx) => deleteRevokedTokens(tx, now, 0))).toBe(0);
    expect(await database.transaction((tx) => deleteRevokedTokens(tx, now, 10))).toBe(1);
    expect(await isRevokedToken(database.reader, "old")).toBe(false);
    expect(await isRevokedToken(database.reader, "young")).toBe(true);
  });
});
