/** Who may say whose members come in: nobody but those who manage them. */
import { sql } from "kysely";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { eventually } from "../../../../test/parts/eventually.ts";
import { insertMember, updateMemberRole } from "../../organizations/member-store.ts";
import type { Caller, Role } from "../../principals/principal.ts";
import { addUser } from "../../sessions/test-support.ts";
import { createRoom, refusalOf, type TestRoom, toMachine, toPerson } from "../test-support.ts";

const unknown = "0199c9a0-0000-7000-8000-000000000000";

describeDatabases("organizations that a provider names", (under) => {
  let room: TestRoom;
  let root: Caller;
  /** Of the frontdoor; one that the person manages, one that they only see, one that is nothing to them. */
  let home: string;
  let managed: string;
  let seen: string;
  let foreign: string;
  let person: Caller;
  let machine: Caller;
  let frontdoorId: string;

  beforeAll(() => {
    room = createRoom(under.database);
    root = toMachine("", "viewer", { superuser: true });
  });

  beforeEach(async () => {
    [home, managed, seen, foreign] = [
      await room.createOrganization(),
      await room.createOrganization(),
      await room.createOrganization(),
      await room.createOrganization(),
    ];
    person = toPerson(await addUser(under.database));
    machine = toMachine(home, "owner");
    await join(home, "manager");
    await join(managed, "manager");
    await join(seen, "viewer");
    frontdoorId = (await room.frontdoors.create(machine, "", "")).id;
    room.events.length = 0;
  });

  const join = (orgId: string, role: Role) =>
    under.database.transaction((tx) =>
      insertMember(tx, { orgId, userId: person.principal.id, role }, new Date()),
    );
  const draft = (allowedOrgIds: readonly string[] | undefined, rest: object = {}) => ({
    name: "ours",
    type: "VESTIBULE",
    enabled: true,
    data: { ...(allowedOrgIds && { allowedOrgIds: [...allowedOrgIds] }) },
    ...rest,
  });
  const create = (caller: Caller, allowedOrgIds?: readonly string[], rest: object = {}) =>
    room.providers.create(caller, frontdoorId, draft(allowedOrgIds, rest));
  const refTo = (id: string) => ({ frontdoorId, id });
  const refusedAt = (...places: readonly number[]) => ({
    reason: "INVALID_REQUEST",
    violations: places.map((place) => ({
      field: `data.allowedOrgIds[${place}]`,
      description: "must be the id of an organization that you manage",
    })),
  });

  it("are managed by whoever makes it", async () => {
    await create(person, [home, managed.toUpperCase()]);
    await create(machine, [home], { name: "own" });
    await create(root, [foreign, unknown], { name: "root's" });
    await create(machine, undefined, { name: "none" });
    expect(await refusalOf(create(person, [home, seen, managed, foreign, unknown]))).toMatchObject(
      refusedAt(1, 3, 4),
    );
    expect(await refusalOf(create(machine, [managed]))).toMatchObject(refusedAt(0));
    expect(room.events).toHaveLength(4);
  });

  it("are managed by whoever writes it, also where they leave them as they are", async () => {
    const { id } = await create(root, [home, foreign]);
    const data = { allowedOrgIds: [home, foreign] };
    for (const write of [
      () => room.providers.update(person, refTo(id), { name: "renamed" }),
      () => room.providers.update(person, refTo(id), { data: { allowedRoles: ["owner"] } }),
      () => room.providers.replace(person, refTo(id), { name: "again", type: "VESTIBULE", data }),
      () => room.providers.update(person, refTo(id), { enabled: false, name: "renamed" }),
    ]) {
      expect(await refusalOf(write())).toMatchObject(refusedAt(1));
    }
    await room.providers.update(person, refTo(id), { data: { allowedOrgIds: [home, managed] } });
    await room.providers.update(person, refTo(id), { name: "renamed" });
    expect(await refusalOf(room.providers.update(person, refTo(id), { data }))).toMatchObject(refusedAt(1));
  });

  it("may be closed to, and not opened to again, by who does not manage them", async () => {
    const { id } = await create(root, [foreign]);
    expect(await room.providers.update(person, refTo(id), { enabled: false })).toMatchObject({
      enabled: false,
    });
    expect(await refusalOf(room.providers.update(person, refTo(id), { enabled: true }))).toMatchObject(
      refusedAt(0),
    );
    expect(await room.providers.update(root, refTo(id), { enabled: true })).toMatchObject({ enabled: true });
  });

  it("do not come back by a rollback of who does not manage them", async () => {
    const { id } = await create(root, [foreign]);
    await room.providers.update(person, refTo(id), { data: { allowedOrgIds: [home] } });
    expect(await refusalOf(room.providers.rollback(person, refTo(id), { revision: 1 }))).toMatchObject(
      refusedAt(0),
    );
    expect((await room.providers.get(person, refTo(id))).data).toEqual({ allowedOrgIds: [home] });
    await join(foreign, "manager");
    await room.providers.rollback(person, refTo(id), { revision: 1 });
  });

  it("are enabled", async () => {
    await under.database.transaction((tx) =>
      tx.updateTable("organizations").set({ state: "disabled" }).where("id", "=", managed).execute(),
    );
    expect(await refusalOf(create(person, [managed]))).toMatchObject(refusedAt(0));
  });

  it("are managed by whoever tries it out", async () => {
    const run = async (caller: Caller, id: string, data: object) => {
      const tried = { frontdoorId, id, type: "VESTIBULE", data: { ...data }, sample: {} };
      const checks = [];
      for await (const check of room.dryRuns.test(caller, tried, new AbortController().signal)) {
        checks.push(check);
      }
      return checks;
    };
    expect(await refusalOf(run(person, "", { allowedOrgIds: [managed, foreign] }))).toMatchObject(
      refusedAt(1),
    );
    const { id } = await create(root, [foreign]);
    expect(await run(person, id, {})).toMatchObject([{ ok: true }, { ok: true }]);
    expect(await refusalOf(run(person, id, { allowedOrgIds: [foreign, seen] }))).toMatchObject(refusedAt(1));
    expect(await run(root, "", { allowedOrgIds: [foreign] })).toMatchObject([{ ok: true }, { ok: true }]);
  });

  it("are not named by who loses the role meanwhile", async () => {
    const userId = person.principal.id;
    if (under.dialect === "sqlite") {
      // One transaction at a time: whichever is first.
      const [, made] = await Promise.allSettled([
        under.database.transaction((tx) => updateMemberRole(tx, managed, userId, "viewer")),
        create(person, [managed]),
      ]);
      expect(made.status).toBe("rejected");
      return;
    }
    // A handle of its own: what is begun inside of a transaction of one is part of it.
    const other = await under.openAnother();
    let made: Promise<unknown> = Promise.resolve();
    await other.transaction(async (tx) => {
      await updateMemberRole(tx, managed, userId, "viewer");
      made = refusalOf(create(person, [managed]));
      await eventually(async () => {
        const waiting = await sql`select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`.execute(under.database.reader);
        expect(waiting.rows).toHaveLength(1);
      });
    });
    expect(await made).toMatchObject(refusedAt(0));
  });
});
