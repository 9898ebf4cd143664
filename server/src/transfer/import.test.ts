import { generateKeyPairSync, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { testMailboxes } from "../audit/test-support.ts";
import { DatabaseAuditTrail } from "../audit/trail.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import { insertMember } from "../organizations/member-store.ts";
import { deleteOrganization, findOrganization } from "../organizations/store.ts";
import { ensureBootstrap } from "../service-users/bootstrap.ts";
import { findCredentials } from "../service-users/credential-store.ts";
import { findServiceUser } from "../service-users/store.ts";
import { findIdentities } from "../users/identity-store.ts";
import { findUser, findUserByEmail, insertUser, markEmailProven } from "../users/store.ts";
import { toNewUser } from "../users/user.ts";
import { exportRecords } from "./export.ts";
import { type Counts, importRecords, type ReportLine } from "./import.ts";
import type { ImportChoices } from "./importer.ts";
import type { RawRecord } from "./read-file.ts";
import type { Kind } from "./records.ts";
import type { RuleParts } from "./rules.ts";

const clock = { now: () => new Date() };
const providers = [
  { name: "acme", issuer: "https://id.acme.example" },
  { name: "entra", issuer: "https://login.microsoftonline.com/{tenantid}/v2.0" },
];

function toParts(database: OpenDatabase): RuleParts & { readonly changes: Change[] } {
  const feed = new ChangeFeed({ database, clock, log: silentLog });
  const changes: Change[] = [];
  feed.subscribe({ onChange: (change) => changes.push(change), onReset: () => {} });
  const audit = new DatabaseAuditTrail({ database, clock, log: silentLog, mailboxes: testMailboxes });
  return {
    database,
    feed,
    audit,
    changes,
    mailboxes: testMailboxes,
    clock,
    publicUrl: "https://id.example.com",
  };
}

async function* toRaw(records: readonly object[]): AsyncGenerator<RawRecord> {
  for (const [at, value] of records.entries()) yield { place: { line: at + 1 }, value: { ...value } };
}

/** What is told of the one record there is. */
const only = ({ lines: [line] }: { readonly lines: readonly ReportLine[] }) => ({
  outcome: line?.outcome,
  ...(line?.refusal && { reason: line.refusal.reason, field: line.refusal.field }),
});

describeDatabases("import", (under) => {
  let parts: ReturnType<typeof toParts>;
  beforeAll(async () => {
    parts = toParts(under.database);
    const { database, feed, audit } = parts;
    await ensureBootstrap({ database, feed, audit, clock, configured: undefined });
  });

  async function run(
    kind: Kind,
    records: readonly object[],
    choices: Partial<ImportChoices> & { readonly isDry?: boolean } = {},
    on: RuleParts = parts,
  ): Promise<{ counts: Counts; lines: readonly ReportLine[] }> {
    const { isDry = false, ...rest } = choices;
    const lines: ReportLine[] = [];
    const counts = await importRecords({
      kind,
      records: toRaw(records),
      choices: { trust: "none", matchAddresses: false, source: "", ...rest },
      providers,
      isDry,
      parts: on,
      onRecord: (line) => void lines.push(line),
    });
    return { counts, lines };
  }

  const read = (id: string) => findUser(under.database.reader, id);
  const newPerson = () => ({ id: randomUUID(), email: `ada-${randomUUID()}@example.org`, title: "Ada" });
  const newOrganization = () => ({ id: randomUUID(), name: `org-${randomUUID().slice(0, 8)}` });

  async function add<R extends object>(kind: Kind, record: R): Promise<R> {
    expect(only(await run(kind, [record]))).toEqual({ outcome: "created" });
    return record;
  }

  async function recordsAbout(id: string) {
    const rows = under.database.reader.selectFrom("audit_records").selectAll().where("target_id", "=", id);
    return (await rows.orderBy("at").orderBy("seq").execute()).map(({ actor_type, actor_id, action }) =>
      [actor_type, actor_id, action].join(" "),
    );
  }

  /** Somebody who came by themselves. */
  async function signUp(email: string, isProven: boolean): Promise<string> {
    const user = toNewUser(email, clock.now());
    await under.database.transaction(async (tx) => {
      await insertUser(tx, user);
      if (isProven) await markEmailProven(tx, user.id, clock.now());
    });
    return user.id;
  }

  describe("of people", () => {
    it("makes who is new, under their id, and records it as the command line's", async () => {
      const created_at = "2021-05-06T07:08:09.123Z";
      const person = { ...newPerson(), name: "Lovelace-1", metadata: { team: "a" }, created_at };
      await add("people", { ...person, email: person.email.toUpperCase() });
      expect(await read(person.id)).toMatchObject({
        email: person.email,
        name: "lovelace-1",
        title: "Ada",
        metadata: { team: "a" },
        state: "enabled",
        createdAt: new Date(created_at),
      });
      expect(await recordsAbout(person.id)).toEqual(["system command-line user.create"]);
    });

    it("changes nothing when the same comes again, and what has changed when that has", async () => {
      const person = await add("people", newPerson());
      const before = await read(person.id);
      expect(only(await run("people", [person]))).toEqual({ outcome: "unchanged" });
      expect(await read(person.id)).toEqual(before);
      expect(only(await run("people", [{ ...person, title: "Ada L." }]))).toEqual({ outcome: "changed" });
      expect(await read(person.id)).toMatchObject({ title: "Ada L.", name: before?.name });
      expect(await recordsAbout(person.id)).toEqual([
        "system command-line user.create",
        "system command-line user.update",
      ]);
      expect(parts.changes).toContainEqual({ topic: "user", subject: person.id });
    });

    it("gives an id that is no UUID one of its own, each time the same, and another for another system", async () => {
      const person = { ...newPerson(), id: `hr-${randomUUID()}` };
      const [first] = (await run("people", [person])).lines;
      expect(first?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      const [again] = (await run("people", [person])).lines;
      expect(again).toMatchObject({ outcome: "unchanged", id: first?.id });
      const { lines } = await run("people", [{ ...newPerson(), id: person.id }], { source: "other" });
      expect(lines[0]?.outcome).toBe("created");
      expect(lines[0]?.id).not.toBe(first?.id);
    });

    it("takes an address that is verified there as given, and as proven only where that is asked for", async () => {
      const people = [{ email_verified: true }, { email_verified: false }, {}].map((said) => {
        return { ...newPerson(), ...said };
      });
      const stand = async (trust: ImportChoices["trust"]) => {
        const fresh = people.map((person) => ({ ...person, ...newPerson() }));
        await run("people", fresh, { trust });
        const users = await Promise.all(fresh.map(({ id }) => read(id)));
        return users.map((user) => (user?.emailProven ? "proven" : user?.isEmailGiven ? "given" : "open"));
      };
      expect(await stand("none")).toEqual(["given", "open", "given"]);
      expect(await stand("verified")).toEqual(["proven", "open", "given"]);
      expect(await stand("all")).toEqual(["proven", "given", "given"]);
    });

    it("never takes an account for somebody's because its address is theirs", async () => {
      const person = newPerson();
      const id = await signUp(person.email, true);
      const taken = { outcome: "refused", reason: "ADDRESS_TAKEN", field: "email" };
      expect(only(await run("people", [{ ...person, email: person.email.toUpperCase() }]))).toEqual(taken);
      expect(await read(id)).toMatchObject({ title: "" });
      expect(await read(person.id)).toBeUndefined();
    });

    it("takes it for theirs where that is asked for, but not one whose address a stranger may have typed", async () => {
      const [proven, open] = [newPerson(), newPerson()];
      const id = await signUp(proven.email, true);
      await signUp(open.email, false);
      const { lines } = await run("people", [proven, open], { matchAddresses: true });
      expect(lines[0]).toMatchObject({ outcome: "changed", id });
      expect(lines[1]?.refusal?.reason).toBe("ADDRESS_TAKEN");
      expect(await read(id)).toMatchObject({ title: "Ada", email: proven.email });
      expect((await run("people", [proven], { matchAddresses: true })).counts.unchanged).toBe(1);
    });

    it("takes nobody's account for one whose address nobody verified where the file is from", async () => {
      const person = { ...newPerson(), email_verified: false };
      const id = await signUp(person.email, true);
      const choices = { matchAddresses: true, trust: "verified" } as const;
      expect(only(await run("people", [person], choices))).toMatchObject({ reason: "ADDRESS_TAKEN" });
      expect(await read(id)).toMatchObject({ title: "" });
      const ref = { user_id: person.id, user_email: person.email, user_email_verified: false };
      for (const user of [ref, { ...ref, user_id: undefined }]) {
        const identity = { ...user, provider: "acme", subject: randomUUID() };
        expect(only(await run("identities", [identity], choices))).toMatchObject({ reason: "UNKNOWN_USER" });
      }
      expect(await findIdentities(under.database.reader, id)).toEqual([]);
      expect(only(await run("people", [person], { ...choices, trust: "all" }))).toEqual({
        outcome: "changed",
      });
    });

    it("leaves who is known by an address alone where they have moved, and takes nobody else for them", async () => {
      const { id: _, ...person } = newPerson();
      const [{ id } = {}] = (await run("people", [person])).lines;
      const moved = newPerson().email;
      await under.database.transaction((tx) =>
        tx
          .updateTable("users")
          .set({ email: moved })
          .where("id", "=", id ?? "")
          .execute(),
      );
      expect(only(await run("people", [person]))).toEqual({ outcome: "unchanged" });
      const ref = { user_email: person.email, provider: "acme" };
      expect(only(await run("identities", [{ ...ref, subject: randomUUID() }]))).toEqual({
        outcome: "created",
      });
      expect(await read(id ?? "")).toMatchObject({ email: moved });
      const other = await signUp(person.email, true);
      const again = { ...person, title: "Ada L." };
      expect(only(await run("people", [again]))).toMatchObject({ reason: "ADDRESS_TAKEN" });
      expect(only(await run("identities", [{ ...ref, subject: randomUUID() }]))).toEqual({
        outcome: "refused",
        reason: "UNKNOWN_USER",
        field: "user_email",
      });
      expect(await read(id ?? "")).toMatchObject({ email: moved, title: "Ada" });
      expect(await read(other)).toMatchObject({ title: "" });
    });

    it("moves an account that it knows by its id to another address as a superuser would", async () => {
      const person = await add("people", newPerson());
      await under.database.transaction(async (tx) => {
        await markEmailProven(tx, person.id, clock.now());
        const at = clock.now().getTime();
        const texts = {
          strategy: "",
          operating_system: "",
          browser: "",
          ip_address: "",
          city: "",
          country: "",
        };
        const times = { created_at: at, authenticated_at: at, updated_at: at, expires_at: at + 100_000 };
        await tx
          .insertInto("sessions")
          .values({
            ...{ id: `session-of-${person.id}`, user_id: person.id, latitude: "", longitude: "" },
            ...{ secret_hash: person.id, companion_hash: person.id, ...texts, ...times },
          })
          .execute();
      });
      const email = newPerson().email;
      expect(only(await run("people", [{ ...person, email }]))).toEqual({ outcome: "changed" });
      expect(await read(person.id)).toMatchObject({ email, emailProven: false });
      expect(parts.changes).toContainEqual({ topic: "session", subject: `session-of-${person.id}` });
      const other = await add("people", newPerson());
      const refused = { outcome: "refused", reason: "USER_EXISTS", field: "" };
      expect(only(await run("people", [{ ...person, email: other.email }]))).toEqual(refused);
      expect(await read(person.id)).toMatchObject({ email });
    });

    it("takes one of two records for the same, the first, whatever the second says", async () => {
      const person = newPerson();
      const again = [
        { ...person, title: "Eve" },
        { ...newPerson(), email: person.email.toUpperCase() },
        { ...newPerson(), name: "Same-name" },
        { ...newPerson(), name: "same-NAME" },
      ];
      const { lines } = await run("people", [person, ...again]);
      expect(lines.map(({ outcome, refusal }) => refusal?.reason ?? outcome)).toEqual([
        "created",
        "REPEATED",
        "REPEATED",
        "created",
        "REPEATED",
      ]);
      expect(lines[1]?.refusal?.message).toContain("line 1");
      // So the same file changes nothing the second time.
      const { counts } = await run("people", [person, ...again]);
      expect(counts).toEqual({ created: 0, changed: 0, unchanged: 2, refused: 3 });
    });

    it("refuses a name that is another's, and an address that is held for who had it", async () => {
      const person = await add("people", { ...newPerson(), name: `name-${randomUUID().slice(0, 8)}` });
      expect(only(await run("people", [{ ...newPerson(), name: person.name }]))).toMatchObject({
        reason: "NAME_TAKEN",
      });
      const email = newPerson().email;
      await under.database.transaction((tx) =>
        tx
          .insertInto("email_undos")
          .values({
            ...{ id: newId(clock.now()), user_id: person.id, email, token_hash: randomUUID() },
            ...{ changed_at: clock.now().getTime(), expires_at: clock.now().getTime() + 100_000 },
          })
          .execute(),
      );
      expect(only(await run("people", [{ ...newPerson(), email }]))).toMatchObject({
        reason: "ADDRESS_TAKEN",
      });
    });

    it.each([
      [{ email: undefined }, "email"],
      [{ email: "no address" }, "email"],
      [{ email: 1 }, "email"],
      [{ title: "x".repeat(201) }, "title"],
      [{ title: "a\u202eb" }, "title"],
      [{ metadata: [] }, "metadata"],
      [{ metadata: { long: "x".repeat(17_000) } }, "metadata"],
      [{ avatar: "javascript:alert(1)" }, "avatar"],
      [{ avatar: "data:image/png;base64,AAAA" }, "avatar"],
      [{ state: "gone" }, "state"],
      [{ email_verified: "yes" }, "email_verified"],
      [{ created_at: "yesterday" }, "created_at"],
      [{ id: "" }, "id"],
      [{ id: "a\u0000b" }, "id"],
      [{ name: "ab" }, "name"],
      [{ emial: "x" }, ""],
      [JSON.parse('{"__proto__": {"superuser": true}}'), ""],
    ])("refuses %j for its %s and says nothing of what stands there", async (wrong, field) => {
      const { lines } = await run("people", [{ ...newPerson(), ...wrong }, newPerson()]);
      expect(lines.map(({ outcome }) => outcome)).toEqual(["refused", "created"]);
      expect(lines[0]?.refusal).toMatchObject({ reason: "INVALID", field });
    });
  });

  describe("of organizations, members and who shuts them out", () => {
    it("makes organizations and members, gives members another role, and tells caches", async () => {
      const [organization, person] = [newOrganization(), newPerson()];
      await add("organizations", organization);
      await add("people", person);
      const member = { org_id: organization.id, user_id: person.id, role: "viewer" };
      await add("members", member);
      expect(parts.changes).toContainEqual({ topic: "user", subject: person.id });
      expect(only(await run("members", [member]))).toEqual({ outcome: "unchanged" });
      const more = await run("members", [{ ...member, role: "owner" }]);
      expect(only(more)).toEqual({ outcome: "changed" });
      expect(await recordsAbout(person.id)).toEqual([
        "system command-line user.create",
        "system command-line member.add",
        "system command-line member.set_role",
      ]);
    });

    it("leaves an organization its last owner, also where it only asks what would be", async () => {
      const [organization, person] = [newOrganization(), newPerson()];
      await add("organizations", organization);
      await add("people", person);
      const member = { org_name: organization.name, user_email: person.email, role: "owner" };
      await add("members", member);
      for (const isDry of [true, false]) {
        const demoted = await run("members", [{ ...member, role: "viewer" }], { isDry });
        expect(only(demoted)).toMatchObject({ outcome: "refused", reason: "LAST_OWNER" });
        const shutOut = await run("people", [{ ...person, state: "disabled" }], { isDry });
        expect(only(shutOut)).toMatchObject({ outcome: "refused", reason: "LAST_OWNER" });
      }
      expect(await read(person.id)).toMatchObject({ state: "enabled" });
    });

    it("refuses members of what and who is not there", async () => {
      const [organization, person] = [newOrganization(), newPerson()];
      await add("organizations", organization);
      await add("people", person);
      const reason = async (member: object) => only(await run("members", [{ role: "viewer", ...member }]));
      expect(await reason({ org_id: randomUUID(), user_id: person.id })).toMatchObject({
        reason: "UNKNOWN_ORGANIZATION",
        field: "org_id",
      });
      expect(await reason({ org_id: organization.id, user_id: randomUUID() })).toMatchObject({
        reason: "UNKNOWN_USER",
        field: "user_id",
      });
      // The address would do, and is not asked for.
      const both = { org_id: organization.id, user_id: randomUUID(), user_email: person.email };
      expect(await reason(both)).toMatchObject({ reason: "UNKNOWN_USER" });
      const matched = await run("members", [{ ...both, role: "viewer" }], { matchAddresses: true });
      expect(only(matched)).toEqual({ outcome: "created" });
      const stranger = newPerson().email;
      await signUp(stranger, false);
      expect(await reason({ org_id: organization.id, user_email: stranger })).toMatchObject({
        reason: "UNKNOWN_USER",
      });
      expect(await reason({ org_id: organization.id })).toMatchObject({
        reason: "INVALID",
        field: "user_id",
      });
      expect(only(await run("members", [{ ...both, role: "admin" }]))).toMatchObject({ field: "role" });
    });

    it("keeps names for good, and knows the default organization under any id", async () => {
      const organization = await add("organizations", { ...newOrganization(), title: "Acme" });
      const other = { ...newOrganization(), name: organization.name };
      expect(only(await run("organizations", [other]))).toMatchObject({
        reason: "NAME_TAKEN",
        field: "name",
      });
      await under.database.transaction((tx) => deleteOrganization(tx, organization.id, clock.now()));
      expect(only(await run("organizations", [other]))).toMatchObject({ reason: "NAME_TAKEN" });
      await add("organizations", organization);
      expect(await findOrganization(under.database.reader, organization.id)).toMatchObject({ title: "Acme" });

      const foreign = { id: randomUUID(), name: "default" };
      expect(only(await run("organizations", [foreign]))).toEqual({ outcome: "unchanged" });
      const off = await run("organizations", [{ ...foreign, state: "disabled" }]);
      expect(only(off)).toMatchObject({ reason: "DEFAULT_ORGANIZATION" });
      const person = await add("people", newPerson());
      await add("members", { org_id: foreign.id, org_name: "default", user_id: person.id, role: "viewer" });
    });

    it("disables and enables organizations, and changes them before or after", async () => {
      const organization = await add("organizations", newOrganization());
      const off = { ...organization, title: "Off", state: "disabled" };
      expect(only(await run("organizations", [off]))).toEqual({ outcome: "changed" });
      expect(only(await run("organizations", [off]))).toEqual({ outcome: "unchanged" });
      const on = { ...organization, title: "On", state: "enabled" };
      expect(only(await run("organizations", [on]))).toEqual({ outcome: "changed" });
      expect(await findOrganization(under.database.reader, organization.id)).toMatchObject({
        title: "On",
        state: "enabled",
      });
      expect(parts.changes).toContainEqual({ topic: "organization", subject: organization.id });
    });
  });

  describe("of identities", () => {
    it("joins what signs in by a provider of this place, once", async () => {
      const person = await add("people", newPerson());
      const identity = { user_id: person.id, provider: "acme", subject: randomUUID() };
      await add("identities", identity);
      expect(await findIdentities(under.database.reader, person.id)).toEqual([
        expect.objectContaining({ issuer: "https://id.acme.example", strategy: "acme", gaveEmail: false }),
      ]);
      expect(only(await run("identities", [identity]))).toEqual({ outcome: "unchanged" });
      expect(await recordsAbout(person.id)).toContain("system command-line identity.join");
      const other = await add("people", newPerson());
      expect(only(await run("identities", [{ ...identity, user_id: other.id }]))).toMatchObject({
        reason: "IDENTITY_TAKEN",
      });
      expect(await findIdentities(under.database.reader, other.id)).toEqual([]);
    });

    it.each([
      [{ provider: "elsewhere" }, "provider"],
      [{ issuer: "https://evil.example" }, "issuer"],
      [{ provider: "entra" }, "issuer"],
      [{ provider: "entra", issuer: "https://login.microsoftonline.com/common/v2.0" }, "issuer"],
    ])("refuses %j: nobody signs in by it here", async (wrong, field) => {
      const person = await add("people", newPerson());
      const identity = { user_id: person.id, provider: "acme", subject: randomUUID(), ...wrong };
      expect(only(await run("identities", [identity]))).toEqual({
        outcome: "refused",
        reason: "UNKNOWN_PROVIDER",
        field,
      });
    });

    it("takes the issuer of one tenant where the provider has many", async () => {
      const person = await add("people", newPerson());
      const issuer = `https://login.microsoftonline.com/${randomUUID()}/v2.0`;
      await add("identities", { user_id: person.id, provider: "entra", issuer, subject: randomUUID() });
    });
  });

  describe("of service users", () => {
    const newKey = () => {
      const { publicKey, privateKey } = generateKeyPairSync("ed25519");
      const public_jwk = publicKey.export({ format: "jwk" });
      return { id: randomUUID(), public_jwk, private_jwk: privateKey.export({ format: "jwk" }) };
    };
    const toKey = ({ id, public_jwk }: ReturnType<typeof newKey>) => ({ id, public_jwk, title: "ci" });

    it("makes them with their public keys, under the ids that what they sign names", async () => {
      const organization = await add("organizations", newOrganization());
      const [first, second] = [newKey(), newKey()];
      const machine = { id: randomUUID(), org_id: organization.id, title: "CI", role: "manager" };
      await add("service-users", { ...machine, keys: [toKey(first)] });
      expect(await findServiceUser(under.database.reader, machine.id)).toMatchObject({
        role: "manager",
        superuser: false,
      });
      const again = await run("service-users", [{ ...machine, keys: [toKey(first)] }]);
      expect(only(again)).toEqual({ outcome: "unchanged" });
      const more = await run("service-users", [
        { ...machine, role: "viewer", keys: [toKey(first), toKey(second)] },
      ]);
      expect(only(more)).toEqual({ outcome: "changed" });
      const keys = await findCredentials(under.database.reader, machine.id);
      expect(keys.map(({ id }) => id).toSorted()).toEqual([first.id, second.id].toSorted());
      expect(await recordsAbout(second.id)).toEqual(["system command-line key.create"]);
      expect(parts.changes).toContainEqual({ topic: "service-user", subject: machine.id });
      const other = { id: randomUUID(), org_id: organization.id, keys: [toKey(first)] };
      expect(only(await run("service-users", [other]))).toMatchObject({
        reason: "KEY_TAKEN",
        field: "keys.0.id",
      });
      const replaced = {
        ...machine,
        role: "viewer",
        keys: [{ ...toKey(first), public_jwk: second.public_jwk }],
      };
      expect(only(await run("service-users", [replaced]))).toMatchObject({ reason: "KEY_TAKEN" });
    });

    it("refuses private halves, ids that are none, and a machine of another organization or of the first start", async () => {
      const organization = await add("organizations", newOrganization());
      const key = newKey();
      const machine = { id: randomUUID(), org_id: organization.id };
      const withKey = (key: object) => run("service-users", [{ ...machine, keys: [key] }]);
      const { lines } = await withKey({ ...toKey(key), public_jwk: key.private_jwk });
      expect(lines[0]?.refusal).toMatchObject({ reason: "INVALID", field: "keys.0.public_jwk" });
      expect(JSON.stringify(lines)).not.toContain(key.private_jwk.d);
      expect(only(await withKey({ ...toKey(key), id: "ci" }))).toMatchObject({ field: "keys.0.id" });
      expect(
        only(await run("service-users", [{ ...machine, keys: [toKey(key), toKey(key)] }])),
      ).toMatchObject({
        reason: "REPEATED",
      });
      await add("service-users", machine);
      const moved = { ...machine, org_id: (await add("organizations", newOrganization())).id };
      expect(only(await run("service-users", [moved]))).toMatchObject({ reason: "OTHER_ORGANIZATION" });
      const root = await under.database.reader
        .selectFrom("service_users")
        .selectAll()
        .where("superuser", "=", 1)
        .executeTakeFirstOrThrow();
      const taken = { id: root.id, org_id: root.org_id, role: "viewer" };
      expect(only(await run("service-users", [taken]))).toMatchObject({ reason: "SUPERUSER_PROTECTED" });
      expect(only(await run("service-users", [{ ...machine, superuser: true }]))).toMatchObject({
        reason: "INVALID",
      });
    });
  });

  it("stores nothing of what it only asks for, and says the same of it", async () => {
    const [known, gone, fresh] = [await add("people", newPerson()), newPerson(), newPerson()];
    await signUp(gone.email, true);
    const records = [{ ...known, title: "Other" }, gone, fresh, { email: "no" }];
    const count = async () => {
      const { reader } = under.database;
      const of = async (table: "users" | "audit_records" | "search_prefixes" | "changes") =>
        Number(
          (
            await reader
              .selectFrom(table)
              .select(({ fn }) => fn.countAll().as("n"))
              .executeTakeFirst()
          )?.n ?? 0,
        );
      return await Promise.all([of("users"), of("audit_records"), of("search_prefixes"), of("changes")]);
    };
    const before = await count();
    const asked = await run("people", records, { isDry: true });
    expect(await count()).toEqual(before);
    const { lines } = await run("people", records);
    expect(asked.lines).toEqual(lines);
    expect(lines.map(({ outcome }) => outcome)).toEqual(["changed", "refused", "created", "refused"]);
  });

  it("makes everybody once where two import the same file at once, and somebody signs up meanwhile", async () => {
    const people = Array.from({ length: 1500 }, newPerson);
    const other = toParts(await under.openAnother());
    const late = people[1400];
    const [one, two, isSignedUp] = await Promise.all([
      run("people", people),
      run("people", people, {}, other),
      // Whoever comes first with an address has it.
      signUp(late?.email ?? "", true).then(
        () => true,
        () => false,
      ),
    ]);
    const refused = isSignedUp ? 1 : 0;
    expect(one.counts.created + two.counts.created).toBe(people.length - refused);
    expect([one.counts.refused, two.counts.refused]).toEqual([refused, refused]);
    for (const { id } of people.filter((person) => person !== late)) {
      expect(await recordsAbout(id)).toEqual(["system command-line user.create"]);
    }
  });

  it("lets a server write between its batches", async () => {
    const other = await under.openAnother();
    const people = Array.from({ length: 6000 }, newPerson);
    const importing = run("people", people);
    let isDone = false;
    const ended = importing.finally(() => {
      isDone = true;
    });
    let written = 0;
    while (!isDone) {
      const user = toNewUser(newPerson().email, clock.now());
      await other.transaction((tx) => insertUser(tx, user));
      written += 1;
      await sleep(1);
    }
    expect((await ended).counts.created).toBe(people.length);
    expect(written).toBeGreaterThan(3);
  });

  it("finds people by their texts who were imported, and no others", async () => {
    const mark = `z${randomUUID().replaceAll("-", "").slice(0, 9)}`;
    const person = await add("people", { ...newPerson(), email: `${mark}@example.org` });
    const rows = under.database.reader.selectFrom("search_prefixes").select("id").where("prefix", "=", mark);
    expect(await rows.execute()).toEqual([{ id: person.id }]);
    expect((await findUserByEmail(under.database.reader, person.email))?.id).toBe(person.id);
  });

  it("writes what it reads: what goes out comes in elsewhere as it was", async () => {
    const organization = await add("organizations", {
      ...newOrganization(),
      title: '=1+1 "x"',
      metadata: { a: 1 },
    });
    const person = await add("people", { ...newPerson(), title: "'-tis\u00fc, x", email_verified: false });
    await under.database.transaction((tx) =>
      insertMember(tx, { orgId: organization.id, userId: person.id, role: "manager" }, clock.now()),
    );
    for (const kind of ["organizations", "people", "members"] as const) {
      let text = "";
      for await (const part of exportRecords(under.database.reader, kind, "jsonl", () => {})) text += part;
      const records = text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      const { counts } = await run(kind, records);
      expect(counts).toMatchObject({ created: 0, changed: 0, refused: 0, unchanged: records.length });
      expect(JSON.stringify(records)).not.toMatch(/passkey_handle|secret/);
    }
  });
});
