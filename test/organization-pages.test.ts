/** Organizations as their members meet them on the server's pages: a real browser, the built server. */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { follow, heading, press, signIn, submit } from "./parts/pages.ts";
import { startServer, type TestServer } from "./parts/server.ts";
import { inspect, openVisit, type Visit } from "./parts/visit.ts";

// Several people and many pages in one test, each of them looked at in light, dark and on a phone.
vi.setConfig({ testTimeout: 240_000 });

let server: TestServer;
let browser: Browser;
let url: string;
let visits: Visit[] = [];

beforeAll(async () => {
  [server, browser] = await Promise.all([
    // All of this file's people come from one address.
    startServer({ config: { limits: { mails_per_address_per_hour: 1000 } } }),
    launchBrowser(),
  ]);
  url = `http://localhost:${server.port}`;
});

afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  const complaints = visits.flatMap((visit) => visit.complaints);
  for (const visit of visits) await visit.close();
  visits = [];
  expect(complaints).toEqual([]);
});

let count = 0;
const newName = () => `acme-${count++}`;

/** Someone who is signed in and looks at their account. */
async function comeIn(email = `${newName()}@example.org`, options?: BrowserContextOptions) {
  const opened = await openVisit(browser, [url], options);
  visits.push(opened);
  await opened.page.goto(`${url}/login`);
  await signIn(server, opened.page, email);
  const id = await readUserId(email);
  return { page: opened.page, email, id };
}

async function asRoot(method: string, message: object): Promise<Answer> {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  if (answer.status !== 200) throw new Error(answer.text);
  return answer;
}

async function readUserId(email: string): Promise<string> {
  const { json } = await asRoot("UserService/ListUsers", { email });
  return json.users[0].id;
}

async function createOrganization(page: Page, title: string): Promise<string> {
  const name = newName();
  await page.goto(`${url}/account`);
  await follow(page, "New organization");
  await page.getByLabel("What it is called").fill(title);
  await page.getByLabel("Short name").fill(name);
  await submit(page, "Create");
  return name;
}

const addMember = (org: string, userId: string, role = "viewer") =>
  asRoot("OrganizationService/AddMember", { org_id: org, user_id: userId, role });

const facts = (page: Page, name: string) => page.getByRole("listitem").filter({ hasText: name }).innerText();

async function setRole(page: Page, email: string, role: string): Promise<void> {
  await page.getByLabel(`Role of ${email}`, { exact: true }).click();
  await page.getByLabel("Role", { exact: true }).and(page.locator(":visible")).selectOption(role);
  await submit(page, "Save");
}

async function remove(page: Page, email: string): Promise<void> {
  await page.getByLabel(`Remove ${email}`, { exact: true }).click();
  await submit(page, `Remove them: ${email}`);
}

