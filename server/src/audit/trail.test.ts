import { afterEach, describe, expect, it, vi } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { within } from "../../../test/parts/within.ts";
import type { Database } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { type Log, silentLog } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { Caller } from "../principals/principal.ts";
import { toRecord } from "./store.ts";
import { testMailboxes } from "./test-support.ts";
import { DatabaseAuditTrail, type DatabaseAuditTrailOptions } from "./trail.ts";

const at = new Date("2027-01-01T00:00:00Z");
const request: RequestInfo = {
  requestId: "r-1",
  clientAddress: "192.0.2.1",
  fromTrustedProxy: false,
  userAgent: "curl/8",
  outcome: {},
};
const caller: Caller = {
  request,
  principal: {
    type: "serviceuser",
    id: "su-1",
    orgId: "o-1",
    role: "owner",
    superuser: false,
    authVia: "client_credentials",
    credentialKind: "access_token",
    credentialId: "c-1",
    tokenId: "t-1",
  },
};

const trails: DatabaseAuditTrail[] = [];
function createTrail(
  database: Database,
  options: Partial<DatabaseAuditTrailOptions> = {},
): DatabaseAuditTrail {
  const trail = new DatabaseAuditTrail({
    database,
    clock: { now: () => at },
    log: silentLog,
    mailboxes: testMailboxes,
    ...options,
  });
  trails.push(trail);
  return trail;
}
afterEach(async () => {
  for (const trail of trails.splice(0)) await trail.close();
});

describeDatabases("the audit trail", (under) => {
  async function find(action: string) {
    const rows = await under.database.reader
      .selectFrom("audit_records")
      .selectAll()
      .where("action", "=", action)
      .orderBy("seq")
      .execute();
    return rows.map(toRecord);
  }

  it("records a change with its transaction: who, what, on what, from where", async () => {
    const trail = createTrail(under.database);
    await under.database.transaction((tx) =>
      trail.record(tx, caller, {
        action: "service_user.create",
        target: "su-2",
        orgId: "o-1",
        details: { title: "Robot", role: "owner" },
      }),
    );
    expect(await find("service_user.create")).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
        at,
        requestId: "r-1",
        actor: { type: "serviceuser", id: "su-1" },
        credentialKind: "access_token",
        credentialId: "c-1",
        tokenId: "t-1",
        action: "service_user.create",
        target: { type: "serviceuser", id: "su-2" },
        orgId: "o-1",
        result: "success",
        clientAddress: "192.0.2.1",
        userAgent: "curl/8",
        details: { title: "Robot", role: "owner" },
      },
    ]);
  });

  it("records nothing of a change that did not happen, and says so to nobody", async () => {
    const trail = createTrail(under.database);
    const told = vi.fn();
    trail.onCommitted(told);
    const failing = under.database.transaction(async (tx) => {
      await trail.record(tx, caller, { action: "user.create", target: "u-1" });
      throw new Error("undone");
    });
    await expect(failing).rejects.toThrow("undone");
    expect(await find("user.create")).toEqual([]);
    expect(told).not.toHaveBeenCalled();
  });

  it("names the server itself as actor of its own changes", async () => {
    const trail = createTrail(under.database);
    await under.database.transaction((tx) =>
      trail.recordOwn(tx, "server", { action: "signing_key.delete", target: "k-1" }),
    );
    expect(await find("signing_key.delete")).toMatchObject([{ actor: { type: "system", id: "server" } }]);
  });

  it("stores notes in their order within 100 ms, whatever their number", async () => {
    const trail = createTrail(under.database);
    let noted = 0;
    await within(1000, async () => {
      const committed = new Promise<void>((resolve) => void trail.onCommitted(resolve));
      const notedAtMs = performance.now();
      for (let count = 0; count < 99; count += 1)
        trail.note(caller, {
          action: "session.revoke_all",
          target: "u-1",
          details: { revoked: String(noted++) },
        });
      await committed;
      return performance.now() - notedAtMs;
    });
    await trail.flush();
    expect((await find("session.revoke_all")).map(({ details }) => details.revoked)).toEqual(
      Array.from({ length: noted }, (_, index) => String(index)),
    );
  });

  it("stores a refusal with its reason, and what is known of its credential", async () => {
    const trail = createTrail(under.database);
    trail.refuse(request, {
      action: "sign_in.refuse",
      reason: "NOT_AUTHENTICATED",
      detail: "wrong client secret",
      actor: { type: "serviceuser", id: "su-9" },
      credentialKind: "basic",
      credentialId: "c-9",
    });
    trail.refuse(
      { ...request, requestId: "", userAgent: "" },
      { action: "sign_in.refuse", reason: "NOT_AUTHENTICATED" },
    );
    await trail.close();
    const [known, unknown] = await find("sign_in.refuse");
    expect(known).toMatchObject({
      result: "refused",
      reason: "NOT_AUTHENTICATED",
      detail: "wrong client secret",
      actor: { type: "serviceuser", id: "su-9" },
      credentialKind: "basic",
      credentialId: "c-9",
    });
    expect(Object.keys(unknown ?? {}).sort()).toEqual(
      ["action", "at", "clientAddress", "details", "id", "reason", "result"].sort(),
    );
  });

  it("names the former owner of a credential that is gone, and of no other", async () => {
    const trail = createTrail(under.database);
    const ids = { deleted: newId(at), live: newId(at), unknown: newId(at), passkey: newId(at) };
    await under.database.transaction(async (tx) => {
      for (const id of [ids.deleted, ids.live])
        await trail.record(tx, caller, {
          action: "credential.create",
          target: id,
          orgId: "o-7",
          details: { service_user_id: "su-7", title: "CI" },
        });
      await trail.record(tx, caller, {
        action: "passkey.add",
        target: ids.passkey,
        details: { name: "phone" },
      });
    });
    const refuse = (credentialId: string, credentialKind: string, isUnknown: boolean) =>
      trail.refuse(request, {
        action: "credential.refuse",
        reason: "NOT_AUTHENTICATED",
        detail: "unknown client id",
        credentialKind,
        credentialId,
        target: credentialId,
        ...(isUnknown && { isUnknown }),
      });
    refuse(ids.unknown, "client_secret", true);
    refuse(ids.deleted, "client_secret", true);
    refuse(ids.deleted, "key_pair", true);
    refuse(ids.live, "client_secret", false);
    refuse(ids.passkey, "client_secret", true);
    await trail.flush();
    const owned = (detail: string) => ({
      actor: { type: "serviceuser", id: "su-7" },
      orgId: "o-7",
      detail: `${detail}: client secret ${ids.deleted} "CI" of service user su-7`,
    });
    const unowned = { actor: undefined, orgId: undefined, detail: "unknown client id" };
    const found = await find("credential.refuse");
    expect(found.map(({ actor, orgId, detail }) => ({ actor, orgId, detail }))).toEqual([
      unowned,
      owned("deleted"),
      owned("of another kind"),
      unowned,
      unowned,
    ]);
  });

  it("stores hostile texts cut and without control characters", async () => {
    const trail = createTrail(under.database);
    trail.note(
      { ...caller, request: { ...request, userAgent: "a\u0000b\ud800" } },
      {
        action: "passkey.rename",
        target: "\u0000".repeat(5000),
        details: { "\u0000": "y".repeat(5000) } as unknown as { name: string },
      },
    );
    await trail.flush();
    const [record] = await find("passkey.rename");
    expect(record).toMatchObject({ userAgent: "a b\ufffd", details: { " ": "y".repeat(512) } });
    expect(record?.target?.id).toBe(" ".repeat(200));
  });

  it("writes what waits when it is closed, and takes nothing after", async () => {
    const trail = createTrail(under.database, { flushAfterMs: 3_600_000 });
    trail.note(caller, { action: "session.revoke", target: "s-1" });
    await trail.close();
    trail.note(caller, { action: "session.revoke", target: "s-1" });
    expect(await find("session.revoke")).toHaveLength(1);
    expect(trail.lostCount).toBe(1);
  });
});

