/** What the trail says of one person, found by their address or their id (case T6). */
import { randomBytes } from "node:crypto";
import { CompiledQuery } from "kysely";
import { afterEach, beforeAll, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { createSealer } from "../encryption/sealer.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import type { Principal } from "../principals/principal.ts";
import { addUser, newRequestInfo } from "../sessions/test-support.ts";
import { toEmail } from "../users/email.ts";
import { findUserByEmail } from "../users/store.ts";
import { type Mailboxes, openMailboxes } from "./mailboxes.ts";
import { findRecords } from "./query-store.ts";
import type { AuditRecord } from "./record.ts";
import { AuditService, type ListQuery } from "./service.ts";
import { insertRecords, toRow } from "./store.ts";
import { DatabaseAuditTrail } from "./trail.ts";

const startMs = Date.UTC(2027, 0, 1);
const any: ListQuery = { org: "", actorId: "", targetId: "", action: "", result: "", requestId: "" };
const superuser: Principal = {
  type: "serviceuser",
  id: "su-super",
  orgId: "o-default",
  role: "owner",
  superuser: true,
  authVia: "client_credentials",
  credentialKind: "client_secret",
  credentialId: "c-super",
};

function makeRecord(index: number, rest: Partial<AuditRecord>): AuditRecord {
  const at = new Date(startMs + Math.floor(index / 2) * 1000);
  return { id: newId(at), at, action: "x.do", result: "success", details: { index: String(index) }, ...rest };
}

describeDatabases("records of a person", (under) => {
  const sealer = createSealer([randomBytes(32)]);
  let mailboxes: Mailboxes;
  let service: AuditService;
  const trails: DatabaseAuditTrail[] = [];
  afterEach(async () => {
    for (const trail of trails.splice(0)) await trail.close();
  });
  beforeAll(async () => {
    mailboxes = await openMailboxes({ database: under.database, sealer, toEmail, findUserByEmail });
    service = createService();
  });

  const createService = (rowsPerRead = 10_000) =>
    new AuditService({
      reader: under.database.reader,
      access: { require: async () => ({ organization: { id: "o-1" } }) },
      findTenant: async (orgId) => orgId,
      clock: { now: () => new Date(startMs) },
      mailboxes,
      retentionSeconds: 1,
      onCommitted: () => () => {},
      onDoubt: () => () => {},
      rowsPerRead,
    });
  const insert = (records: readonly AuditRecord[]) =>
    under.database.transaction((tx) => insertRecords(tx, records.map(toRow)));

  async function list(query: Partial<ListQuery>, size = 200, from = service) {
    const pages: string[][] = [];
    let token = "";
    do {
      const page = await from.list(superuser, { ...any, ...query }, {}, { size, token });
      pages.push(page.items.map(({ details }) => details.index ?? ""));
      token = page.nextPageToken;
    } while (token !== "");
    return { pages, all: pages.flat() };
  }

  let count = 0;
  const newEmail = () => `carl-${count++}-${under.dialect}@example.org`;

  /** Records 0 to 59 of a person: by turns done by them, done to them, about their mailbox, all of it, of others. */
  async function addHistory() {
    const carl = await addUser(under.database, { email: newEmail() });
    const subject = { type: "user", id: carl.id };
    const mailboxHash = mailboxes.hash(carl.email);
    const kinds: Partial<AuditRecord>[] = [
      { actor: subject },
      { target: subject },
      { mailboxHash, result: "refused" },
      { actor: subject, target: subject, mailboxHash },
      { actor: { type: "user", id: newId(new Date()) }, mailboxHash: mailboxes.hash(newEmail()) },
    ];
    await insert(Array.from({ length: 60 }, (_, index) => makeRecord(index, { ...kinds[index % 5] })));
    return carl;
  }
  const down = (test: (index: number) => boolean) =>
    Array.from({ length: 60 }, (_, index) => 59 - index)
      .filter(test)
      .map(String);

  it.each([200, 7, 1])("come by their address, each once and newest first, in pages of %d", async (size) => {
    const { email } = await addHistory();
    const expected = down((index) => index % 5 !== 4);
    expect((await list({ mailbox: email }, size)).all).toEqual(expected);
    expect((await list({ mailbox: ` ${email.toUpperCase()}` }, size)).all).toEqual(expected);
  });

  it.each([200, 7, 1])("come by their id, whoever did it, in pages of %d", async (size) => {
    const { id } = await addHistory();
    const expected = down((index) => index % 5 < 2 || index % 5 === 3);
    expect((await list({ userId: id }, size)).all).toEqual(expected);
    expect((await list({ userId: id.toUpperCase() }, size)).all).toEqual(expected);
  });

  it("are narrowed down by the other filters, and found however few rows a call looks at", async () => {
    const { email } = await addHistory();
    const refused = down((index) => index % 5 === 2);
    expect((await list({ mailbox: email, result: "refused" })).all).toEqual(refused);
    const { pages, all } = await list({ mailbox: email, result: "refused" }, 3, createService(5));
    expect(all).toEqual(refused);
    expect(pages.length).toBeGreaterThan(4);
  });

  it("are about the mailbox where it has no account, and stay so when it gets one", async () => {
    const email = newEmail();
    await insert([0, 1].map((index) => makeRecord(index, { mailboxHash: mailboxes.hash(email) })));
    const first = await service.list(superuser, { ...any, mailbox: email }, {}, { size: 1, token: "" });
    await addUser(under.database, { email });
    const page = { size: 1, token: first.nextPageToken };
    const second = await service.list(superuser, { ...any, mailbox: email }, {}, page);
    expect([...first.items, ...second.items].map(({ details }) => details.index)).toEqual(["1", "0"]);
  });

  it("are for superusers alone, by one of the two, and by an address", async () => {
    const page = { size: 1, token: "" };
    const manager = { ...superuser, superuser: false } as Principal;
    for (const asked of [{ mailbox: "ada@example.org" }, { userId: "u" }]) {
      const refused = service.list(manager, { ...any, org: "o-1", ...asked }, {}, page);
      await expect(refused).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
    }
    for (const asked of [{ mailbox: "ada" }, { mailbox: "ada@example.org", userId: "u" }]) {
      const refused = service.list(superuser, { ...any, ...asked }, {}, page);
      await expect(refused).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    }
  });

  it("are found by an index of its own for each of what they are about", async () => {
    if (under.dialect !== "sqlite") return expect(under.dialect).toBe("postgres");
    const { reader } = under.database;
    const asked: CompiledQuery[] = [];
    const watched = reader.withPlugin({
      transformQuery: ({ node, queryId }) => {
        asked.push(reader.getExecutor().compileQuery(node, queryId));
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    for (const column of ["actor_id", "target_id", "mailbox_hash"] as const) {
      asked.splice(0);
      const filter = { about: [[column, "x"]], orgId: "y", action: "z", requestId: "r" } as const;
      await findRecords(watched, filter, {}, { limit: 50, budget: 10 });
      for (const { sql, parameters } of asked) {
        const explained = CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]);
        const { rows } = await reader.executeQuery<{ detail: string }>(explained);
        const index = expect.stringContaining(`INDEX audit_records_${column} (`);
        expect(rows.map(({ detail }) => detail)).toEqual([index]);
      }
    }
  });

  it("name no address: what is kept is a hash that other databases do not share", async () => {
    const [known, unknown] = [newEmail(), newEmail()];
    const { id } = await addUser(under.database, { email: known });
    const clock = { now: () => new Date(startMs) };
    const trail = new DatabaseAuditTrail({ database: under.database, clock, log: silentLog, mailboxes });
    trails.push(trail);
    for (const mailbox of [known, unknown]) {
      const reason = "INVALID_OTP";
      trail.refuse(newRequestInfo(), { action: "sign_in.refuse", reason, mailbox });
    }
    await trail.flush();
    const rows = await under.database.reader
      .selectFrom("audit_records")
      .selectAll()
      .where("action", "=", "sign_in.refuse")
      .orderBy("seq", "desc")
      .limit(2)
      .execute();
    expect(rows.map((row) => [row.target_type, row.target_id, row.mailbox_hash])).toEqual([
      [null, null, mailboxes.hash(unknown)],
      ["user", id, mailboxes.hash(known)],
    ]);
    expect(JSON.stringify(rows)).not.toMatch(/carl-/);
    const other = createSealer([randomBytes(32)]);
    await expect(
      openMailboxes({ database: under.database, sealer: other, toEmail, findUserByEmail }),
    ).rejects.toThrow();
  });

  it("have one key, whichever of the processes that start at once makes it", async () => {
    await under.database.transaction((tx) => tx.deleteFrom("audit_keys").execute());
    const databases = [under.database, await under.openAnother(), await under.openAnother()];
    const opened = await Promise.all(
      databases.map((database) => openMailboxes({ database, sealer, toEmail, findUserByEmail })),
    );
    expect(new Set(opened.map(({ hash }) => hash("ada@example.org"))).size).toBe(1);
  });
});
