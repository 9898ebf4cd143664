/** Invitations as people meet them: the mail, the page its link leads to, and the pages of who invites. */
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { askForMail, follow, heading, press, signIn, submit, typeCode } from "./parts/pages.ts";
import { findCode, findLink, hasCode, listMails, waitForMail } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { inspect, openVisit, type Visit } from "./parts/visit.ts";

// What the provider says of whoever comes: an address that nobody here invites.
const atProvider = { email: "zoe@elsewhere.example", email_verified: true, name: "Zoe" };

// Several people and many pages in one test, each of them looked at in light, dark and on a phone.
vi.setConfig({ testTimeout: 240_000 });

let server: TestServer;
let provider: IdentityProvider;
let browser: Browser;
let url: string;
let visits: Visit[] = [];

beforeAll(async () => {
  const port = await findFreePort();
  url = `http://localhost:${port}`;
  provider = await startIdentityProvider({
    accounts: { nobody: atProvider },
    redirectUris: [`${url}/auth/callback/acme`],
  });
  const { issuer, clientId, clientSecret } = provider;
  [server, browser] = await Promise.all([
    startServer({
      port,
      config: {
        // All of this file's people come from one address.
        limits: { mails_per_address_per_hour: 1000 },
        authentication: {
          oidc_config: { acme: { issuer_url: issuer, client_id: clientId, client_secret: clientSecret } },
        },
      },
    }),
    launchBrowser(),
  ]);
});

afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
  await provider?.stop();
});

afterEach(async () => {
  const complaints = visits.flatMap((visit) => visit.complaints);
  for (const visit of visits) await visit.close();
  visits = [];
  expect(complaints).toEqual([]);
});

let count = 0;
const newName = () => `globex-${count++}`;
const newEmail = () => `${newName()}@example.org`;

async function visit(path: string, options?: BrowserContextOptions): Promise<Page> {
  const opened = await openVisit(browser, [url, provider.issuer], options);
  visits.push(opened);
  await opened.page.goto(`${url}${path}`);
  return opened.page;
}

/** Someone who is signed in and looks at their account. */
async function comeIn(email = newEmail(), options?: BrowserContextOptions) {
  const page = await visit("/login", options);
  await signIn(server, page, email);
  return { page, email };
}

async function asRoot(method: string, message: object): Promise<Answer> {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  if (answer.status !== 200) throw new Error(answer.text);
  return answer;
}

async function findUserId(email: string): Promise<string> {
  return (await asRoot("UserService/ListUsers", { email })).json.users[0].id;
}

/** An owner who looks at the invitations of an organization of theirs. */
async function comeAsOwner(title = "Globex") {
  const owner = await comeIn();
  const org = newName();
  const body = { name: org, title };
  await asRoot("OrganizationService/CreateOrganization", { body });
  const user_id = await findUserId(owner.email);
  await asRoot("OrganizationService/AddMember", { org_id: org, user_id, role: "owner" });
  await owner.page.reload();
  await follow(owner.page, title === "Globex" ? title : /evil/);
  await follow(owner.page, "Invite people");
  return { ...owner, org };
}

/** Fills the form in and sends it; answers the link of the mail, as path and query. */
async function invite(page: Page, email: string, role = "Viewer"): Promise<string> {
  const before = listMails(server);
  await page.getByLabel("E-mail addresses").fill(email);
  await page.getByLabel("Role", { exact: true }).selectOption(role);
  await submit(page, "Send the invitation");
  return await waitForInvitation(email, before);
}

async function waitForInvitation(email: string, before: readonly string[]): Promise<string> {
  const mail = await waitForMail(server, email, before, (text) => text.includes("/invitation?"));
  const { pathname, search } = findLink(mail);
  return `${pathname}${search}`;
}

const facts = (page: Page, name: string) => page.getByRole("listitem").filter({ hasText: name }).innerText();

/** Has the time of an invitation be over. */
function expire(email: string): void {
  const database = new Sqlite(join(server.state.dataDir, "vestibule.db"), { timeout: 10_000 });
  try {
    const changed = database
      .prepare("update organization_invitations set expires_at = ? where email = ?")
      .run(Date.now() - 1000, email);
    if (changed.changes !== 1) throw new Error(`no invitation to ${email}`);
  } finally {
    database.close();
  }
}