describe("an owner", () => {
  it("makes an organization, gives a member another role, and removes them", async () => {
    const ada = await comeIn();
    await inspect(ada.page, "account-without-organizations");
    const org = await createOrganization(ada.page, "Acme Works");
    expect(await heading(ada.page)).toBe("Acme Works");
    expect(await ada.page.getByRole("status").innerText()).toBe("The organization is created.");
    const bob = await comeIn();
    await addMember(org, bob.id);
    await ada.page.reload();
    await inspect(ada.page, "organization-owner");
    expect(await facts(ada.page, bob.email)).toMatch(/Viewer/);
    await ada.page.getByLabel(`Role of ${bob.email}`, { exact: true }).click();
    await inspect(ada.page, "organization-role");
    await ada.page.reload();
    await setRole(ada.page, bob.email, "Manager");
    expect(await ada.page.getByRole("status").innerText()).toContain("The role is changed");
    expect(await facts(ada.page, bob.email)).toMatch(/Manager/);

    await bob.page.goto(`${url}/account`);
    expect(await facts(bob.page, "Acme Works")).toMatch(/Manager/);
    await inspect(bob.page, "account-with-organization");
    await follow(bob.page, "Acme Works");
    expect(await bob.page.getByText("You are a manager").count()).toBe(1);
    expect(await bob.page.getByRole("button", { name: "Save" }).count()).toBe(0);
    await inspect(bob.page, "organization-manager");

    await ada.page.getByLabel(`Remove ${bob.email}`, { exact: true }).click();
    await inspect(ada.page, "organization-remove");
    await submit(ada.page, `Remove them: ${bob.email}`);
    expect(await ada.page.getByRole("status").innerText()).toBe("They are no member any more.");
    await bob.page.reload();
    expect(await heading(bob.page)).toBe("You have no role in this organization");
    await inspect(bob.page, "organization-unseen");
    await follow(bob.page, "Back to your account");
    expect(await bob.page.getByText("You are a member of none.").count()).toBe(1);
  });

  it("who is the last cannot leave or step down, and is told why; with another one they can", async () => {
    const [ada, bob] = [await comeIn(), await comeIn()];
    const org = await createOrganization(ada.page, "Two Owners");
    await submit(ada.page, "Leave this organization");
    expect(await ada.page.getByRole("alert").innerText()).toContain("Make another member an owner first");
    await inspect(ada.page, "organization-last-owner");
    await setRole(ada.page, ada.email, "Viewer");
    expect(await ada.page.getByRole("alert").innerText()).toContain("Make another member an owner first");
    await addMember(org, bob.id, "owner");
    await submit(ada.page, "Leave this organization");
    expect(ada.page.url()).toBe(`${url}/account?done=left`);
    expect(await ada.page.getByRole("status").innerText()).toBe("You have left the organization.");
    expect(await ada.page.getByText("Two Owners").count()).toBe(0);
  });

  it("keeps what they typed when the name is taken or none, and finds out why", async () => {
    const ada = await comeIn();
    const taken = await createOrganization(ada.page, "First");
    await ada.page.goto(`${url}/account/organizations/new`);
    await inspect(ada.page, "organization-new");
    await ada.page.getByLabel("What it is called").fill("Second");
    await ada.page.getByLabel("Short name").fill(taken);
    await submit(ada.page, "Create");
    expect(await ada.page.getByRole("alert").innerText()).toContain("That name is taken");
    await inspect(ada.page, "organization-new-taken");
    await ada.page.evaluate("document.querySelector('form[action$=new]').noValidate = true");
    for (const bad of ["Ab", "1abc", "a b c", "x".repeat(64), "01890000-0000-7000-8000-000000000000"]) {
      await ada.page.getByLabel("Short name").fill(bad);
      await ada.page.evaluate(
        "document.querySelectorAll('input').forEach((input) => { input.removeAttribute('maxlength') })",
      );
      await ada.page.getByLabel("Short name").fill(bad);
      await ada.page.evaluate("document.querySelector('form[action$=new]').noValidate = true");
      await submit(ada.page, "Create");
      expect(await ada.page.getByRole("alert").innerText()).toContain("no short name");
      expect(await ada.page.getByLabel("What it is called").inputValue()).toBe("Second");
    }
  });
});

describe("who loses their role", () => {
  it("while a form is open is told so, and changes nothing", async () => {
    const [ada, bob, cyd] = [await comeIn(), await comeIn(), await comeIn()];
    const org = await createOrganization(ada.page, "Losing");
    await addMember(org, bob.id, "owner");
    await addMember(org, cyd.id);
    await bob.page.goto(ada.page.url().split("&")[0] ?? "");
    await ada.page.reload();
    await setRole(ada.page, bob.email, "Viewer");
    await setRole(bob.page, cyd.email, "Owner");
    expect(await bob.page.getByRole("alert").innerText()).toContain("may have another role by now");
    expect(await facts(bob.page, cyd.email)).toMatch(/Viewer/);
    expect(await bob.page.getByRole("button", { name: "Save" }).count()).toBe(0);

    await setRole(ada.page, bob.email, "Owner");
    await bob.page.reload();
    await remove(ada.page, bob.email);
    await remove(bob.page, cyd.email);
    expect(await heading(bob.page)).toBe("You have no role in this organization");
    await ada.page.reload();
    expect(await facts(ada.page, cyd.email)).toMatch(/Viewer/);
  });

  it("in one of two tabs is told in the other that it is done already", async () => {
    const [ada, bob] = [await comeIn(), await comeIn()];
    const org = await createOrganization(ada.page, "Tabs");
    await addMember(org, bob.id);
    await ada.page.reload();
    const tab = await ada.page.context().newPage();
    await tab.goto(ada.page.url());
    await remove(ada.page, bob.email);
    await remove(tab, bob.email);
    expect(await tab.getByRole("alert").innerText()).toContain("no member any more");
    await bob.page.goto(`${url}/account`);
    expect(await bob.page.getByText("You are a member of none.").count()).toBe(1);
  });
});

