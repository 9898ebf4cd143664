import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import type { Database } from "../db/database.ts";
import { silentLog } from "../lib/log.ts";
import type { MailMessage } from "../mail/message.ts";
import type { Invitation } from "../organizations/invitation.ts";
import { createInvitationMails, createSignUpMails } from "./due-mails.ts";
import { InvitationMails } from "./mails.ts";
import { toMailedName } from "./notices.ts";
import { SignUpService } from "./sign-up-service.ts";
import { createRooms, type Person, page, reasonOf } from "./test-support.ts";

const hourMs = 3_600_000;
const publicUrl = "https://id.example.org";

/** A mail server that is there, away, or refuses mailboxes. */
class Post {
  readonly taken: MailMessage[] = [];
  isUp = true;
  /** What a mail waits for, once it has been handed over. */
  hold: Promise<void> | undefined;
  tries = 0;

  isAvailable(): boolean {
    return true;
  }

  async send(message: MailMessage): Promise<void> {
    this.tries += 1;
    await this.hold;
    if (!this.isUp) throw new Error("connection refused");
    if (message.to.startsWith("nobody"))
      throw Object.assign(new Error("no such mailbox"), { responseCode: 550, command: "RCPT TO" });
    this.taken.push(message);
  }
}

describeDatabases("mails of invitations", (under) => {
  let nowMs = Date.parse("2028-01-01T00:00:00Z");
  const clock = { now: () => new Date(nowMs) };
  let rooms: ReturnType<typeof createRooms>;
  let owner: Person;
  let orgId: string;
  let post: Post;
  let mails: InvitationMails;
  const created: InvitationMails[] = [];

  function createMails(database: Database = under.database): InvitationMails {
    const place = { publicUrl, siteName: "Example" };
    const kinds = [createInvitationMails(place), createSignUpMails(place)];
    const made = new InvitationMails({ database, clock, log: silentLog, mailer: post, kinds });
    created.push(made);
    return made;
  }

  beforeEach(async () => {
    // Limits of the tests before are over, and whatever they left is.
    nowMs += 30 * 24 * hourMs;
    post = new Post();
    mails = createMails();
    rooms = createRooms(under.database, clock);
    owner = await rooms.newPerson();
    orgId = await rooms.newOrganization(owner);
  });

  // None looks for what is due in the tests after.
  afterEach(async () => {
    await Promise.all(created.splice(0).map((each) => each.close()));
  });

  async function invite(more: object = {}): Promise<Invitation> {
    const request = {
      org: orgId,
      emails: [rooms.newEmail()],
      role: "viewer" as const,
      projects: [],
      ...more,
    };
    const [invitation] = await rooms.invitations.create(owner, request);
    if (invitation === undefined) throw new Error("nobody was invited");
    return invitation;
  }

  const find = async ({ id }: Invitation) =>
    (await rooms.invitations.list(owner, { org: orgId }, page)).items.find((each) => each.id === id);

  /** Sends what is due, and waits for it. */
  async function deliver(by = mails): Promise<void> {
    await by.sendDue();
    await eventually(() => expect(by.pending).toBe(0));
  }

  function readLink(mail: MailMessage | undefined): { id: string; token: string } {
    const link = /https:\/\/id\.example\.org\/invitation\?\S+/.exec(mail?.text ?? "")?.[0] ?? "";
    const { searchParams } = new URL(link);
    return { id: searchParams.get("id") ?? "", token: searchParams.get("t") ?? "" };
  }

  it("have a link that shows the invitation, and nothing of it to whoever guesses", async () => {
    const invitation = await invite({ role: "manager" });
    await deliver();
    expect(post.taken.map(({ to }) => to)).toEqual([invitation.email]);
    expect(await find(invitation)).toEqual({ ...invitation, sentAt: clock.now() });
    const { id, token } = readLink(post.taken[0]);
    expect([id, Buffer.from(token, "base64url").length]).toEqual([invitation.id, 32]);
    expect(await rooms.invitations.findByLink(id, token)).toMatchObject({ id, email: invitation.email });
    for (const [wrongId, wrongToken] of [
      [id, ""],
      [id, `${token}A`],
      [id, token.slice(1)],
      ["", token],
      [orgId, token],
    ] as const) {
      expect(await rooms.invitations.findByLink(wrongId, wrongToken)).toBeUndefined();
    }
    const rows = await under.database.reader.selectFrom("organization_invitations").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(token);
    const { text, html, subject } = post.taken[0] as MailMessage;
    expect(subject).toBe("You are invited to Example");
    expect(text).toContain(`${owner.principal.email} invites you to the organization “T”, as a manager.`);
    expect(html).toContain("See the invitation");
  });

  it("have another link each time, and the one before is dead at once (case 6)", async () => {
    const invitation = await invite();
    await deliver();
    const first = readLink(post.taken[0]);
    nowMs += hourMs;
    await rooms.invitations.renew(owner, { org: orgId, id: invitation.id });
    expect(await rooms.invitations.findByLink(first.id, first.token)).toBeUndefined();
    expect((await find(invitation))?.sentAt).toBeUndefined();
    await deliver();
    const second = readLink(post.taken[1]);
    expect(second.token).not.toBe(first.token);
    expect(await rooms.invitations.findByLink(second.id, second.token)).toBeDefined();
    expect(await rooms.invitations.findByLink(first.id, first.token)).toBeUndefined();
  });

  it("are sent once the mail server is back, and then no more", async () => {
    post.isUp = false;
    const invitation = await invite();
    await deliver();
    expect([post.tries, post.taken, (await find(invitation))?.sentAt]).toEqual([1, [], undefined]);
    // Not before its time.
    post.isUp = true;
    nowMs += 59_000;
    await deliver();
    expect(post.taken).toEqual([]);
    nowMs += 1_000;
    // By another process, as after a restart.
    await deliver(createMails(await under.openAnother()));
    expect(post.taken.map(({ to }) => to)).toEqual([invitation.email]);
    nowMs += 24 * hourMs;
    await deliver();
    expect(post.taken).toHaveLength(1);
  });

  it("that a process which died was sending are sent by another, a quarter of an hour later", async () => {
    let letGo = () => {};
    post.hold = new Promise((resolve) => {
      letGo = resolve;
    });
    const invitation = await invite();
    await mails.sendDue();
    await eventually(() => expect(post.tries).toBe(1));
    const other = createMails(await under.openAnother());
    await deliver(other);
    expect(post.tries).toBe(1);
    nowMs += 15 * 60_000;
    post.hold = undefined;
    await deliver(other);
    expect(post.taken.map(({ to }) => to)).toEqual([invitation.email]);
    letGo();
    await eventually(() => expect(mails.pending).toBe(0));
    // What the first one notes late changes nothing: its link is not the latest.
    const { id, token } = readLink(post.taken[0]);
    expect(await rooms.invitations.findByLink(id, token)).toBeDefined();
  });

  it("are sent once, however many processes look", async () => {
    const others = [mails, createMails(await under.openAnother()), createMails(await under.openAnother())];
    const emails = Array.from({ length: 10 }, () => rooms.newEmail());
    await invite({ emails });
    await Promise.all([...others, ...others].map((each) => each.sendDue()));
    await eventually(() => expect(others.map(({ pending }) => pending)).toEqual([0, 0, 0]));
    expect(post.taken.map(({ to }) => to).toSorted()).toEqual(emails.toSorted());
  });

  it("that no mailbox will ever take are not tried again", async () => {
    await invite({ emails: [`nobody-${rooms.newEmail()}`] });
    await deliver();
    nowMs += 24 * hourMs;
    await deliver();
    expect(post.tries).toBe(1);
  });

  it("are not sent into a disabled organization, and what was withdrawn is not", async () => {
    const invitation = await invite();
    await rooms.organizations.setState(rooms.root, orgId, "disabled");
    await deliver();
    expect(post.tries).toBe(0);
    await rooms.organizations.setState(rooms.root, orgId, "enabled");
    await rooms.invitations.withdraw(owner, { org: orgId, id: invitation.id });
    await deliver();
    expect(post.tries).toBe(0);
  });

  it("of sign-up are sent where a superuser asks for them", async () => {
    const signUps = new SignUpService({
      database: under.database,
      audit: rooms.audit,
      clock,
      onDue: () => {},
    });
    const email = rooms.newEmail();
    rooms.events.length = 0;
    await signUps.invite(rooms.root, email, false);
    await deliver();
    expect(post.tries).toBe(0);
    await signUps.invite(rooms.root, email.toUpperCase(), true);
    await deliver();
    await deliver();
    expect(post.taken).toMatchObject([{ to: email, subject: "You are invited to Example" }]);
    expect(post.taken[0]?.text).toContain("https://id.example.org/login");
    expect(await reasonOf(signUps.invite(rooms.root, email, true))).toBe("TOO_MANY_INVITATIONS");
    expect(await reasonOf(signUps.invite(rooms.root, "nonsense", true))).toBe("INVALID_EMAIL");
    expect(await reasonOf(signUps.invite(owner, email, false))).toBe("NOT_AUTHORIZED");
    expect(rooms.events).toEqual([{ action: "user.invite", mailbox: email, details: { email } }]);
  });

  describe("are no vehicle for others' words (case 9)", () => {
    it("whatever an organization is called", async () => {
      const title = `<a href="https://evil.example">Click</a>\r\nBcc: x@y.z {{.Link}} \u202e\u0007${"spam ".repeat(40)}`;
      const { id } = await rooms.organizations.create(owner, {
        name: "spam",
        title,
        metadata: {},
        avatar: "",
      });
      await rooms.invitations.create(owner, {
        org: id,
        emails: [rooms.newEmail()],
        role: "viewer",
        projects: [],
      });
      await deliver();
      const { subject, text, html } = post.taken[0] as MailMessage;
      expect(subject).toBe("You are invited to Example");
      expect(text).not.toMatch(/evil\.example|https:\/\/evil|\nBcc|x@y/);
      expect([...text].filter((each) => /[\p{Cc}\p{Bidi_Control}]/u.test(each) && each !== "\n")).toEqual([]);
      expect(text.match(/https?:\/\//g)).toHaveLength(1);
      expect(html).not.toMatch(/<a href="https:\/\/evil|evil\.example/);
      expect(html.match(/<a /g)).toHaveLength(1);
      expect(/“(.*)”/.exec(text)?.[1]?.length).toBeLessThan(100);
    });

    it("and names the sender's address to the letter, braces and all", async () => {
      const sender = await rooms.newPerson("{{ada}}@example.org");
      await rooms.invitations.create(sender, {
        org: await rooms.newOrganization(sender),
        emails: [rooms.newEmail()],
        role: "viewer",
        projects: [],
      });
      await deliver();
      const { text, html } = post.taken[0] as MailMessage;
      for (const part of [text, html]) expect(part).toContain("{{ada}}@example.org invites you");
    });

    it.each([
      ["evil.com", "evil. com"],
      ["https://evil.com/path?x=1", "https: //evil. com/path?x=1"],
      ["www.evil。com", "www. evil。 com"],
      ["mail me@evil.com", "mail me at evil. com"],
      ["Acme Inc.", "Acme Inc."],
      ["http:{}//2130706433/x", "http:{}//2130706433/x"],
      ["http://2130706433/x", "http: //2130706433/x"],
      ["{{.Otp}} {{.Link}}", "{{. Otp}} {{. Link}}"],
    ])("a name like %s", (name, mailed) => {
      expect(toMailedName(name)).toBe(mailed);
    });
  });
});
