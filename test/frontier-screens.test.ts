/**
 * Frontier's published React SDK, unmodified, in a real browser: somebody signs
 * in by its form and clicks through its screens, and nothing is refused, thrown
 * or complained of on the way. It has no screen of sessions, nor of personal
 * access tokens.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { fontOrigin, serveFrontierScreens } from "./parts/frontier-screens.ts";
import { basic, postJson } from "./parts/http.ts";
import { findCode, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { openVisit, type Visit } from "./parts/visit.ts";

// One person's way through all screens.
vi.setConfig({ testTimeout: 240_000 });

const screenshots = process.env.VESTIBULE_SCREENSHOTS;

let server: TestServer;
let browser: Browser;
let visit: Visit;
let page: Page;
let url: string;
/** What was refused. */
const refused: string[] = [];
/** Ids of the organization and its project. */
const own = { org: "", project: "" };

// biome-ignore lint/suspicious/noExplicitAny: bodies of every shape
async function asRoot(method: string, message: object): Promise<any> {
  const { status, json, text } = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  if (status !== 200) throw new Error(text);
  return json;
}

/** By the name that the SDK's own tests have for it. */
/** For what a page is to show: many are large. */
const longestWaitMs = 60_000;

const by = (id: string): Locator => page.locator(`[data-test-id="${id}"]`).first();

async function open(route: string): Promise<void> {
  await page.goto(`${url}/app/organization?${new URLSearchParams({ id: own.org, route })}`);
}

async function shoot(name: string): Promise<void> {
  if (screenshots === undefined) return;
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `frontier-${name}.png`) });
}

const see = (text: string | RegExp) => page.getByText(text, { exact: true }).first().waitFor();

/** What a busy machine may take long to come to. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 60_000 });

/** Chooses from a list that opens. */
async function choose(label: string, option: string | RegExp): Promise<void> {
  await page.getByRole("combobox").filter({ hasText: label }).click();
  await page.getByRole("option").filter({ hasText: option }).click();
}

beforeAll(async () => {
  const port = await findFreePort();
  url = `http://localhost:${port}`;
  const authentication = {
    callback_urls: [`${url}/app/callback`],
    frontier_hidden_strategies: ["maillink", "passkey"],
  };
  [server, browser] = await Promise.all([startServer({ port, config: { authentication } }), launchBrowser()]);
  visit = await openVisit(browser, [url, fontOrigin]);
  page = visit.page;
  // Many and large pages, on a machine that may have other things to do.
  page.setDefaultTimeout(longestWaitMs);
  await serveFrontierScreens(page.context());
  await signIn("ada@example.org");
  own.org = (
    await asRoot("OrganizationService/CreateOrganization", { body: { name: "acme", title: "Acme" } })
  ).organization.id;
  for (const [email, role] of [
    ["ada@example.org", "owner"],
    ["bob@example.org", "viewer"],
  ] as const) {
    await asRoot("OrganizationService/AddMember", { org_id: own.org, user_id: await idOf(email), role });
  }
  const project = { org_id: own.org, name: "shop", title: "Shop" };
  own.project = (await asRoot("OrganizationService/CreateProject", project)).project.id;
});

afterAll(async () => {
  await visit?.close();
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
});

afterEach(() => {
  // The SDK's own dialogs have no title for screen readers.
  const complaints = visit.complaints.splice(0).filter((each) => !each.includes("`DialogTitle`"));
  expect([...complaints, ...refused.splice(0)]).toEqual([]);
});

