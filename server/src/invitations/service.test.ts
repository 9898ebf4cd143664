import { beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { newId } from "../lib/ids.ts";
import type { Invitation } from "../organizations/invitation.ts";
import { createRemoveExpired } from "./expiry.ts";
import { createRooms, type Person, page, reasonOf } from "./test-support.ts";

const startMs = Date.parse("2027-01-01T00:00:00Z");
const hourMs = 3_600_000;

describeDatabases("invitations", (under) => {
  let nowMs = startMs;
  const clock = { now: () => new Date(nowMs) };
  let rooms: ReturnType<typeof createRooms>;
  let owner: Person;
  let orgId: string;

  beforeEach(async () => {
    // Limits of the tests before are over.
    nowMs += 30 * 24 * hourMs;
    rooms = createRooms(under.database, clock);
    owner = await rooms.newPerson();
    orgId = await rooms.newOrganization(owner);
    rooms.events.length = 0;
  });

  const asked = (more: object = {}) => ({
    org: orgId,
    emails: [rooms.newEmail()],
    role: "viewer" as const,
    projects: [],
    ...more,
  });

  async function invite(more: object = {}, by = owner): Promise<Invitation> {
    const [invitation] = await rooms.invitations.create(by, asked(more));
    if (invitation === undefined) throw new Error("nobody was invited");
    return invitation;
  }

  const ref = ({ id }: Invitation) => ({ org: orgId, id });
  const list = async (by: Person = owner) => (await rooms.invitations.list(by, { org: orgId }, page)).items;

  describe("are made", () => {
    it("for all addresses or none, each once, and listed with sender and expiry (case 12)", async () => {
      const [first, second] = [rooms.newEmail(), rooms.newEmail()];
      const made = await rooms.invitations.create(
        owner,
        asked({ emails: [first, second, first.toUpperCase()] }),
      );
      expect(await list()).toEqual(made.toSorted((a, b) => (a.id < b.id ? -1 : 1)));
      expect(made).toMatchObject(
        [first, second].map((email) => ({
          email,
          orgId,
          role: "viewer",
          invitedBy: { type: "user", id: owner.principal.id, name: owner.principal.email },
          createdAt: clock.now(),
          expiresAt: new Date(nowMs + 168 * hourMs),
        })),
      );
      expect(rooms.events.map(({ action }) => action)).toEqual(["invitation.create", "invitation.create"]);
      const bad = ["nonsense", owner.principal.email];
      for (const [index, reason] of ["INVALID_EMAIL", "ALREADY_MEMBER"].entries()) {
        const emails = [rooms.newEmail(), bad[index]];
        expect(await reasonOf(rooms.invitations.create(owner, asked({ emails })))).toBe(reason);
      }
      expect(await reasonOf(invite({ projects: ["nowhere"] }))).toBe("PROJECT_NOT_FOUND");
      expect(await list()).toHaveLength(2);
    });

    it("by owners alone, of whatever kind, whose address is proven", async () => {
      const machine = await rooms.newMachine(owner, orgId, "owner");
      const [byMachine] = await rooms.invitations.create(machine, asked());
      expect(byMachine?.invitedBy).toEqual({ type: "serviceuser", id: machine.principal.id, name: "robot" });
      const manager = await rooms.newMachine(owner, orgId, "manager");
      expect(await reasonOf(rooms.invitations.create(manager, asked()))).toBe("NOT_AUTHORIZED");
      const stranger = await rooms.newPerson();
      expect(await reasonOf(rooms.invitations.create(stranger, asked()))).toBe("NOT_AUTHORIZED");
      const unproven = { ...owner, principal: { ...owner.principal, emailProven: false } };
      expect(await reasonOf(rooms.invitations.create(unproven, asked()))).toBe("ADDRESS_UNPROVEN");
      expect(await list()).toHaveLength(1);
    });

    it("as one, however the address is spelled, and anew under their id (cases 4, 6)", async () => {
      const email = rooms.newEmail();
      const first = await invite({ emails: [email] });
      nowMs += hourMs;
      const renewed = await invite({ emails: [` ${email.toUpperCase()} `], role: "manager" });
      expect(renewed).toEqual({ ...first, role: "manager", expiresAt: new Date(nowMs + 168 * hourMs) });
      nowMs += hourMs;
      const again = await rooms.invitations.renew(owner, ref(first));
      expect(again).toEqual({ ...renewed, expiresAt: new Date(nowMs + 168 * hourMs) });
      expect(await list()).toEqual([again]);
      expect(rooms.events.map(({ action }) => action)).toEqual([
        "invitation.create",
        "invitation.renew",
        "invitation.renew",
      ]);
    });

    it("without telling whether an address has an account (case 10)", async () => {
      const known = await rooms.newPerson();
      const shapes = [];
      for (const email of [known.principal.email, rooms.newEmail()]) {
        const { id, email: _, ...rest } = await invite({ emails: [email] });
        shapes.push(rest);
        expect(await reasonOf(rooms.invitations.renew(owner, { org: orgId, id }))).toBe(
          "TOO_MANY_INVITATIONS",
        );
      }
      expect(shapes[0]).toEqual(shapes[1]);
    });
  });

  describe("are seen", () => {
    it("by owners and managers, and of the invited (case 11)", async () => {
      const invited = await rooms.newPerson();
      const invitation = await invite({ emails: [invited.principal.email] });
      const [manager, viewer, stranger] = await Promise.all([1, 2, 3].map(() => rooms.newPerson()));
      if (!manager || !viewer || !stranger) throw new Error("nobody");
      await rooms.members.add({ ...rooms.root }, { org: orgId, userId: manager.principal.id }, "manager");
      await rooms.members.add({ ...rooms.root }, { org: orgId, userId: viewer.principal.id }, "viewer");
      expect(await list(manager)).toEqual([invitation]);
      for (const one of [viewer, stranger, invited]) {
        expect(await reasonOf(list(one))).toBe("NOT_AUTHORIZED");
      }
      for (const one of [owner, manager, invited]) {
        expect(await rooms.invitations.get(one, ref(invitation))).toEqual(invitation);
      }
      for (const id of [invitation.id, newId(clock.now())]) {
        for (const one of [viewer, stranger]) {
          expect(await reasonOf(rooms.invitations.get(one, { org: orgId, id }))).toBe("NOT_AUTHORIZED");
        }
      }
      expect(await rooms.invitations.listForAddress(invited)).toEqual([invitation]);
      expect(await rooms.invitations.listForAddress(stranger)).toEqual([]);
      expect(await rooms.invitations.listForUser(rooms.root, invited.principal.id)).toEqual([invitation]);
      expect(await reasonOf(rooms.invitations.listForUser(owner, invited.principal.id))).toBe(
        "NOT_AUTHORIZED",
      );
    });

    it("of nobody who has not proven the address (case 3)", async () => {
      const unproven = await rooms.newPerson(rooms.newEmail(), false);
      // As whoever opened the account would like to be taken for.
      const boastful = { ...unproven, principal: { ...unproven.principal, emailProven: true } };
      const invitation = await invite({ emails: [unproven.principal.email] });
      for (const one of [unproven, boastful]) {
        expect(await rooms.invitations.listForAddress(one)).toEqual([]);
        expect(await rooms.invitations.findOwn(one, invitation.id)).toBeUndefined();
        expect(await reasonOf(rooms.invitations.get(one, ref(invitation)))).toBe("NOT_AUTHORIZED");
        expect(await reasonOf(rooms.invitations.accept(one, ref(invitation)))).toBe("INVITATION_NOT_FOUND");
        expect(await reasonOf(rooms.invitations.decline(one, ref(invitation)))).toBe("INVITATION_NOT_FOUND");
        expect(await reasonOf(rooms.invitations.delete(one, ref(invitation)))).toBe("NOT_AUTHORIZED");
      }
      expect(await list()).toEqual([invitation]);
    });
  });

  describe("are accepted", () => {
    it("by the proven address in a session, and by nobody else (cases 1, 2)", async () => {
      const invited = await rooms.newPerson();
      const project = await rooms.projects.create(owner, orgId, { name: "shop", title: "", metadata: {} });
      const gone = await rooms.projects.create(owner, orgId, { name: "gone", title: "", metadata: {} });
      const emails = [invited.principal.email];
      const invitation = await invite({ emails, role: "manager", projects: ["shop", gone.id] });
      await rooms.projects.delete(owner, { org: orgId, project: gone.id });
      rooms.events.length = 0;
      const stranger = await rooms.newPerson();
      for (const one of [stranger, owner]) {
        expect(await reasonOf(rooms.invitations.accept(one, ref(invitation)))).toBe("INVITATION_NOT_FOUND");
      }
      const byToken = {
        ...invited,
        principal: { ...invited.principal, credentialKind: "access_token" as const },
      };
      expect(await reasonOf(rooms.invitations.accept(byToken, ref(invitation)))).toBe("NOT_AUTHORIZED");
      const elsewhere = { org: "another", id: invitation.id };
      expect(await reasonOf(rooms.invitations.accept(invited, elsewhere))).toBe("INVITATION_NOT_FOUND");
      expect(rooms.events).toEqual([]);
      await rooms.invitations.accept(invited, { ...ref(invitation), id: invitation.id.toUpperCase() });
      expect(await rooms.roleOf(invited, orgId)).toBe("manager");
      expect(rooms.events).toMatchObject([
        { action: "invitation.accept", target: invitation.id, orgId },
        {
          action: "member.add",
          target: invited.principal.id,
          details: { role: "manager", via: "invitation" },
        },
        { action: "project.add_member", details: { project: project.id } },
      ]);
      expect(await list()).toEqual([]);
      expect(await reasonOf(rooms.invitations.accept(invited, ref(invitation)))).toBe("INVITATION_NOT_FOUND");
      expect(await reasonOf(rooms.invitations.withdraw(owner, ref(invitation)))).toBe("INVITATION_NOT_FOUND");
    });

    it("until they expire, which is said, and listed for a week more", async () => {
      const invited = await rooms.newPerson();
      const invitation = await invite({ emails: [invited.principal.email] });
      nowMs = invitation.expiresAt.getTime();
      expect(await reasonOf(rooms.invitations.accept(invited, ref(invitation)))).toBe("INVITATION_EXPIRED");
      expect(await rooms.invitations.listForAddress(invited)).toEqual([invitation]);
      const sweep = createExpirySweep(under.database, clock, createRemoveExpired(rooms.audit));
      nowMs += 168 * hourMs - 1;
      await sweep();
      expect(await list()).toEqual([invitation]);
      nowMs += 1;
      rooms.events.length = 0;
      expect(await sweep()).toBeGreaterThanOrEqual(1);
      expect(await list()).toEqual([]);
      expect(rooms.events).toContainEqual(
        expect.objectContaining({ action: "invitation.expire", target: invitation.id, orgId }),
      );
      expect(await reasonOf(rooms.invitations.accept(invited, ref(invitation)))).toBe("INVITATION_NOT_FOUND");
    });

    it("by a member already, who keeps their role, and of other organizations nothing changes (case 13)", async () => {
      const invited = await rooms.newPerson();
      const other = await rooms.newOrganization(invited);
      const invitation = await invite({ emails: [invited.principal.email], role: "owner" });
      await rooms.members.add(rooms.root, { org: orgId, userId: invited.principal.id }, "viewer");
      rooms.events.length = 0;
      await rooms.invitations.accept(invited, ref(invitation));
      expect(await rooms.roleOf(invited, orgId)).toBe("viewer");
      expect(await rooms.roleOf(invited, other)).toBe("owner");
      expect(rooms.events.map(({ action }) => action)).toEqual(["invitation.accept"]);
      expect(await list()).toEqual([]);
    });

    it("while the organization is enabled, and as owner by who may own one more", async () => {
      const invited = await rooms.newPerson();
      const invitation = await invite({ emails: [invited.principal.email], role: "owner" });
      await rooms.organizations.setState(rooms.root, orgId, "disabled");
      expect(await reasonOf(rooms.invitations.accept(invited, ref(invitation)))).toBe(
        "ORGANIZATION_DISABLED",
      );
      expect(await reasonOf(invite())).toBe("ORGANIZATION_DISABLED");
      await rooms.organizations.setState(rooms.root, orgId, "enabled");
      const own = [];
      for (let made = 0; made < 3; made++) own.push(await rooms.newOrganization(invited));
      expect(await reasonOf(rooms.invitations.accept(invited, ref(invitation)))).toBe(
        "TOO_MANY_ORGANIZATIONS",
      );
      expect(await list()).toHaveLength(1);
      await rooms.organizations.delete(invited, own[0] ?? "");
      await rooms.invitations.accept(invited, ref(invitation));
      expect(await rooms.roleOf(invited, orgId)).toBe("owner");
    });

    it("once, of fifty calls in two processes (case 8)", async () => {
      const invited = await rooms.newPerson();
      const invitation = await invite({ emails: [invited.principal.email] });
      const other = createRooms(await under.openAnother(), clock);
      rooms.events.length = 0;
      const reasons = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          reasonOf((index % 2 ? rooms : other).invitations.accept(invited, ref(invitation))),
        ),
      );
      expect(reasons.toSorted()).toEqual(["", ...Array(49).fill("INVITATION_NOT_FOUND")]);
      expect([...rooms.events, ...other.events].map(({ action }) => action)).toEqual([
        "invitation.accept",
        "member.add",
      ]);
      expect(await rooms.roleOf(invited, orgId)).toBe("viewer");
    });

    it("or withdrawn, when both happen at once: one of them (case 8)", async () => {
      const other = createRooms(await under.openAnother(), clock);
      for (let round = 0; round < 5; round++) {
        const invited = await rooms.newPerson();
        const invitation = await invite({ emails: [invited.principal.email] });
        const [accepted, withdrawn] = await Promise.all([
          reasonOf(rooms.invitations.accept(invited, ref(invitation))),
          reasonOf(other.invitations.withdraw(owner, ref(invitation))),
        ]);
        const isMember = (await rooms.roleOf(invited, orgId)) !== undefined;
        expect([accepted, withdrawn]).toEqual(
          isMember ? ["", "INVITATION_NOT_FOUND"] : ["INVITATION_NOT_FOUND", ""],
        );
      }
    });
  });

  it("are declined by the invited, and withdrawn by owners alone", async () => {
    const invited = await rooms.newPerson();
    const first = await invite({ emails: [invited.principal.email] });
    // An app that was given a token of theirs does not answer for them.
    const byToken = {
      ...invited,
      principal: { ...invited.principal, credentialKind: "access_token" as const },
    };
    expect(await reasonOf(rooms.invitations.delete(byToken, ref(first)))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(rooms.invitations.decline(byToken, ref(first)))).toBe("NOT_AUTHORIZED");
    await rooms.invitations.delete(invited, ref(first));
    nowMs += hourMs;
    const second = await invite({ emails: [invited.principal.email] });
    const manager = await rooms.newPerson();
    await rooms.members.add(rooms.root, { org: orgId, userId: manager.principal.id }, "manager");
    expect(await reasonOf(rooms.invitations.delete(manager, ref(second)))).toBe("NOT_AUTHORIZED");
    await rooms.invitations.delete(owner, ref(second));
    expect(await list()).toEqual([]);
    expect(await reasonOf(rooms.invitations.decline(invited, ref(second)))).toBe("INVITATION_NOT_FOUND");
    expect(rooms.events.map(({ action }) => action)).toEqual([
      "invitation.create",
      "invitation.decline",
      "invitation.create",
      "member.add",
      "invitation.delete",
    ]);
  });
});
