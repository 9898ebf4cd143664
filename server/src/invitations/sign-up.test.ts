import { beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { SignupConfig } from "../config/config.ts";
import type { Role } from "../principals/principal.ts";
import { Accounts } from "../users/accounts.ts";
import { createRooms, type Person, reasonOf } from "./test-support.ts";

const hourMs = 3_600_000;

describeDatabases("signing up by invitation", (under) => {
  let nowMs = Date.parse("2029-01-01T00:00:00Z");
  const clock = { now: () => new Date(nowMs) };
  let rooms: ReturnType<typeof createRooms>;
  let owner: Person;
  let orgId: string;

  beforeEach(async () => {
    nowMs += 30 * 24 * hourMs;
    rooms = createRooms(under.database, clock);
    owner = await rooms.newPerson();
    orgId = await rooms.newOrganization(owner);
  });

  /** What becomes of whoever proves a mailbox: the empty text for a new account. */
  async function signUp(
    email: string,
    signup: Partial<SignupConfig>,
    adminEmails: string[] = [],
  ): Promise<string> {
    const accounts = new Accounts({
      clock,
      adminEmails,
      signup: { mode: "invited", domains: [], byMembers: false, ...signup },
      endSessions: async () => [],
      forgetPasskeys: async () => 0,
      forgetConfirmations: async () => {},
      endFlows: async () => {},
      hasPasskey: async () => false,
    });
    return await reasonOf(under.database.transaction((tx) => accounts.admitMailbox(tx, email)));
  }

  async function invite(
    by = owner,
  ): Promise<{ readonly email: string; readonly ref: { id: string; org: string } }> {
    const email = rooms.newEmail();
    const request = { org: orgId, emails: [email], role: "viewer" as Role, projects: [] };
    const [made] = await rooms.invitations.create(by, request);
    return { email, ref: { id: made?.id ?? "", org: orgId } };
  }

  const byMembers = { byMembers: true };
  const domains = { mode: "domains", domains: ["other.example"] } as const;

  it("is closed to whom nobody has invited", async () => {
    for (const signup of [{}, byMembers, domains, { ...domains, ...byMembers }]) {
      expect(await signUp(rooms.newEmail(), signup)).toBe("SIGNUP_CLOSED");
    }
  });

  it("takes an owner's invitation where members' count", async () => {
    for (const signup of [{}, domains]) {
      const { email } = await invite();
      expect(await signUp(email, signup)).toBe("SIGNUP_CLOSED");
      expect(await signUp(email, { ...signup, ...byMembers })).toBe("");
    }
  });

  it("takes a superuser's invitation where sign-up is for the invited", async () => {
    const { principal, request } = await rooms.newPerson();
    const superuser = { principal: { ...principal, superuser: true }, request };
    const first = await invite(superuser);
    expect(await signUp(first.email, domains, [principal.email])).toBe("SIGNUP_CLOSED");
    expect(await signUp(first.email, {}, [principal.email])).toBe("");
    // Of one who is none any more it counts for nothing.
    const second = await invite(superuser);
    expect(await signUp(second.email, {})).toBe("SIGNUP_CLOSED");
    expect(await signUp(second.email, byMembers)).toBe("SIGNUP_CLOSED");
  });

  it("takes no invitation that is over, withdrawn, without power, or into a disabled organization", async () => {
    const withdrawn = await invite();
    await rooms.invitations.withdraw(owner, withdrawn.ref);
    expect(await signUp(withdrawn.email, byMembers)).toBe("SIGNUP_CLOSED");
    const shut = await invite();
    await rooms.organizations.setState(rooms.root, orgId, "disabled");
    expect(await signUp(shut.email, byMembers)).toBe("SIGNUP_CLOSED");
    await rooms.organizations.setState(rooms.root, orgId, "enabled");
    nowMs += 168 * hourMs;
    expect(await signUp(shut.email, byMembers)).toBe("SIGNUP_CLOSED");
    const orphaned = await invite();
    await rooms.members.add(
      rooms.root,
      { org: orgId, userId: (await rooms.newPerson()).principal.id },
      "owner",
    );
    await rooms.members.remove(owner, { org: orgId, userId: owner.principal.id });
    expect(await signUp(orphaned.email, byMembers)).toBe("SIGNUP_CLOSED");
  });
});