/** By the SDK's own forms. Before that its first question, who is there, is refused. */
async function signIn(email: string): Promise<void> {
  await page.goto(`${url}/app/sign-in`);
  await by("frontier-sdk-mail-otp-login-btn").click();
  await page.getByPlaceholder("name@example.com").fill(email);
  const before = listMails(server);
  await by("frontier-sdk-mail-otp-login-submit-btn").click();
  await by("enter-code").fill(findCode(await waitForMail(server, email, before, hasCode)));
  await by("continue-with-login-code").click();
  await page.waitForURL(`${url}/`);
  await see(`${email} of 0`);
  expect(visit.complaints.splice(0).join("\n")).toMatch(/^frontier:sdk:: .* current user information/);
  page.on("response", (answer) => {
    const asked = answer.request();
    if (answer.status() >= 400) refused.push(`${answer.status()} ${asked.method()} ${asked.url()}`);
  });
}

async function idOf(email: string): Promise<string> {
  if (email !== "ada@example.org") await new Person(server).signIn(email);
  return (await asRoot("UserService/ListUsers", { email })).users[0].id;
}

it("knows who has signed in, and what they are a member of", async () => {
  await page.goto(url);
  await see("ada@example.org of 1");
});

/** Menus of the SDK close when what is below them comes anew: what a person would then do is to open them again. */
async function insist(work: () => Promise<unknown>): Promise<void> {
  page.setDefaultTimeout(10_000);
  try {
    for (let left = 5; ; left--) {
      try {
        await work();
        return;
      } catch (error) {
        if (left === 0) throw error;
      }
    }
  } finally {
    page.setDefaultTimeout(longestWaitMs);
  }
}

it("shows members with their roles, changes a role and removes one", async () => {
  const listMembers = () => asRoot("OrganizationService/ListMembers", { org_id: own.org });
  await open("/members");
  const row = page.getByRole("row").filter({ hasText: "bob@example.org" });
  await row.getByText("Member", { exact: true }).waitFor();
  await page.getByRole("row").filter({ hasText: "ada@example.org" }).getByText("Owner").waitFor();
  await shoot("members");
  await insist(async () => {
    await open("/members");
    const { role } = (await listMembers()).members.find(
      ({ email }: { email: string }) => email === "bob@example.org",
    );
    if (role === "viewer") {
      await row.locator("svg").last().click();
      await by("update-role-app_organization_manager-dropdown-item").click();
    }
    await row.getByText("Admin", { exact: true }).waitFor();
  });
  await shoot("role-changed");
  await insist(async () => {
    await open("/members");
    if ((await listMembers()).members.length === 1) return;
    await row.locator("svg").last().click();
    await by("remove-member-dropdown-item").click();
    await by("confirm-remove-member-dialog").click();
    await eventually(async () => (await listMembers()).members.length).toBe(1);
  });
  await row.waitFor({ state: "detached" });
});

it("invites somebody, and takes the invitation back", async () => {
  const before = listMails(server);
  const list = async () =>
    (await asRoot("OrganizationService/ListOrganizationInvitations", { org_id: own.org })).invitations ?? [];
  await insist(async () => {
    await open("/members/modal");
    await page.getByPlaceholder(/comma separated emails/).fill("carl@example.org");
    await choose("Select a role", "Admin");
    await shoot("invite");
    await by("frontier-sdk-send-member-invite-btn").click();
    await eventually(async () => (await list()).length).toBe(1);
  });
  expect(await waitForMail(server, "carl@example.org", before)).toContain("manager");
  const row = page.getByRole("row").filter({ hasText: "carl@example.org" });
  await insist(async () => {
    await open("/members");
    if ((await list()).length === 0) return;
    await row.getByText("Pending Invite").waitFor();
    await shoot("invited");
    await row.locator("svg").last().click();
    await by("remove-member-dropdown-item").click();
    await by("confirm-remove-member-dialog").click();
    await eventually(list).toEqual([]);
  });
  await insist(async () => {
    await open("/members");
    await page.getByRole("row").filter({ hasText: "ada@example.org" }).waitFor();
    expect(await row.count()).toBe(0);
  });
}, 240_000);

