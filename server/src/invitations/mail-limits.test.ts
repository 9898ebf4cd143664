import { beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { deleteUncountedMails } from "./mail-store.ts";
import { createRooms, type Person, page } from "./test-support.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

describeDatabases("limits of invitations", (under) => {
  let nowMs = Date.parse("2031-01-01T00:00:00Z");
  const clock = { now: () => new Date(nowMs) };
  let rooms: ReturnType<typeof createRooms>;
  let owner: Person;
  let orgId: string;

  beforeEach(async () => {
    nowMs += 30 * dayMs;
    rooms = createRooms(under.database, clock);
    owner = await rooms.newPerson();
    orgId = await rooms.newOrganization(owner);
  });

  /** The refusal, with the seconds to wait; undefined where there was none. */
  function refusalOf(emails: string[], by = owner, org = orgId, at = rooms) {
    return at.invitations.create(by, { org, emails, role: "viewer", projects: [] }).then(
      () => undefined,
      ({ reason, retryAfterSeconds, message }) => ({ reason, retryAfterSeconds, message }),
    );
  }

  const newEmails = (count: number) => Array.from({ length: count }, () => rooms.newEmail());
  const refused = (retryAfterSeconds: number, words: string) => ({
    reason: "TOO_MANY_INVITATIONS",
    retryAfterSeconds,
    message: expect.stringContaining(words),
  });

  it("of one mailbox: one in ten minutes and five a day, whoever asks, and the time to wait is told", async () => {
    const [email = ""] = newEmails(1);
    const other = await rooms.newPerson();
    const others = await rooms.newOrganization(other);
    expect(await refusalOf([email])).toBeUndefined();
    expect(await refusalOf([email], other, others)).toEqual(refused(600, "to one mailbox in ten minutes"));
    for (let mail = 1; mail < 5; mail++) {
      const by = mail % 2 ? ([other, others] as const) : ([owner, orgId] as const);
      nowMs += 10 * minuteMs - 1;
      expect(await refusalOf([email], ...by)).toEqual(refused(1, "ten minutes"));
      nowMs += 1;
      expect(await refusalOf([email], ...by)).toBeUndefined();
    }
    nowMs += 10 * minuteMs;
    expect(await refusalOf([email])).toEqual(refused((dayMs - 50 * minuteMs) / 1000, "in a day"));
    nowMs += dayMs - 50 * minuteMs;
    expect(await refusalOf([email])).toBeUndefined();
  });

  it("of one mailbox are not used up by one sender nor by one organization, nor for superusers by anybody", async () => {
    const [email = ""] = newEmails(1);
    const [mallory, helper] = [await rooms.newPerson(), await rooms.newPerson()];
    const theirs = await rooms.newOrganization(mallory);
    await rooms.members.add(rooms.root, { org: theirs, userId: helper.principal.id }, "owner");
    for (let mail = 0; mail < 3; mail++) {
      expect(await refusalOf([email], mallory, theirs)).toBeUndefined();
      nowMs += 10 * minuteMs;
    }
    const elsewhere = await rooms.newOrganization(mallory);
    const wait = (dayMs - 30 * minuteMs) / 1000;
    expect(await refusalOf([email], mallory, elsewhere)).toEqual(refused(wait, "by one sender"));
    expect(await refusalOf([email], helper, theirs)).toEqual(refused(wait, "by one organization"));
    expect(await refusalOf([email])).toBeUndefined();
    expect(await refusalOf([email], rooms.root)).toBeUndefined();
    expect(await refusalOf([email], rooms.root)).toEqual(refused(600, "to one mailbox in ten minutes"));
    for (let mail = 1; mail < 5; mail++) {
      nowMs += 10 * minuteMs;
      expect(await refusalOf([email], rooms.root)).toBeUndefined();
    }
    nowMs += 10 * minuteMs;
    expect(await refusalOf([email], rooms.root)).toEqual(refused((dayMs - 50 * minuteMs) / 1000, "in a day"));
  });

  it("are not got around by withdrawing, and a refusal keeps nothing", async () => {
    const [email = ""] = newEmails(1);
    await refusalOf([email]);
    const [made] = (await rooms.invitations.list(owner, { org: orgId }, page)).items;
    await rooms.invitations.withdraw(owner, { org: orgId, id: made?.id ?? "" });
    rooms.events.length = 0;
    const [fresh = ""] = newEmails(1);
    expect(await refusalOf([fresh, email])).toEqual(refused(600, "ten minutes"));
    expect([(await rooms.invitations.list(owner, { org: orgId }, page)).items, rooms.events]).toEqual([
      [],
      [],
    ]);
    expect(await refusalOf([fresh])).toBeUndefined();
  });

  it("of one sender are fifty a day, over all organizations", async () => {
    const second = await rooms.newOrganization(owner);
    for (let call = 0; call < 5; call++) {
      expect(await refusalOf(newEmails(10), owner, call % 2 ? orgId : second)).toBeUndefined();
    }
    const third = await rooms.newOrganization(owner);
    expect(await refusalOf(newEmails(1), owner, third)).toEqual(
      refused(dayMs / 1000, "by one sender in a day"),
    );
    expect(await refusalOf(newEmails(1), rooms.root, third)).toBeUndefined();
    nowMs += dayMs;
    expect(await refusalOf(newEmails(1), owner, third)).toBeUndefined();
  });

  it("of one organization are fifty a day, over all its owners, and a hundred pending", async () => {
    const other = await rooms.newPerson();
    await rooms.members.add(rooms.root, { org: orgId, userId: other.principal.id }, "owner");
    for (let call = 0; call < 5; call++) await refusalOf(newEmails(10), call % 2 ? owner : other);
    const full = refused(dayMs / 1000, "by one organization in a day");
    expect(await refusalOf(newEmails(1))).toEqual(full);
    expect(await refusalOf(newEmails(1), other)).toEqual(full);
    nowMs += dayMs;
    for (let call = 0; call < 5; call++) expect(await refusalOf(newEmails(10))).toBeUndefined();
    nowMs += dayMs;
    const pending = refused(
      (5 * dayMs) / 1000,
      "no more than 100 invitations of an organization can be pending",
    );
    expect(await refusalOf(newEmails(1))).toEqual(pending);
    expect(await refusalOf(newEmails(1), rooms.root)).toBeUndefined();
    // Renewing takes no other place; what has expired holds none.
    const [first] = (await rooms.invitations.list(owner, { org: orgId }, page)).items;
    await rooms.invitations.withdraw(owner, { org: orgId, id: first?.id ?? "" });
    nowMs += 5 * dayMs;
    expect(await refusalOf(newEmails(1))).toBeUndefined();
  });

  it("hold for two processes that race for them", async () => {
    const other = createRooms(await under.openAnother(), clock);
    const [email = ""] = newEmails(1);
    const organizations = await Promise.all([1, 2].map(() => rooms.newOrganization(owner)));
    const outcomes = await Promise.all(
      organizations.flatMap((org) =>
        [rooms, other].map((at) => refusalOf([email], owner, org, at).then((refusal) => refusal?.reason)),
      ),
    );
    expect(outcomes.filter((each) => each === undefined)).toHaveLength(1);
    // Of different senders, who wait for each other at the mailbox alone.
    const people = await Promise.all(Array.from({ length: 6 }, () => rooms.newPerson()));
    const own: string[] = [];
    for (const person of people) own.push(await rooms.newOrganization(person));
    const [next = "", besides = ""] = newEmails(2);
    const raced = await Promise.all(
      people.map((person, index) => {
        const emails = index % 2 ? [next, besides] : [besides, next];
        return refusalOf(emails, person, own[index], index % 2 ? other : rooms);
      }),
    );
    expect(raced.filter((each) => each === undefined)).toHaveLength(1);
  });

  it("forget mails after a day, and those of a clock that ran ahead at once", async () => {
    const [email = ""] = newEmails(1);
    nowMs += 365 * dayMs;
    await refusalOf([email]);
    nowMs -= 365 * dayMs;
    expect(await refusalOf([email])).toBeUndefined();
    nowMs += dayMs;
    const rows = () =>
      under.database.reader
        .selectFrom("invitation_mails")
        .select("at")
        .where("sender_id", "=", owner.principal.id);
    await createExpirySweep(under.database, clock, deleteUncountedMails)();
    expect(await rows().execute()).toHaveLength(1);
    nowMs += 365 * dayMs;
    await createExpirySweep(under.database, clock, deleteUncountedMails)();
    expect(await rows().execute()).toEqual([]);
  });
});