it("names full of markup, and of what nobody sees, stay what they are: names", async () => {
  const ada = await comeIn();
  const title = `\u200b"><img src=x onerror=alert(1)>\u2060\ufeff'&amp;\u3000{{.Otp}}`;
  const { json } = await asRoot("OrganizationService/CreateOrganization", {
    body: { name: newName(), title },
  });
  await addMember(json.organization.id, ada.id, "owner");
  await ada.page.reload();
  const shown = `"><img src=x onerror=alert(1)> '&amp; {{.Otp}}`;
  await follow(ada.page, shown);
  expect(await heading(ada.page)).toBe(shown);
  expect(await ada.page.title()).toContain(shown);
  expect(await ada.page.locator("img").count()).toBe(0);
  await inspect(ada.page, "organization-hostile");
});

it("a long list goes on on the next page, and a page that nobody was given is none", async () => {
  const ada = await comeIn();
  for (let at = 0; at < 12; at++) {
    const { json } = await asRoot("OrganizationService/CreateOrganization", {
      body: { name: newName(), title: `Many ${at}` },
    });
    await addMember(json.organization.id, ada.id);
  }
  await ada.page.reload();
  expect(await ada.page.getByText(/^Many /).count()).toBe(10);
  await follow(ada.page, "All your organizations");
  expect(await ada.page.getByText(/^Many /).count()).toBe(12);
  await inspect(ada.page, "organizations");
  await ada.page.goto(`${url}/account/organizations?after=x`);
  expect(await heading(ada.page)).toBe("That did not work");
});

it("a disabled organization is marked, and its page says why there is nothing", async () => {
  const ada = await comeIn();
  await createOrganization(ada.page, "Shut");
  const path = ada.page.url();
  const id = new URL(path).searchParams.get("id");
  await asRoot("OrganizationService/DisableOrganization", { id });
  await ada.page.goto(`${url}/account`);
  expect(await facts(ada.page, "Shut")).toMatch(/Disabled/);
  await ada.page.goto(path);
  expect(await heading(ada.page)).toBe("This organization is disabled");
  await inspect(ada.page, "organization-disabled");
});

it("people say what they are called, and managers what the organization is", async () => {
  const [ada, bob] = [await comeIn(), await comeIn()];
  const title = "Ada <Lovelace> & 王";
  await ada.page.getByLabel("What you are called").fill(` ${title} `);
  await submit(ada.page, "Change name");
  expect(await ada.page.getByRole("status").innerText()).toBe("Your name is changed.");
  expect(await ada.page.getByLabel("What you are called").inputValue()).toBe(title);
  await inspect(ada.page, "account-title");
  expect((await asRoot("UserService/GetUser", { id: ada.id })).json.user.title).toBe(title);
  await ada.page.getByLabel("What you are called").fill("a\u202egnp.exe");
  await submit(ada.page, "Change name");
  expect(await ada.page.getByRole("alert").innerText()).toContain("That is no name.");
  expect(await ada.page.getByLabel("What you are called").inputValue()).toBe(title);

  const org = await createOrganization(ada.page, "Before");
  await addMember(org, bob.id);
  await ada.page.getByLabel("What it is called").fill("After");
  await submit(ada.page, "Change name");
  expect(await heading(ada.page)).toBe("After");
  expect(await ada.page.getByRole("status").innerText()).toBe("The organization has its new name.");
  await ada.page.getByLabel("What it is called").fill("a\u2067b");
  await submit(ada.page, "Change name");
  expect(await ada.page.getByRole("alert").innerText()).toContain("That is no name.");
  await bob.page.goto(`${url}/account`);
  await follow(bob.page, "After");
  expect(await facts(bob.page, ada.email)).toContain(title);
  expect(await bob.page.getByRole("button", { name: "Change name" }).count()).toBe(0);
});

it("who is not signed in is asked to sign in, and forms of other sites do nothing", async () => {
  for (const path of ["/account/organizations", "/account/organizations/new", "/account/organization?id=x"]) {
    const answer = await send(`${url}${path}`);
    expect([answer.status, answer.headers.location]).toEqual([303, "/login"]);
  }
  for (const path of [
    "organizations/new",
    "organization/role",
    "organization/remove",
    "organization/leave",
    "organization/title",
    "title",
  ]) {
    const headers = { "content-type": "application/x-www-form-urlencoded", origin: "https://evil.example" };
    const answer = await send(`${url}/account/${path}`, { method: "POST", headers, body: "id=x" });
    expect(answer.status).toBe(403);
    expect(answer.text).toContain("That did not come from this page");
  }
});

it("all of it works without JavaScript", async () => {
  const ada = await comeIn(undefined, { javaScriptEnabled: false });
  await createOrganization(ada.page, "Plain");
  await setRole(ada.page, ada.email, "Owner");
  await press(ada.page, "Leave this organization");
  await ada.page.getByRole("alert").waitFor();
});