it("changes the profile and a preference", async () => {
  await open("/profile");
  const email = page.getByPlaceholder("Provide email address");
  await eventually(() => email.inputValue()).toBe("ada@example.org");
  await page.getByPlaceholder("Provide full name").fill("Ada Lovelace");
  await by("frontier-sdk-update-user-btn").click();
  const read = async () => (await asRoot("UserService/ListUsers", { email: "ada@example.org" })).users[0];
  await eventually(async () => (await read()).title).toBe("Ada Lovelace");
  await shoot("profile");
  await open("/preferences");
  await see("Updates, News & Events");
  await choose("Unsubscribed", /^\s*Subscribed/);
  await page
    .getByRole("combobox")
    .filter({ hasText: /^\s*Subscribed/ })
    .waitFor();
  await shoot("preferences");
});

it("shows the organization, its projects, and that there are no domains or teams", async () => {
  // Its form cannot be sent: the SDK makes JSON of what Connect's client made, instants as BigInt.
  await open("/");
  await eventually(() => page.getByPlaceholder("Provide organization name").inputValue()).toBe("Acme");
  await by("frontier-sdk-delete-organization-btn").waitFor();
  await shoot("general");
  await open("/projects");
  await see("Shop");
  await shoot("projects");
  const asked = page.waitForResponse(`${url}/v1beta1/organizations/${own.org}/preferences`);
  await open("/security");
  await asked;
  await shoot("security");
  await open("/domains");
  await by("frontier-sdk-add-domain-btn").waitFor();
  await shoot("domains");
  await open("/teams");
  await by("frontier-sdk-add-team-btn").waitFor();
  await shoot("teams");
});

it("makes a service account with a token, one more token, lets it out of its project, and deletes it", async () => {
  const listMachines = async () =>
    (await asRoot("ServiceUserService/ListServiceUsers", { org_id: own.org })).serviceusers ?? [];
  await insist(async () => {
    for (const { id } of await listMachines())
      await asRoot("ServiceUserService/DeleteServiceUser", { org_id: own.org, id });
    await open("/api-keys/add");
    await page.getByPlaceholder("Provide service account name").fill("CI");
    await choose("Select a project", "Shop");
    await shoot("new-service-account");
    await by("frontier-sdk-add-service-account-btn").click();
    await by("frontier-sdk-service-account-token-copy-btn").waitFor();
  });
  await shoot("service-account");
  const key = await page
    .getByText(/^Basic /)
    .first()
    .innerText();
  const whoAmI = await fetch(`${url}/v1beta1/users/self`, { headers: { authorization: key } });
  expect(await whoAmI.json()).toMatchObject({ serviceuser: { title: "CI" } });
  const ref = { org_id: own.org, id: (await listMachines())[0].id };
  const listTokens = async () => (await asRoot("ServiceUserService/ListServiceUserTokens", ref)).tokens ?? [];
  await insist(async () => {
    if ((await listTokens()).length < 2) {
      await page.getByPlaceholder("Provide service key name").fill("second");
      await by("frontier-sdk-api-keys-new-token-btn").click();
    }
    await see("second");
  });
  await shoot("tokens");
  await by("frontier-sdk-service-account-token-revoke-btn").click();
  await by("frontier-sdk-revoke-service-account-key-confirm-btn").click();
  await eventually(async () => (await listTokens()).length).toBe(1);

  await by("frontier-sdk-service-account-manage-access-open-btn").click();
  const access = page.getByRole("checkbox");
  await eventually(() => access.isChecked()).toBe(true);
  await shoot("project-access");
  await access.click();
  await eventually(() => access.isChecked()).toBe(false);
  const listProjects = async () =>
    (await asRoot("FrontierService/ListServiceUserProjects", ref)).projects ?? [];
  expect(await listProjects()).toEqual([]);

  await open("/api-keys");
  await see("CI");
  await shoot("service-accounts");
  await by("frontier-sdk-delete-service-account-btn").click();
  await by("frontier-sdk-delete-service-account-confirm-btn").click();
  await eventually(async () => (await listMachines()).length).toBe(0);
});