it("from the mail to a member, another role and the end of it: who is invited signs in on the way", async () => {
  const owner = await comeAsOwner();
  await inspect(owner.page, "invitations-none");
  const email = newEmail();
  const link = await invite(owner.page, email, "Manager");
  expect(await owner.page.getByRole("status").innerText()).toBe("The invitation is on its way.");
  expect(await facts(owner.page, email)).toMatch(/Manager[\s\S]*Invited by globex[\s\S]*Works until/);
  await inspect(owner.page, "invitations");
  // Mail scanners look at links, and change nothing.
  for (const method of ["HEAD", "GET", "HEAD", "GET", "HEAD", "GET"]) {
    expect((await send(`${url}${link}`, { method })).status).toBe(200);
  }
  const guest = await visit(link);
  expect(await heading(guest)).toBe("You are invited to Globex");
  expect(await guest.getByText(owner.email).count()).toBe(1);
  expect(await guest.getByLabel("E-mail address").inputValue()).toBe(email);
  await inspect(guest, "invitation-signed-out");
  await typeCode(guest, findCode(await askForMail(server, guest, email)));
  await guest.waitForURL("**/invitation?id=*");
  expect(new URL(guest.url()).searchParams.get("t")).toBe(null);
  expect(await heading(guest)).toBe("You are invited to Globex");
  await inspect(guest, "invitation-answer");
  await submit(guest, "Accept");
  expect(await guest.getByRole("status").innerText()).toBe("You are a member now.");
  expect(await guest.getByText("You are a manager").count()).toBe(1);
  // What was accepted leads straight on, or to nothing.
  await guest.goto(`${url}${link}`);
  expect(await heading(guest)).toBe("There is no such invitation any more");
  await inspect(guest, "invitation-gone");

  await follow(owner.page, "Globex");
  await owner.page.getByLabel(`Role of ${email}`, { exact: true }).click();
  await owner.page
    .getByLabel("Role", { exact: true })
    .and(owner.page.locator(":visible"))
    .selectOption("Viewer");
  await submit(owner.page, "Save");
  expect(await facts(owner.page, email)).toMatch(/Viewer/);
  await owner.page.getByLabel(`Remove ${email}`, { exact: true }).click();
  await submit(owner.page, `Remove them: ${email}`);
  await guest.goto(`${url}/account`);
  expect(await guest.getByText("You are a member of none.").count()).toBe(1);
});