const ended = { action: "session.revoke", target: "s-1" } as const;

describe("the audit trail under a steady load", () => {
  it("makes one transaction of what was noted in its time, and not one after another", async () => {
    let transactions = 0;
    const database = {
      transaction: async () => {
        transactions += 1;
        await new Promise((resolve) => setTimeout(resolve, 1));
        trail.note(caller, ended);
      },
    } as unknown as Database;
    // A rest of an hour is for what could not be written: none of this may wait for that.
    const trail = createTrail(database, { flushAfterMs: 20, retryAfterMs: 3_600_000 });
    const beganAtMs = performance.now();
    trail.note(caller, ended);
    await eventually(() => expect(transactions).toBeGreaterThan(4));
    expect(transactions).toBeLessThanOrEqual((performance.now() - beganAtMs) / 20 + 1);
    database.transaction = async () => undefined as never;
  });

  it("writes what is noted while it closes", async () => {
    let transactions = 0;
    const database = {
      transaction: async () => {
        transactions += 1;
        if (transactions === 1) trail.note(caller, ended);
      },
    } as unknown as Database;
    const trail = createTrail(database);
    trail.note(caller, ended);
    await trail.close();
    expect([transactions, trail.lostCount]).toEqual([2, 0]);
  });
});

/** A database whose transactions fail while told to. Nothing is written. */
function createBrokenDatabase(error: () => Error | undefined): { database: Database; written: () => number } {
  let written = 0;
  const database = {
    transaction: async () => {
      const failure = error();
      if (failure !== undefined) throw failure;
      written += 1;
    },
  } as unknown as Database;
  return { database, written: () => written };
}

describe("the audit trail without its database", () => {
  it("keeps what it could not write, and writes it once it can", async () => {
    let isDown = true;
    const { database, written } = createBrokenDatabase(() =>
      isDown ? new DomainError("UNAVAILABLE") : undefined,
    );
    const trail = createTrail(database, { retryAfterMs: 1 });
    trail.note(caller, ended);
    await trail.flush();
    await trail.flush();
    expect(written()).toBe(0);
    isDown = false;
    await eventually(() => expect(written()).toBe(1));
    expect(trail.lostCount).toBe(0);
  });

  it("holds no more than its buffer takes, and says how many were lost", async () => {
    const { database } = createBrokenDatabase(() => new DomainError("UNAVAILABLE"));
    const error = vi.fn();
    const log: Log = { ...silentLog, error };
    const trail = createTrail(database, { log, maxBuffered: 10, retryAfterMs: 3_600_000 });
    for (let count = 0; count < 15; count += 1) trail.note(caller, ended);
    expect(trail.lostCount).toBe(5);
    await trail.close();
    expect(error).toHaveBeenLastCalledWith({ lost: 10, sinceStart: 15 }, "audit records were lost");
  });

  it("gives up records that can never be stored, and goes on with the next", async () => {
    let isBroken = true;
    const { database, written } = createBrokenDatabase(() =>
      isBroken ? new Error("constraint") : undefined,
    );
    const trail = createTrail(database);
    trail.note(caller, ended);
    await trail.flush();
    isBroken = false;
    trail.note(caller, ended);
    await trail.flush();
    expect({ lost: trail.lostCount, written: written() }).toEqual({ lost: 1, written: 1 });
  });
});
