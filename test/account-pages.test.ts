/** What people do to their own accounts on the server's pages: a real browser, the built server. */
import { readFileSync } from "node:fs";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { follow, heading, press, signIn, submit } from "./parts/pages.ts";
import { findCode, findLink, hasCode, listMails, waitForMail } from "./parts/person.ts";
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

async function open(options?: BrowserContextOptions): Promise<Page> {
  const opened = await openVisit(browser, [url], options);
  visits.push(opened);
  return opened.page;
}

async function comeIn(email: string, options?: BrowserContextOptions): Promise<Page> {
  const page = await open(options);
  await page.goto(`${url}/login`);
  await signIn(server, page, email);
  return page;
}

async function asRoot(method: string, message: object): Promise<Answer> {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  if (answer.status !== 200) throw new Error(answer.text);
  return answer;
}

const status = (page: Page) => page.getByRole("status").innerText();
const alert = (page: Page) => page.getByRole("alert").and(page.locator(":visible")).innerText();

/** Asks for the code on the page of the account, and answers what was mailed. */
async function askForCode(page: Page, email: string): Promise<string> {
  const before = listMails(server);
  await page.getByText("Change it", { exact: true }).click();
  await page.getByLabel("New address").fill(email);
  await submit(page, "Send the code");
  return await waitForMail(server, email, before);
}

async function typeCode(page: Page, code: string): Promise<void> {
  await page.getByLabel("Code").fill(code);
  await submit(page, "Change the address");
}

describe.each([true, false])("the address of an account, with scripts: %s", (javaScriptEnabled) => {
  const suffix = javaScriptEnabled ? "org" : "net";
  const look = (page: Page, name: string) => (javaScriptEnabled ? inspect(page, name) : Promise.resolve());

  it("is changed by a code, and taken back by the mailbox before", async () => {
    const [from, to] = [`ada@example.${suffix}`, `ada-new@example.${suffix}`];
    const page = await comeIn(from, { javaScriptEnabled });
    await page.getByText("Change it", { exact: true }).click();
    await look(page, "account-address");
    await page.reload();
    const code = findCode(await askForCode(page, to));
    expect(await heading(page)).toBe("Check your mail");
    await look(page, "address-code");
    await typeCode(page, code === "BCDFGH" ? "BCDFGJ" : "BCDFGH");
    expect(await alert(page)).toContain("That code is not right");
    await look(page, "address-wrong-code");
    await typeCode(page, code.toLowerCase());
    expect(page.url()).toBe(`${url}/account?done=address`);
    expect(await status(page)).toContain("Your address is changed");
    expect(await page.locator(".lead").innerText()).toBe(to);
    await look(page, "account-address-changed");
    // Passkeys and identities from before stay, and so does the account.
    await page.getByText("Delete it", { exact: true }).click();
    await page.getByLabel(`Type ${to} to go on`).fill(to);
    await submit(page, "Delete the account for good");
    expect(await alert(page)).toContain("was changed within the last seven days");

    // In another browser, where nobody is signed in.
    const owner = await open({ javaScriptEnabled });
    const notice = await waitForMail(server, from, [], (text) => text.includes("was changed"));
    const link = findLink(notice);
    expect(link.origin + link.pathname).toBe(`${url}/email-change/undo`);
    // Scanners look first, and change nothing.
    for (const method of ["GET", "HEAD", "GET"]) {
      expect((await fetch(link, { method })).status).toBe(200);
    }
    await owner.goto(link.href);
    expect(await heading(owner)).toBe("Take your address back?");
    expect(await owner.getByText(to).count()).toBe(1);
    await look(owner, "address-undo");
    await page.reload();
    expect(await page.locator(".lead").innerText()).toBe(to);
    await submit(owner, "Take the address back");
    expect(await heading(owner)).toBe("The address is yours again");
    await look(owner, "address-undone");
    await owner.goto(link.href);
    expect(await heading(owner)).toBe("This link does not work any more");
    await look(owner, "address-undo-over");
    await page.reload();
    expect(page.url()).toContain("/login");

    await owner.goto(`${url}/login`);
    await signIn(server, owner, from);
    await owner.getByText("Change it", { exact: true }).click();
    await owner.getByLabel("New address").fill(to);
    await submit(owner, "Send the code");
    expect(await alert(owner)).toContain("Your address cannot be changed yet");
  });

  it("is not changed to what is none, is their own or another account's, nor by a page that is over", async () => {
    const [email, taken] = [`bea@example.${suffix}`, `bob@example.${suffix}`];
    await comeIn(taken, { javaScriptEnabled });
    const page = await comeIn(email, { javaScriptEnabled });
    const ask = async (address: string) => {
      await page.getByText("Change it", { exact: true }).click();
      await page.getByLabel("New address").fill(address);
      await submit(page, "Send the code");
    };
    await ask("bea@example");
    expect(await heading(page)).toBe("Check your mail");
    await page.goto(`${url}/account`);
    await ask("bea@1.2.3.4");
    expect(await alert(page)).toContain("That is not an e-mail address");
    await ask(email.toUpperCase());
    expect(await alert(page)).toBe("That is the address of your account already.");
    const mail = await askForCode(page, taken);
    expect(await heading(page)).toBe("Check your mail");
    expect(hasCode(mail)).toBe(false);
    expect(mail).toContain("Somebody asked to use your address");
    for (let tries = 0; tries < 3; tries++) await typeCode(page, "BCDFGH");
    expect(await alert(page)).toContain("That change of your address is over");
    await look(page, "account-address-over");
    await page.goto(`${url}/account/email?state=nothing`);
    expect(await alert(page)).toContain("That change of your address is over");
    await page.goto(`${url}/account/email/confirm`);
    expect(page.url()).toBe(`${url}/account`);
    expect(await page.locator(".lead").innerText()).toBe(email);
  });
});