describe("who opens the link", () => {
  it("and signs in by a provider that knows them as somebody else changes nothing: both addresses are named", async () => {
    const owner = await comeAsOwner();
    const email = newEmail();
    const link = await invite(owner.page, email);
    const guest = await visit(link);
    await press(guest, "Continue with Acme");
    await guest.waitForURL("**/invitation?id=*");
    // The link alone says whose it is.
    expect(await heading(guest)).toBe("There is no invitation for you here");
    expect(await guest.locator("main").innerText()).toContain(atProvider.email);
    await inspect(guest, "invitation-not-yours");
    await guest.goto(`${url}${link}`);
    expect(await heading(guest)).toBe("This invitation is for somebody else");
    const said = await guest.locator("main").innerText();
    expect(said).toContain(email);
    expect(said).toContain(atProvider.email);
    expect(await guest.getByRole("button", { name: "Accept" }).count()).toBe(0);
    await inspect(guest, "invitation-somebody-elses");
    await follow(guest, `Sign in as ${email}`);
    await typeCode(guest, findCode(await askForMail(server, guest, email)));
    await guest.waitForURL("**/invitation?id=*");
    await submit(guest, "Accept");
    await guest.goto(`${url}/account`);
    expect(await guest.getByText(email).first().isVisible()).toBe(true);
  });

  it("and whose address nobody has confirmed confirms it first, in the session that they have", async () => {
    const owner = await comeAsOwner();
    const link = await invite(owner.page, atProvider.email);
    const guest = await visit(link);
    await press(guest, "Continue with Acme");
    await guest.waitForURL("**/invitation?id=*");
    expect(await guest.getByRole("button", { name: "Accept" }).count()).toBe(0);
    await guest.goto(`${url}${link}`);
    expect(await guest.locator("main").innerText()).toContain("Nobody has confirmed yet");
    await inspect(guest, "invitation-unconfirmed");
    const before = listMails(server);
    await press(guest, "E-mail me a code");
    await guest.waitForURL("**/login/check-mail?*");
    await typeCode(guest, findCode(await waitForMail(server, atProvider.email, before, hasCode)));
    await guest.waitForURL("**/invitation?id=*");
    await submit(guest, "Accept");
    expect(await guest.getByRole("status").innerText()).toBe("You are a member now.");
  });

  it("declines it, and it is gone", async () => {
    const owner = await comeAsOwner();
    const guest = await comeIn();
    await invite(owner.page, guest.email);
    await guest.page.reload();
    expect(await facts(guest.page, "Globex")).toMatch(/Viewer[\s\S]*Invited by/);
    await inspect(guest.page, "account-invited");
    await follow(guest.page, "Answer");
    await submit(guest.page, "Decline");
    expect(await guest.page.getByRole("status").innerText()).toBe("The invitation is declined.");
    await owner.page.reload();
    expect(await owner.page.getByText("Nobody is invited at the moment.").count()).toBe(1);
  });

  it("late is told whom to ask for a new one, also by a form that was open", async () => {
    const owner = await comeAsOwner();
    const guest = await comeIn();
    const link = await invite(owner.page, guest.email);
    await guest.page.goto(`${url}${link}`);
    expire(guest.email);
    await submit(guest.page, "Accept");
    expect(await heading(guest.page)).toBe("This invitation has expired");
    expect(await guest.page.locator("main").innerText()).toContain(`Ask ${owner.email} for a new one`);
    await inspect(guest.page, "invitation-expired");
    const other = await visit(link);
    expect(await heading(other)).toBe("This invitation has expired");
    await owner.page.reload();
    expect(await facts(owner.page, guest.email)).toMatch(/Expired/);
    await inspect(owner.page, "invitations-expired");
  });

  it("in two tabs accepts once; who is a member by then goes straight on", async () => {
    const owner = await comeAsOwner();
    const guest = await comeIn();
    const link = await invite(owner.page, guest.email);
    await guest.page.goto(`${url}${link}`);
    const tab = await guest.page.context().newPage();
    await tab.goto(`${url}${link}`);
    await submit(guest.page, "Accept");
    await submit(tab, "Accept");
    expect(await tab.getByRole("status").innerText()).toBe("You are a member now.");
    const late = await comeIn();
    const another = await invite(owner.page, late.email);
    const user_id = await findUserId(late.email);
    await asRoot("OrganizationService/AddMember", { org_id: owner.org, user_id });
    await late.page.goto(`${url}${another}`);
    expect(await late.page.getByText("You are a viewer").count()).toBe(1);
  });

  it("after signing out elsewhere is asked to sign in, and comes back to it", async () => {
    const owner = await comeAsOwner();
    const guest = await comeIn();
    const link = await invite(owner.page, guest.email);
    await guest.page.goto(`${url}${link}`);
    const tab = await guest.page.context().newPage();
    await tab.goto(`${url}/account`);
    await submit(tab, "Sign out");
    await submit(guest.page, "Accept");
    expect(await heading(guest.page)).toBe("Sign in");
    expect(await guest.page.getByText("to answer the invitation").count()).toBe(1);
    await inspect(guest.page, "login-invitation");
    await typeCode(guest.page, findCode(await askForMail(server, guest.page, guest.email)));
    await guest.page.waitForURL("**/invitation?id=*");
    await submit(guest.page, "Accept");
    expect(await guest.page.getByRole("status").innerText()).toBe("You are a member now.");
  });

  it.each(["/invitation", "/invitation?id=x&t=y", "/invitation?id=01890000-0000-7000-8000-000000000000&t=y"])(
    "%s, which was never sent, is told so",
    async (path) => {
      const page = await visit(path);
      expect(await heading(page)).toBe("There is no such invitation any more");
    },
  );

  it("without JavaScript does all of it", async () => {
    const owner = await comeAsOwner();
    const email = newEmail();
    const link = await invite(owner.page, email);
    const guest = await visit(link, { javaScriptEnabled: false });
    await typeCode(guest, findCode(await askForMail(server, guest, email)));
    await guest.waitForURL("**/invitation?id=*");
    await submit(guest, "Accept");
    expect(await guest.getByRole("status").innerText()).toBe("You are a member now.");
  });
});

