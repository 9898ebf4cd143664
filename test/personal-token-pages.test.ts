/** Personal access tokens on the server's pages: a real browser, the built server. */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { follow, heading, signIn, submit } from "./parts/pages.ts";
import { startServer, type TestServer } from "./parts/server.ts";
import { inspect, openVisit, type Visit } from "./parts/visit.ts";

// Many pages in one test, each of them looked at in light, dark and on a phone.
vi.setConfig({ testTimeout: 240_000 });

let server: TestServer;
let browser: Browser;
let url: string;
let visits: Visit[] = [];

beforeAll(async () => {
  [server, browser] = await Promise.all([
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

async function asRoot(method: string, message: object): Promise<Answer> {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  if (answer.status !== 200) throw new Error(answer.text);
  return answer;
}

/** Somebody who is signed in, and a member of two organizations: as a viewer of the first, as a manager of the second. */
async function comeIn(name: string, options?: BrowserContextOptions) {
  const opened = await openVisit(browser, [url], options);
  visits.push(opened);
  const { page } = opened;
  const email = `${name}@example.org`;
  await page.goto(`${url}/login`);
  await signIn(server, page, email);
  const { id } = (await asRoot("UserService/ListUsers", { email })).json.users[0];
  for (const role of ["viewer", "manager"]) {
    const org = `${name}-${role}`;
    await asRoot("OrganizationService/CreateOrganization", { body: { name: org, title: `The ${org}` } });
    await asRoot("OrganizationService/AddMember", { org_id: org, user_id: id, role });
  }
  return page;
}

async function fill(page: Page, title: string, org: string, role: string): Promise<void> {
  await page.getByLabel("What it is for").fill(title);
  await page.getByLabel("Organization, and what you are in it").selectOption(org);
  await page.getByLabel("Role of the token").selectOption(role);
  await submit(page, "Make the token");
}

const alert = (page: Page) => page.getByRole("alert").innerText();
const item = (page: Page, title: string) => page.getByRole("listitem").filter({ hasText: title }).innerText();
const callWith = (token: string) =>
  postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, { authorization: `Bearer ${token}` });

describe.each([true, false])("personal access tokens, with scripts: %s", (javaScriptEnabled) => {
  const name = javaScriptEnabled ? "ada" : "bea";
  const manager = `The ${name}-manager (manager)`;
  const look = (page: Page, shot: string) => (javaScriptEnabled ? inspect(page, shot) : Promise.resolve());

  it("are made, shown once, used, listed and deleted", async () => {
    const page = await comeIn(name, { javaScriptEnabled });
    await page.reload();
    await look(page, "tokens-account");
    await follow(page, "Your tokens");
    expect(await page.getByText("You have none.").count()).toBe(1);
    await look(page, "tokens-none");
    await follow(page, "New token");
    expect(await page.getByLabel("Role of the token").getByRole("option").allInnerTexts()).toEqual([
      "Viewer",
      "Manager",
    ]);
    expect(await page.getByLabel("Ends after").inputValue()).toBe(String(30 * 86_400));
    await look(page, "tokens-new");

    await fill(page, "Laptop", `The ${name}-viewer (viewer)`, "Manager");
    expect(await alert(page)).toContain("your own role in that organization is not as high");
    expect(await page.getByLabel("What it is for").inputValue()).toBe("Laptop");
    await look(page, "tokens-role-refused");
    await fill(page, "two  spaces", manager, "Manager");
    expect(await alert(page)).toContain("That is no title");

    const answered = page.waitForResponse((response) => response.request().method() === "POST");
    await fill(page, "Laptop", manager, "Manager");
    expect((await answered).headers()["cache-control"]).toBe("no-store");
    expect(await heading(page)).toBe("Your new token");
    expect(page.url()).toBe(`${url}/account/tokens/new`);
    const token = await page.locator(".secret").innerText();
    expect(token).toMatch(/^vstu_[\w-]{48}$/);
    await look(page, "tokens-made");
    expect((await callWith(token)).status).toBe(200);

    await follow(page, "I have copied it");
    expect(await item(page, "Laptop")).toMatch(
      new RegExp(`Manager[\\s\\S]*The ${name}-manager[\\s\\S]*Ends`),
    );
    expect(await page.content()).not.toContain(token);
    await look(page, "tokens-list");
    await follow(page, "New token");
    await fill(page, "laptop", manager, "Viewer");
    expect(await alert(page)).toContain("You have a token of that title there");

    const other = await page.context().newPage();
    for (const tab of [page, other]) await tab.goto(`${url}/account/tokens`);
    await page.getByLabel("Delete Laptop", { exact: true }).click();
    await look(page, "tokens-delete");
    await submit(page, "Delete it: Laptop");
    expect(await page.getByRole("status").innerText()).toContain("The token is deleted");
    expect((await callWith(token)).status).toBe(401);
    await other.getByLabel("Delete Laptop", { exact: true }).click();
    await submit(other, "Delete it: Laptop");
    expect(await alert(other)).toContain("That token is gone already");
  });
});

it("nothing is made for another site, by values that the form does not have, nor where it may not be", async () => {
  const page = await comeIn("carl");
  await page.goto(`${url}/account/tokens/new`);
  const field = (name: string) => page.locator(`form[action="/account/tokens/new"] [name="${name}"]`);
  const form = {
    token: await field("token").inputValue(),
    title: "Laptop",
    org: await page.getByRole("option", { name: "The carl-manager (manager)" }).getAttribute("value"),
    role: "viewer",
    validity: String(86_400),
  };
  const post = async (fields: object, origin = url) => {
    const body = new URLSearchParams({ ...form, ...fields } as Record<string, string>).toString();
    const headers = { origin, "content-type": "application/x-www-form-urlencoded" };
    const answer = await page.request.post(`${url}/account/tokens/new`, { data: body, headers });
    const text = await answer.text();
    expect(text).not.toContain("vstu_");
    return `${answer.status()} ${/<h1>([^<]*)/.exec(text)?.[1]}`;
  };
  expect(await post({}, "https://evil.example")).toBe("403 That did not come from this page");
  expect(await post({ token: "" })).toBe("403 That did not come from this page");
  for (const bad of [
    { role: "root" },
    { role: "" },
    { validity: "1" },
    { validity: "315360000" },
    { org: "x" },
  ]) {
    expect(await post(bad)).toBe("400 That did not work");
  }
  expect(await post({ role: "owner" })).toBe("400 New token");
  expect(await post({ title: "" })).toBe("400 New token");
  expect(await post({ title: "x".repeat(51) })).toBe("400 New token");
  // Of somebody else.
  const { organization } = (
    await asRoot("OrganizationService/CreateOrganization", { body: { name: "foreign" } })
  ).json;
  expect(await post({ org: organization.id })).toBe("403 New token");

  await asRoot("OrganizationService/DisableOrganization", { id: "carl-manager" });
  await fill(page, "Laptop", "The carl-manager (manager)", "Viewer");
  expect(await alert(page)).toContain("This organization is disabled");
  expect(await page.getByRole("option", { name: "The carl-manager" }).count()).toBe(0);
  await page.goto(`${url}/account/tokens`);
  expect(await page.getByText("You have none.").count()).toBe(1);
});

it("there are fifty in an organization at most, on pages of their own", async () => {
  const page = await comeIn("dora");
  const headers = {
    cookie: (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; "),
    origin: url,
  };
  const service = "/vestibule.v1.PersonalTokenService";
  const scopes = [{ role_id: "48cf69c9-ee22-5e93-ae8e-fa03c588a12c", resource_type: "app/organization" }];
  await page.goto(`${url}/account/tokens/new`);
  const orgOf = async (label: string) =>
    await page.getByRole("option", { name: label }).getAttribute("value");
  const [full, other] = [await orgOf("The dora-manager"), await orgOf("The dora-viewer")];
  const expires_at = new Date(Date.now() + 86_400_000).toISOString();
  const orgs = [...Array.from({ length: 50 }, () => full), other];
  for (const [index, org_id] of orgs.entries()) {
    const draft = { title: `token ${index}`, org_id, expires_at, scopes };
    const made = await postJson(server, `${service}/CreateCurrentUserPAT`, draft, headers);
    expect(made.status, made.text).toBe(200);
  }
  await fill(page, "one more", "The dora-manager (manager)", "Viewer");
  expect(await alert(page)).toContain("You have as many tokens there as there may be");
  await page.goto(`${url}/account/tokens`);
  expect(await page.getByText("token 1", { exact: true }).count()).toBe(1);
  expect(await page.getByText("token 0", { exact: true }).count()).toBe(0);
  await follow(page, "Next page");
  expect(await page.getByText("token 0", { exact: true }).count()).toBe(1);
  expect(await page.getByText("token 1", { exact: true }).count()).toBe(0);
});