describe("the way out", () => {
  it("takes the data along, three times a day", async () => {
    const page = await comeIn("carl@example.org", { acceptDownloads: true });
    for (let times = 0; times < 3; times++) {
      const downloading = page.waitForEvent("download");
      await press(page, "Download your data");
      const download = await downloading;
      expect(download.suggestedFilename()).toMatch(/^account-\d{4}-\d\d-\d\d\.json$/);
      const { items } = JSON.parse(readFileSync(await download.path(), "utf8"));
      expect(items[0]).toMatchObject({ kind: "profile", item: { email: "carl@example.org" } });
      const exports = items.filter(
        ({ item }: { item: { action?: string } }) => item.action === "user.export",
      );
      expect(exports).toHaveLength(times + 1);
    }
    await submit(page, "Download your data");
    expect(await alert(page)).toContain("It can be downloaded three times a day");
    await inspect(page, "account-export-refused");
  });

  it("asks for the address, names the organizations that would be left without an owner, and ends all", async () => {
    const email = "dora@example.org";
    const page = await comeIn(email);
    const phone = await comeIn(email);
    const { id } = (await asRoot("UserService/ListUsers", { email })).json.users[0];
    await asRoot("OrganizationService/CreateOrganization", { body: { name: "doras", title: "Doras Works" } });
    await asRoot("OrganizationService/AddMember", { org_id: "doras", user_id: id, role: "owner" });
    const leave = async (typed: string) => {
      await page.getByText("Delete it", { exact: true }).click();
      await page.getByLabel(`Type ${email} to go on`).fill(typed);
      await submit(page, "Delete the account for good");
    };
    await page.reload();
    await page.getByText("Delete it", { exact: true }).click();
    await inspect(page, "account-delete");
    await page.reload();
    await leave("dora@example.com");
    expect(await alert(page)).toBe("That is not the address of this account. Nothing was deleted.");
    await leave(email);
    expect(await heading(page)).toBe("These organizations need you");
    expect(await page.getByText("Doras Works").count()).toBe(1);
    await inspect(page, "account-last-owner");
    await asRoot("OrganizationService/DeleteOrganization", { id: "doras" });
    await follow(page, "Back to your account");
    await leave(` ${email.toUpperCase()} `);
    expect(page.url()).toBe(`${url}/login?done=deleted`);
    expect(await status(page)).toBe("Your account is deleted.");
    await inspect(page, "account-deleted");
    await phone.reload();
    expect(phone.url()).toContain("/login");
    await signIn(server, phone, email);
    expect(await phone.getByText("You are a member of none.").count()).toBe(1);
  });
});