describe("who invites", () => {
  it("is told when it is too soon to send it again; withdraws it, and its link is dead", async () => {
    const owner = await comeAsOwner();
    const email = newEmail();
    const link = await invite(owner.page, email);
    await submit(owner.page, `Send again to ${email}`);
    // One mailbox is sent one in ten minutes.
    expect(await owner.page.getByRole("alert").innerText()).toContain("one in ten minutes");
    await inspect(owner.page, "invitations-too-many");
    await owner.page.getByLabel(`Withdraw ${email}`, { exact: true }).click();
    await inspect(owner.page, "invitations-withdraw");
    await submit(owner.page, `Withdraw it: ${email}`);
    expect(await owner.page.getByRole("status").innerText()).toBe("The invitation is withdrawn.");
    expect(await heading(await visit(link))).toBe("There is no such invitation any more");
  });

  it("is told what is wrong, with all that was typed; several at once or none", async () => {
    const owner = await comeAsOwner();
    const { json } = await asRoot("OrganizationService/CreateProject", {
      org_id: owner.org,
      name: "apollo",
      title: `Apollo <b>\u200b`,
    });
    await owner.page.reload();
    const good = newEmail();
    await owner.page.getByLabel("E-mail addresses").fill(`${good}, ${owner.email}`);
    await owner.page.getByLabel("Role", { exact: true }).selectOption("Owner");
    await owner.page.getByLabel("Apollo <b>", { exact: true }).check();
    await submit(owner.page, "Send the invitation");
    expect(await owner.page.getByRole("alert").innerText()).toContain("is a member already");
    expect(await owner.page.getByLabel("E-mail addresses").inputValue()).toContain(good);
    expect(await owner.page.getByLabel("Role", { exact: true }).inputValue()).toBe("owner");
    expect(await owner.page.getByLabel("Apollo <b>", { exact: true }).isChecked()).toBe(true);
    expect(await owner.page.getByText("Nobody is invited at the moment.").count()).toBe(1);
    await inspect(owner.page, "invitations-problem");
    const before = listMails(server);
    const other = newEmail();
    await owner.page.getByLabel("E-mail addresses").fill(`${good},${other}`);
    await submit(owner.page, "Send the invitation");
    for (const email of [good, other]) expect(await facts(owner.page, email)).toMatch(/Owner/);
    const guest = await visit(await waitForInvitation(other, before));
    await typeCode(guest, findCode(await askForMail(server, guest, other)));
    await guest.waitForURL("**/invitation?id=*");
    await submit(guest, "Accept");
    const listed = await asRoot("OrganizationService/ListProjects", { org_id: owner.org });
    expect(listed.json.projects).toMatchObject([{ id: json.project.id }]);
  });

  it("and is no owner any more when the form is sent is told so, and nobody is invited", async () => {
    const owner = await comeAsOwner();
    const next = await comeIn();
    for (const [email, role] of [
      [next.email, "owner"],
      [owner.email, "manager"],
    ]) {
      const user_id = await findUserId(email ?? "");
      const method = email === next.email ? "AddMember" : "SetMemberRole";
      await asRoot(`OrganizationService/${method}`, { org_id: owner.org, user_id, role });
    }
    await owner.page.getByLabel("E-mail addresses").fill(newEmail());
    await submit(owner.page, "Send the invitation");
    expect(await owner.page.getByRole("alert").innerText()).toContain("may have another role by now");
    expect(await owner.page.getByText("Nobody is invited at the moment.").count()).toBe(1);
    expect(await owner.page.getByRole("button", { name: "Send the invitation" }).count()).toBe(0);
    await inspect(owner.page, "invitations-manager");
  });
});

it("an organization whose name is full of markup and writing directions invites as what it is", async () => {
  const owner = await comeAsOwner(`\u200b"><script>alert(1)</script>\u2060\ufeff https://evil.example`);
  const email = newEmail();
  const link = await invite(owner.page, email);
  const guest = await visit(link);
  expect(await heading(guest)).toBe('You are invited to "><script>alert(1)</script> https://evil.example');
  expect(await guest.locator("main a").count()).toBe(0);
  await inspect(guest, "invitation-hostile");
});
