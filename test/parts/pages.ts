/** What a person does on the server's pages, in a real browser. */
import type { Page } from "playwright-core";
import { findCode, listMails, waitForMail } from "./person.ts";
import type { TestServer } from "./server.ts";

/** Presses the button of a name. */
export function press(page: Page, name: string): Promise<void> {
  return page.getByRole("button", { name, exact: true }).click();
}

/** Presses a button that leads to another page, and waits until that is there. */
export async function submit(page: Page, name: string): Promise<void> {
  await leave(page, () => press(page, name));
}

/** Follows the first link of a name, and waits until the page that it leads to is there. */
export async function follow(page: Page, name: string | RegExp): Promise<void> {
  await leave(page, () => page.getByRole("link", { name }).first().click());
}

async function leave(page: Page, work: () => Promise<void>): Promise<void> {
  // What is still being loaded is not where this leads.
  await page.waitForLoadState();
  const loaded = page.waitForEvent("load");
  await work();
  await loaded;
}

/** What the page is about. */
export function heading(page: Page): Promise<string> {
  return page.getByRole("heading", { level: 1 }).innerText();
}

/** Asks for a mail on the page that is open, and answers it. */
export async function askForMail(
  server: TestServer,
  page: Page,
  email: string,
  button = "E-mail me a code",
): Promise<string> {
  const before = listMails(server);
  await page.getByLabel("E-mail address").fill(email);
  await press(page, button);
  await page.waitForURL("**/login/check-mail?*");
  return await waitForMail(server, email, before);
}

/** Types a code on the page that asks for it. */
export async function typeCode(page: Page, code: string): Promise<void> {
  await page.getByLabel("Code").fill(code);
  await submit(page, "Sign in");
}

/** Signs in by a code on the page that is open. */
export async function signIn(server: TestServer, page: Page, email: string): Promise<void> {
  await typeCode(page, findCode(await askForMail(server, page, email)));
  await page.waitForURL("**/account");
}
