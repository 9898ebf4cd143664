/** A denial as somebody sees it who opens a page of an app: in a real browser, under the app's own host. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "../../../../test/parts/browser.ts";
import { inspect, openVisit } from "../../../../test/parts/visit.ts";
import type { GateDenied } from "../decisions/decision.ts";
import { frontdoorId } from "../test-support.ts";
import { createTestDialects } from "./test-support.ts";

let denied: GateDenied;
let proxy: Server;
let browser: Browser;
let origin: string;

beforeAll(async () => {
  const dialects = createTestDialects(() => denied);
  // In front of an app that nobody gets to.
  proxy = createServer(async ({ method = "", url = "", rawHeaders }, response) => {
    const asked = ["X-Forwarded-Method", method, "X-Forwarded-Proto", "http", "X-Forwarded-Host", "app.test"];
    const lines = [...rawHeaders, ...asked, "X-Forwarded-Uri", url, "X-Vestibule-Proxy-Token", "vstp_good"];
    const target = `/frontdoor/${frontdoorId}/gate/forward-auth`;
    const { status, head, body } = await dialects.send({ method: "GET", target, lines });
    response.writeHead(status, [...head]).end(body);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  proxy?.close();
});

it.each([
  ["NO_CREDENTIAL", "You have to say who you are"],
  ["EMAIL_NOT_ALLOWED", "You cannot come in here"],
  ["KEY_RATE", "Too many requests"],
  ["UNAVAILABLE", "Try again in a moment"],
] as const)("%s is a page in words, whole without the app", async (reason, title) => {
  denied = { isAllowed: false, reason };
  const { page, complaints, close } = await openVisit(browser, [origin]);
  try {
    await page.goto(`${origin}/dashboard`);
    expect(await page.getByRole("heading").textContent()).toBe(title);
    expect(await page.locator("main").textContent()).toMatch(/app\.test[\s\S]*r1/);
    // The style sheet came along.
    expect(await page.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius")).toBe(
      "14px",
    );
    await inspect(page, `gate-${reason.toLowerCase()}`);
    expect(complaints).toEqual([]);
  } finally {
    await close();
  }
});
