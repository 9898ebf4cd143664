import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { newId } from "../lib/ids.ts";
import type { Access } from "../organizations/access.ts";
import type { Role } from "../principals/principal.ts";
import { type ServiceUserListing, ServiceUserService } from "./service.ts";
import { lockServiceUser } from "./store.ts";
import {
  createMachine,
  machineOf,
  openRoom,
  plainDraft,
  type Room,
  reasonsOf,
  refusalOf,
  root,
} from "./test-support.ts";
import { addCalls, findCalls } from "./usage-store.ts";

describeDatabases("service users", (under) => {
  let room: Room;
  let org: string;

  beforeAll(async () => {
    room = await openRoom(under.database);
  });
  afterAll(() => room.close());
  beforeEach(async () => {
    org = await room.createOrganization();
    room.events.length = 0;
    room.changes.length = 0;
  });

  it("changes what is given and keeps the rest", async () => {
    const draft = { title: "before", metadata: { a: 1 }, role: "viewer" } as const;
    const { id } = await room.serviceUsers.create(root, org, draft);
    const ref = { id, org };
    room.clock.advance(1000);
    const titled = await room.serviceUsers.update(root, ref, { title: "after" });
    expect(titled).toMatchObject({ title: "after", metadata: { a: 1 }, role: "viewer" });
    expect(titled.updatedAt).toEqual(room.clock.now());
    await room.serviceUsers.update(root, ref, { metadata: { b: 2 }, role: "manager" });
    await room.serviceUsers.update(root, ref, { title: "" });
    expect(await room.serviceUsers.get(root, ref)).toMatchObject({
      title: "",
      metadata: { b: 2 },
      role: "manager",
      createdAt: titled.createdAt,
    });
  });

  it("are listed all at once or in pages, each once and oldest first", async () => {
    const made: string[] = [];
    for (let index = 0; index < 5; index++) {
      room.clock.advance(1);
      made.push((await createMachine(room, org)).id);
    }
    await createMachine(room, await room.createOrganization());
    const list = (listing?: ServiceUserListing) =>
      room.serviceUsers.list(machineOf(org, "viewer"), org, listing);
    const idsOf = ({ items }: { items: readonly { id: string }[] }) => items.map(({ id }) => id);
    const all = await list();
    expect([idsOf(all), all.nextPageToken]).toEqual([made, ""]);

    const first = await list({ size: 2 });
    await room.serviceUsers.delete(root, { id: made[1] ?? "", org });
    const second = await list({ size: 2, token: first.nextPageToken });
    const third = await list({ size: 2, token: second.nextPageToken });
    expect([first, second, third].map(idsOf)).toEqual([made.slice(0, 2), made.slice(2, 4), made.slice(4)]);
    expect(third.nextPageToken).toBe("");
    expect(idsOf(await list({ token: first.nextPageToken }))).toEqual(made.slice(2));

    await room.serviceUsers.setState(root, { id: made[4] ?? "", org }, "disabled");
    expect(idsOf(await list({ size: 1, state: "disabled" }))).toEqual(made.slice(4));
    for (const listing of [{ size: 2, state: "enabled" }, { token: "x" }] as const) {
      const refused = list({ token: first.nextPageToken, ...listing });
      expect((await refusalOf(refused)).reason).toBe("INVALID_REQUEST");
    }
  });

  it("records every change and tells the feed of what revokes", async () => {
    const { id } = await createMachine(room, org);
    await room.serviceUsers.update(root, { id, org }, { role: "manager" });
    await room.serviceUsers.setState(root, { id, org }, "disabled");
    await room.serviceUsers.setState(root, { id, org }, "enabled");
    await room.serviceUsers.delete(root, { id, org });
    expect(room.events.map(({ action }) => action)).toEqual([
      "service_user.create",
      "service_user.update",
      "service_user.disable",
      "service_user.enable",
      "service_user.delete",
    ]);
    expect(room.events[1]).toEqual({
      action: "service_user.update",
      target: id,
      orgId: org,
      details: { role: "manager", previous_role: "viewer" },
    });
    expect(room.changes.filter(({ subject }) => subject === id).length).toBeGreaterThanOrEqual(4);
  });

  it("leaves one that already is in the state untouched", async () => {
    const made = await createMachine(room, org);
    room.clock.advance(1000);
    expect(await room.serviceUsers.setState(root, { id: made.id, org }, "enabled")).toEqual(made);
    expect(room.events).toHaveLength(1);
  });

  it.each<[Role, Role, Role | undefined, boolean]>([
    ["manager", "viewer", "manager", true],
    ["manager", "viewer", "owner", false],
    ["manager", "manager", "viewer", true],
    ["manager", "owner", "viewer", false],
    ["manager", "owner", undefined, false],
    ["owner", "owner", "viewer", true],
    ["viewer", "viewer", undefined, false],
  ])("a %s updates a %s to %s: %s", async (callerRole, targetRole, newRole, isAllowed) => {
    await createMachine(room, org, "owner");
    const { id } = await createMachine(room, org, targetRole);
    const caller = machineOf(org, callerRole, false, (await createMachine(room, org, callerRole)).id);
    const patch = { title: "changed", ...(newRole && { role: newRole }) };
    const update = room.serviceUsers.update(caller, { id, org }, patch);
    if (isAllowed) await expect(update).resolves.toMatchObject(patch);
    else expect((await refusalOf(update)).reason).toBe("NOT_AUTHORIZED");
    const stored = await room.serviceUsers.get(root, { id, org });
    expect(stored.title).toBe(isAllowed ? "changed" : "machine");
  });

  it("does not let a manager disable, enable or delete an owner", async () => {
    const { id } = await createMachine(room, org, "owner");
    const manager = machineOf(org, "manager");
    const ref = { id, org };
    const works = [
      room.serviceUsers.setState(manager, ref, "disabled"),
      room.serviceUsers.delete(manager, ref),
    ];
    expect(new Set(await reasonsOf(works))).toEqual(new Set(["NOT_AUTHORIZED"]));
    expect((await room.serviceUsers.get(root, ref)).state).toBe("enabled");
  });

  it("keeps an organization's last owner", async () => {
    const { id } = await createMachine(room, org, "owner");
    const ref = { id, org };
    const works = [
      room.serviceUsers.update(root, ref, { role: "manager" }),
      room.serviceUsers.delete(root, ref),
    ];
    expect(new Set(await reasonsOf(works))).toEqual(new Set(["LAST_OWNER"]));
    expect(await room.serviceUsers.update(root, ref, { title: "still" })).toMatchObject({ role: "owner" });
    const second = await createMachine(room, org, "owner");
    const results = await Promise.allSettled([
      room.serviceUsers.delete(root, ref),
      room.serviceUsers.update(root, { id: second.id, org }, { role: "viewer" }),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  it("does not find one of another organization, nor one that is not", async () => {
    const { id } = await createMachine(room, org);
    const elsewhere = await room.createOrganization();
    for (const ref of [
      { id, org: elsewhere },
      { id: newId(room.clock.now()), org },
    ]) {
      const works = [
        room.serviceUsers.get(root, ref),
        room.serviceUsers.update(root, ref, { title: "x" }),
        room.serviceUsers.setState(root, ref, "disabled"),
        room.serviceUsers.delete(root, ref),
      ];
      expect(new Set(await reasonsOf(works))).toEqual(new Set(["SERVICE_USER_NOT_FOUND"]));
    }
    expect(await room.serviceUsers.get(root, { id, org })).toMatchObject({
      title: "machine",
      state: "enabled",
    });
  });

  it("holds metadata to 16 KiB", async () => {
    const { id } = await createMachine(room, org);
    const text = (length: number) => ({ a: "x".repeat(length - '{"a":""}'.length) });
    const ref = { id, org };
    await room.serviceUsers.update(root, ref, { metadata: text(16_384) });
    const tooLarge = room.serviceUsers.update(root, ref, { metadata: text(16_385) });
    expect((await refusalOf(tooLarge)).reason).toBe("INVALID_REQUEST");
  });

  it("protects the bootstrap service user", async () => {
    const { id } = await createMachine(room, org, "owner");
    await under.database.transaction((tx) =>
      tx.updateTable("service_users").set({ superuser: 1 }).where("id", "=", id).execute(),
    );
    const ref = { id, org };
    const works = [room.serviceUsers.setState(root, ref, "disabled"), room.serviceUsers.delete(root, ref)];
    expect(new Set(await reasonsOf(works))).toEqual(new Set(["SUPERUSER_PROTECTED"]));
    const owner = machineOf(org, "owner");
    const update = room.serviceUsers.update(owner, ref, { title: "mine" });
    expect((await refusalOf(update)).reason).toBe("NOT_AUTHORIZED");
  });

  it("changes nothing in a disabled organization", async () => {
    const { id } = await createMachine(room, org);
    await room.setOrganizationState(org, "disabled");
    const ref = { id, org };
    const works = [
      room.serviceUsers.create(root, org, plainDraft),
      room.serviceUsers.update(root, ref, { title: "x" }),
      room.serviceUsers.setState(root, ref, "disabled"),
      room.serviceUsers.delete(root, ref),
    ];
    expect(new Set(await reasonsOf(works))).toEqual(new Set(["ORGANIZATION_DISABLED"]));
  });

  describe("what hangs on a service user goes with it", () => {
    async function furnish(): Promise<string> {
      const { id } = await createMachine(room, org);
      const times = { created_at: 1, updated_at: 1 };
      const project = {
        id: newId(room.clock.now()),
        org_id: org,
        name: id,
        title: "",
        metadata: "{}",
        ...times,
      };
      await under.database.transaction(async (tx) => {
        await tx.insertInto("projects").values(project).execute();
        await tx
          .insertInto("project_members")
          .values({ project_id: project.id, principal_type: "serviceuser", principal_id: id, created_at: 1 })
          .execute();
        await addCalls(tx, [{ credentialId: "c", serviceUserId: id, day: "2026-01-01", calls: 1 }]);
      });
      return id;
    }

    async function countLeft(id: string): Promise<number> {
      const { reader } = under.database;
      const calls = await findCalls(reader, id, "2025-01-01", "2027-01-01");
      const projects = await reader
        .selectFrom("project_members")
        .select("project_id")
        .where("principal_id", "=", id)
        .execute();
      return calls.length + projects.length;
    }

    it("when it is deleted", async () => {
      const [gone, kept] = [await furnish(), await furnish()];
      await room.serviceUsers.delete(root, { id: gone, org });
      expect([await countLeft(gone), await countLeft(kept)]).toEqual([0, 2]);
    });

    it("when its organization is", async () => {
      const id = await furnish();
      await room.deleteOrganization(org);
      expect(await countLeft(id)).toBe(0);
    });
  });

  describe("a caller who is demoted after being let in", () => {
    /** The room's service, whose callers lose their role right after they were judged by it. */
    function createLate(lose: () => Promise<unknown>): ServiceUserService {
      const { access } = room;
      const require: Access["require"] = async (...asked) => {
        const granted = await access.require(...asked);
        await lose();
        return granted;
      };
      return new ServiceUserService({ ...room, database: under.database, access: { ...access, require } });
    }

    it.each([
      ["demoted", (id: string) => room.serviceUsers.update(root, { id, org }, { role: "viewer" })],
      ["disabled", (id: string) => room.serviceUsers.setState(root, { id, org }, "disabled")],
      ["deleted", (id: string) => room.serviceUsers.delete(root, { id, org })],
    ] as const)("grants no role any more: %s", async (how, lose) => {
      await createMachine(room, org, "owner");
      const { id } = await createMachine(room, org, "owner");
      const friend = await createMachine(room, org);
      const caller = machineOf(org, "owner", false, id);
      const late = createLate(() => lose(id));
      const granting = late.create(caller, org, { ...plainDraft, role: "owner" });
      expect((await refusalOf(granting)).reason).toBe("NOT_AUTHORIZED");
      const promoting = createLate(async () => {}).update(
        caller,
        { id: friend.id, org },
        { role: "manager" },
      );
      expect((await refusalOf(promoting)).reason).toBe("NOT_AUTHORIZED");
      const { items } = await room.serviceUsers.list(root, org);
      expect(items.filter((each) => each.role !== "viewer")).toHaveLength(how === "disabled" ? 2 : 1);
    });

    it("grants what the role that is left allows", async () => {
      const { id } = await createMachine(room, org, "owner");
      await createMachine(room, org, "owner");
      const caller = machineOf(org, "owner", false, id);
      const late = createLate(() => room.serviceUsers.update(root, { id, org }, { role: "manager" }));
      expect((await refusalOf(late.create(caller, org, { ...plainDraft, role: "owner" }))).reason).toBe(
        "NOT_AUTHORIZED",
      );
      expect(await late.create(caller, org, { ...plainDraft, role: "manager" })).toMatchObject({
        role: "manager",
      });
    });
  });

  describe("two at once", () => {
    it("an organization is deleted whoever adds to it meanwhile, and they hear of it or may try again", async () => {
      for (let round = 0; round < 10; round++) {
        const doomed = await room.createOrganization();
        const create = () => room.serviceUsers.create(root, doomed, plainDraft);
        const before = [create(), create(), create(), create()];
        const deleting = room.deleteOrganization(doomed);
        const results = await Promise.allSettled([...before, create(), create()]);
        await deleting;
        for (const result of results) {
          if (result.status === "fulfilled") continue;
          expect(["NOT_AUTHORIZED", "UNAVAILABLE"]).toContain(result.reason.reason);
        }
      }
    });

    it("an organization is deleted though the usage of its machines is being written", async () => {
      for (let round = 0; round < 10; round++) {
        const doomed = await room.createOrganization();
        // Made at once, they lie in another order than that of their ids.
        const machines = await Promise.all(Array.from({ length: 8 }, () => createMachine(room, doomed)));
        const use = () => {
          for (const { id } of machines) room.usage.recordUse(newId(room.clock.now()), id, room.clock.now());
          return room.usage.flush();
        };
        await use();
        room.clock.advance(120_000);
        await Promise.all([use(), room.deleteOrganization(doomed)]);
      }
    });

    it("an owner stays, whoever is promoted, demoted and deleted meanwhile", async () => {
      for (let round = 0; round < 15; round++) {
        const of = await room.createOrganization();
        const [first, second] = [await createMachine(room, of, "owner"), await createMachine(room, of)];
        const ref = ({ id }: { id: string }) => ({ id, org: of });
        const works = [
          room.serviceUsers.update(root, ref(second), { role: "owner" }),
          room.serviceUsers.update(root, ref(first), { role: "viewer" }),
          room.serviceUsers.delete(root, ref(second)),
          room.serviceUsers.delete(root, ref(first)),
        ];
        for (const result of await Promise.allSettled(works)) {
          if (result.status === "fulfilled") continue;
          expect(["LAST_OWNER", "SERVICE_USER_NOT_FOUND"]).toContain(result.reason.reason);
        }
        const { items } = await room.serviceUsers.list(root, of);
        expect(items.map(({ role }) => role)).toContain("owner");
      }
    });

    it("both changes are kept", async () => {
      const { id } = await createMachine(room, org);
      await Promise.all([
        room.serviceUsers.update(root, { id, org }, { title: "t" }),
        room.serviceUsers.update(root, { id, org }, { role: "manager" }),
        room.serviceUsers.setState(root, { id, org }, "disabled"),
      ]);
      const stored = await under.database.transaction((tx) => lockServiceUser(tx, id));
      expect(stored).toMatchObject({ title: "t", role: "manager", state: "disabled" });
    });
  });
});
