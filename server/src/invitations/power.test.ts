import { beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Caller } from "../principals/principal.ts";
import { takeOver } from "../users/take-over.ts";
import { createRooms, type Person, page, reasonOf } from "./test-support.ts";

const hourMs = 3_600_000;

describeDatabases("invitations and their sender's power (case 7)", (under) => {
  let nowMs = Date.parse("2030-01-01T00:00:00Z");
  const clock = { now: () => new Date(nowMs) };
  let rooms: ReturnType<typeof createRooms>;
  let founder: Person;
  let orgId: string;

  beforeEach(async () => {
    nowMs += 30 * 24 * hourMs;
    rooms = createRooms(under.database, clock);
    founder = await rooms.newPerson();
    orgId = await rooms.newOrganization(founder);
  });

  async function newOwner(): Promise<Person> {
    const owner = await rooms.newPerson();
    await rooms.members.add(rooms.root, { org: orgId, userId: owner.principal.id }, "owner");
    return owner;
  }

  /** Somebody who was invited, and could accept. */
  async function invite(by: Caller) {
    const invited = await rooms.newPerson();
    const request = { org: orgId, emails: [invited.principal.email], role: "viewer" as const, projects: [] };
    const [invitation] = await rooms.invitations.create(by, request);
    const ref = { org: orgId, id: invitation?.id ?? "" };
    return { invited, ref, accept: () => reasonOf(rooms.invitations.accept(invited, ref)) };
  }

  const listed = async () =>
    (await rooms.invitations.list(founder, { org: orgId }, page)).items.map(({ id }) => id);

  it.each<[string, (owner: Person) => Promise<unknown>]>([
    [
      "member.set_role",
      (owner) => rooms.members.setRole(founder, { org: orgId, userId: owner.principal.id }, "manager"),
    ],
    ["member.remove", (owner) => rooms.members.remove(founder, { org: orgId, userId: owner.principal.id })],
    ["member.remove", (owner) => rooms.members.remove(owner, { org: orgId, userId: owner.principal.id })],
    ["user.disable", (owner) => rooms.users.setState(rooms.root, owner.principal.id, "disabled")],
    ["user.delete", (owner) => rooms.users.delete(rooms.root, owner.principal.id)],
  ])("are gone with it, by %s, and come back with nothing", async (because, lose) => {
    const owner = await newOwner();
    const { invited, ref, accept } = await invite(owner);
    const others = await invite(founder);
    rooms.events.length = 0;
    await lose(owner);
    expect(await listed()).toEqual([others.ref.id]);
    expect(rooms.events).toContainEqual({
      action: "invitation.delete",
      target: ref.id,
      orgId,
      mailbox: invited.principal.email,
      details: { email: invited.principal.email, because },
    });
    expect(await accept()).toBe("INVITATION_NOT_FOUND");
    if (because === "user.disable") await rooms.users.setState(rooms.root, owner.principal.id, "enabled");
    expect(await accept()).toBe("INVITATION_NOT_FOUND");
    expect(await rooms.roleOf(invited, orgId)).toBeUndefined();
    expect(await others.accept()).toBe("");
  });

  it.each<[string, (caller: Caller, ref: { org: string; id: string }) => Promise<unknown>]>([
    ["service_user.update", (caller, ref) => rooms.machines.update(caller, ref, { role: "manager" })],
    ["service_user.disable", (caller, ref) => rooms.machines.setState(caller, ref, "disabled")],
    ["service_user.delete", (caller, ref) => rooms.machines.delete(caller, ref)],
  ])("of a service user are gone with it, by %s", async (because, lose) => {
    const machine = await rooms.newMachine(founder, orgId, "owner");
    const { ref, accept } = await invite(machine);
    rooms.events.length = 0;
    await lose(founder, { org: orgId, id: machine.principal.id });
    expect(rooms.events).toContainEqual(
      expect.objectContaining({
        action: "invitation.delete",
        target: ref.id,
        details: expect.objectContaining({ because }),
      }),
    );
    expect(await accept()).toBe("INVITATION_NOT_FOUND");
  });

  it("stay where their sender's role does, or another changes", async () => {
    const owner = await newOwner();
    const { accept } = await invite(owner);
    await rooms.members.setRole(founder, { org: orgId, userId: owner.principal.id }, "owner");
    const other = await rooms.newOrganization(founder);
    await rooms.members.add(rooms.root, { org: other, userId: owner.principal.id }, "owner");
    await rooms.members.remove(founder, { org: other, userId: owner.principal.id });
    expect(await accept()).toBe("");
  });

  it("are not accepted in the name of a superuser who is none any more", async () => {
    const { principal, request } = await rooms.newPerson();
    const superuser = { principal: { ...principal, superuser: true }, request };
    const { accept, ref } = await invite(superuser);
    expect(await accept()).toBe("INVITATION_NOT_FOUND");
    await rooms.invitations.withdraw(founder, ref);
  });

  it("are gone with an account that is taken over, and with the organization", async () => {
    const owner = await newOwner();
    const { accept } = await invite(owner);
    const others = await invite(founder);
    const { id, email } = owner.principal;
    const texts = { name: id, title: "", avatar: "", metadata: {} };
    const user = {
      id,
      email,
      emailProven: false,
      state: "enabled",
      createdAt: clock.now(),
      updatedAt: clock.now(),
    };
    const parts = {
      clock,
      endSessions: async () => [],
      forgetPasskeys: async () => 0,
      forgetConfirmations: async () => {},
    };
    const taken = await under.database.transaction((tx) =>
      takeOver(tx, { ...user, ...texts, state: "enabled" }, parts),
    );
    expect(taken.events).toContainEqual(expect.objectContaining({ action: "invitation.delete", orgId }));
    expect(await accept()).toBe("INVITATION_NOT_FOUND");
    await rooms.organizations.delete(founder, orgId);
    expect(await others.accept()).toBe("INVITATION_NOT_FOUND");
  });

  it("to somebody whose account is deleted are gone with it, as organizations hear (case 22)", async () => {
    const { invited, ref } = await invite(founder);
    const { id, email } = invited.principal;
    const theirs = await rooms.newOrganization(founder);
    await rooms.members.add(rooms.root, { org: theirs, userId: id }, "viewer");
    rooms.events.length = 0;
    await rooms.users.delete(rooms.root, id);
    expect(rooms.events).toContainEqual({
      action: "member.remove",
      target: id,
      orgId: theirs,
      details: { because: "user.delete" },
    });
    expect(rooms.events).toContainEqual({
      action: "invitation.delete",
      target: ref.id,
      orgId,
      mailbox: email,
      details: { email, because: "user.delete" },
    });
    expect(await listed()).toEqual([]);
  });

  it("are accepted or lost, when their sender is demoted at the same moment", async () => {
    const other = createRooms(await under.openAnother(), clock);
    for (let round = 0; round < 5; round++) {
      const owner = await newOwner();
      const { invited, ref } = await invite(owner);
      const [reason] = await Promise.all([
        reasonOf(rooms.invitations.accept(invited, ref)),
        other.members.setRole(founder, { org: orgId, userId: owner.principal.id }, "viewer"),
      ]);
      const role = await rooms.roleOf(invited, orgId);
      expect([reason, role]).toEqual(reason === "" ? ["", "viewer"] : ["INVITATION_NOT_FOUND", undefined]);
      expect(await listed()).toEqual([]);
    }
  });

  it("are not made by whoever is demoted meanwhile", async () => {
    const other = createRooms(await under.openAnother(), clock);
    for (let round = 0; round < 5; round++) {
      const owner = await newOwner();
      const request = { org: orgId, emails: [rooms.newEmail()], role: "viewer" as const, projects: [] };
      const [reason] = await Promise.all([
        reasonOf(rooms.invitations.create(owner, request)),
        other.members.setRole(founder, { org: orgId, userId: owner.principal.id }, "viewer"),
      ]);
      expect(["", "NOT_AUTHORIZED"]).toContain(reason);
      expect(await listed()).toEqual([]);
    }
  });
});
