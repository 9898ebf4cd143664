import { beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Database, Tx } from "../db/database.ts";
import { jsonColumn, jsonTexts } from "../db/json-column.ts";
import type { Clock } from "../lib/clock.ts";
import { verifyKeyChecks } from "./key-checks.ts";
import { ReencryptionError, reencrypt } from "./reencryption.ts";
import { isAnySealedOtherwise, replaceSealed } from "./sealed-column-store.ts";
import {
  createSealer,
  encryptionKeyId,
  placeOf,
  type RowKey,
  type SealedColumn,
  type Sealer,
} from "./sealer.ts";
import { findKeyChecks, removeKeyChecks } from "./store.ts";

const clock: Clock = { now: () => new Date("2026-01-01T00:00:00Z") };
const old = Buffer.alloc(32, "old");
const fresh = Buffer.alloc(32, "fresh");
const stranger = Buffer.alloc(32, "stranger");

const keys: SealedColumn = {
  purpose: "signing-key",
  table: "signing_keys",
  column: "sealed_private_key",
  keyColumns: ["kid"],
};
const requests: SealedColumn = {
  purpose: "idempotency",
  table: "idempotency_keys",
  column: "sealed_request",
  keyColumns: ["caller_id", "frontdoor_id", "key"],
  toRowId: (key) => JSON.stringify(key),
};
const revisions: SealedColumn = {
  purpose: "auth-provider",
  table: "auth_provider_revisions",
  column: "sealed_secrets",
  keyColumns: ["provider_id", "revision"],
  toRowId: ([id, revision]) => `${id}/${revision}`,
  byProperty: jsonColumn("auth_provider_revisions.sealed_secrets", jsonTexts),
};
const columns = [keys, requests, revisions];

const sealText = (sealer: Sealer, sealed: SealedColumn, key: RowKey, text: string, property?: string) =>
  sealer.seal(placeOf(sealed, key, property), Buffer.from(text));

async function insertKey(tx: Tx, kid: string, sealed_private_key: string): Promise<void> {
  const times = { created_at: 1, signs_from_at: 1, retires_at: null };
  const row = { kid, algorithm: "ES256", public_jwk: "{}", sealed_private_key, ...times } as const;
  await tx.insertInto("signing_keys").values(row).execute();
}

async function insertFrontdoor(tx: Tx): Promise<void> {
  const times = { created_at: 1, updated_at: 1 };
  const organization = {
    id: "o",
    name: "o",
    title: "",
    metadata: "{}",
    avatar: "",
    state: "enabled",
  } as const;
  await tx
    .insertInto("organizations")
    .values({ ...organization, ...times })
    .execute();
  await tx
    .insertInto("frontdoors")
    .values({ id: "f", org_id: "o", name: "f", change_seq: 0, ...times })
    .execute();
  const provider = {
    id: "p",
    frontdoor_id: "f",
    name: "p",
    type: "OIDC",
    enabled: 1,
    revision: 1,
    sessions_from: 1,
  } as const;
  await tx
    .insertInto("auth_providers")
    .values({ ...provider, change_seq: 0, ...times })
    .execute();
}

async function insertRevision(tx: Tx, revision: number, sealed_secrets: string): Promise<void> {
  await tx
    .insertInto("auth_provider_revisions")
    .values({
      provider_id: "p",
      revision,
      name: "p",
      enabled: 1,
      data: "{}",
      sealed_secrets,
      change: "create",
      restored_revision: null,
      changes: "[]",
      author_type: "user",
      author_id: "u",
      created_at: 1,
    })
    .execute();
}

describeDatabases("sealing everything anew", (under) => {
  const first = createSealer([old, fresh]);
  const both = createSealer([fresh, old]);
  const alone = createSealer([fresh]);
  let retired: string[];

  const run = (changes: { database?: Database; sealer?: Sealer; columns?: SealedColumn[] } = {}) =>
    reencrypt({
      database: under.database,
      sealer: both,
      columns,
      rowsPerTransaction: 2,
      recordRetired: async (_tx, keyId) => void retired.push(keyId),
      ...changes,
    });
  const recorded = async () =>
    (await findKeyChecks(under.database.reader, "encryption")).map(({ keyId }) => keyId);
  const keyOf = (kid: string) =>
    under.database.reader
      .selectFrom("signing_keys")
      .select("sealed_private_key")
      .where("kid", "=", kid)
      .executeTakeFirstOrThrow();

  beforeEach(async () => {
    retired = [];
    await under.database.transaction(async (tx) => {
      for (const table of ["signing_keys", "idempotency_keys", "organizations"] as const) {
        await tx.deleteFrom(table).execute();
      }
      for (const purpose of ["encryption", "session-hash", "session-block"])
        await removeKeyChecks(tx, purpose);
    });
    const sessions = { sessionHashKey: "h".repeat(32), sessionBlockKey: "b".repeat(32) };
    const previous = { previousSessionHashKeys: [], previousSessionBlockKeys: [] };
    for (const encryptionKeys of [[old], [fresh, old]]) {
      await verifyKeyChecks(under.database, { encryptionKeys, ...sessions, ...previous }, clock);
    }
  });

  it("opens with the first key alone, whatever the shape of its column", async () => {
    const request = ["c", "f", 'a "v1.b'] as const;
    await under.database.transaction(async (tx) => {
      for (const kid of ["a", "b", "c", "d", "e"])
        await insertKey(tx, kid, sealText(first, keys, [kid], `of ${kid}`));
      await insertKey(tx, "z", sealText(both, keys, ["z"], "of z"));
      await insertFrontdoor(tx);
      const [caller_id, frontdoor_id, key] = request;
      const sealed_request = sealText(first, requests, request, "what was asked");
      await tx
        .insertInto("idempotency_keys")
        .values({ caller_id, frontdoor_id, key, sealed_request, answer: "{}", expires_at: 1 })
        .execute();
      const secrets = {
        one: sealText(both, revisions, ["p", 1], "fresh already", "one"),
        two: sealText(first, revisions, ["p", 1], 'of "two"', "two"),
      };
      await insertRevision(tx, 1, JSON.stringify(secrets));
      await insertRevision(tx, 2, "{}");
    });

    const untouched = await keyOf("z");
    const { rows, retiredKeyIds } = await run();
    expect([...rows.values()]).toEqual([5, 1, 1]);
    expect(retiredKeyIds).toEqual([encryptionKeyId(old)]);
    expect(retired).toEqual([encryptionKeyId(old)]);
    expect(await recorded()).toEqual([encryptionKeyId(fresh)]);
    expect(await keyOf("z")).toEqual(untouched);

    const { reader } = under.database;
    for (const kid of ["a", "e", "z"]) {
      const { sealed_private_key } = await keyOf(kid);
      expect(alone.open(placeOf(keys, [kid]), sealed_private_key).toString()).toBe(`of ${kid}`);
    }
    const asked = await reader.selectFrom("idempotency_keys").selectAll().executeTakeFirstOrThrow();
    expect(alone.open(placeOf(requests, request), asked.sealed_request).toString()).toBe("what was asked");
    const stored = await reader
      .selectFrom("auth_provider_revisions")
      .selectAll()
      .orderBy("revision")
      .execute();
    const { one, two } = JSON.parse(stored[0]?.sealed_secrets ?? "");
    expect(alone.open(placeOf(revisions, ["p", 1], "one"), one).toString()).toBe("fresh already");
    expect(alone.open(placeOf(revisions, ["p", 1], "two"), two).toString()).toBe('of "two"');
    expect(stored[1]?.sealed_secrets).toBe("{}");

    const again = await run();
    expect([...again.rows.values()]).toEqual([0, 0, 0]);
    expect(again.retiredKeyIds).toEqual([]);
  });

  it("leaves a value that changed since it was read", async () => {
    const [before, since] = ["before", "since"].map((text) => sealText(first, keys, ["a"], text));
    await under.database.transaction((tx) => insertKey(tx, "a", since ?? ""));
    await under.database.transaction((tx) =>
      replaceSealed(tx, keys, { key: ["a"], sealed: before ?? "" }, "newer than it should be"),
    );
    expect(await keyOf("a")).toEqual({ sealed_private_key: since });
  });

  it.each([
    ["of a key that is not configured", () => sealText(createSealer([stranger]), keys, ["b"], "x")],
    ["from another place", () => sealText(first, keys, ["elsewhere"], "x")],
    ["that is damaged", () => `v1.${encryptionKeyId(old)}.x.y`],
    ["that is none", () => "plain text"],
  ])("stops at a value %s, says where, and forgets no key", async (_, make) => {
    await under.database.transaction(async (tx) => {
      await insertKey(tx, "a", sealText(first, keys, ["a"], "of a"));
      await insertKey(tx, "b", make());
    });
    await expect(run()).rejects.toThrow(/^signing_keys\.sealed_private_key of b cannot be opened: /);
    expect(await recorded()).toHaveLength(2);
    expect(retired).toEqual([]);
  });

  it("forgets no key while somebody goes on sealing with it", async () => {
    const late = sealText(first, keys, ["late"], "of late");
    let transactions = 0;
    const database: Database = {
      dialect: under.dialect,
      isShared: under.database.isShared,
      reader: under.database.reader,
      afterCommit: (tx, hook) => under.database.afterCommit(tx, hook),
      close: async () => {},
      transaction: async (work) => {
        // One for each column, then the one that forgets.
        if (++transactions === 4) await under.database.transaction((tx) => insertKey(tx, "late", late));
        return await under.database.transaction(work);
      },
    };
    await expect(run({ database })).rejects.toBeInstanceOf(ReencryptionError);
    expect(await recorded()).toHaveLength(2);
    expect((await run()).retiredKeyIds).toHaveLength(1);
    expect(await keyOf("late")).not.toEqual({ sealed_private_key: late });
  });

  describe("a look at what is sealed with which key", () => {
    it("takes several keys, and knows one that is missing", async () => {
      const ids = [old, fresh].map(encryptionKeyId);
      await under.database.transaction(async (tx) => {
        await insertKey(tx, "a", sealText(first, keys, ["a"], "x"));
        await insertKey(tx, "b", sealText(both, keys, ["b"], "x"));
        await insertFrontdoor(tx);
        const secrets = { one: sealText(first, revisions, ["p", 1], "x", "one") };
        await insertRevision(tx, 1, JSON.stringify(secrets));
      });
      const look = (sealed: SealedColumn, keyIds: string[]) =>
        isAnySealedOtherwise(under.database.reader, sealed, keyIds);
      expect(await look(keys, ids)).toBe(false);
      expect(await look(revisions, ids)).toBe(false);
      for (const [at, id] of ids.entries()) expect(await look(keys, [id]), String(at)).toBe(true);
      expect(await look(revisions, ids.slice(1))).toBe(true);
      expect(await look(revisions, ids.slice(0, 1))).toBe(false);
      expect(await look(requests, ids.slice(0, 1))).toBe(false);
    });
  });
});
