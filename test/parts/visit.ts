/** A person's view of the server's pages: a tab of a real browser, and what is wrong with what it shows. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";

const axeSource = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** Where screenshots go; undefined when none are asked for. */
const screenshots = process.env.VESTIBULE_SCREENSHOTS;

/** A tab, in a browser profile of its own. */
export interface Visit {
  readonly page: Page;
  /** What the console complained of, what a script threw, and what was asked of other hosts. */
  readonly complaints: string[];
  close(): Promise<void>;
}

/** Opens a tab that asks nobody but these origins. */
export async function openVisit(
  browser: Browser,
  origins: readonly string[],
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // Sooner than the test's own end, so that what failed is named.
  context.setDefaultTimeout(25_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    // A page with an error's status is no error of the page.
    const isStatus =
      /^Failed to load resource: the server responded with a status of 4|^.*status of 503/.test(
        message.text(),
      );
    if (["error", "warning"].includes(message.type()) && !isStatus) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!origins.includes(new URL(request.url()).origin)) complaints.push(`asked for ${request.url()}`);
  });
  return { page, complaints, close: () => context.close() };
}

interface Violation {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string }[];
}

/**
 * Holds the page as it is against what every page must be: nothing for
 * axe-core to report, in light and dark, and no scrolling sideways on the
 * narrowest phone. Takes pictures where `VESTIBULE_SCREENSHOTS` names a folder.
 */
export async function inspect(page: Page, name: string): Promise<void> {
  const size = page.viewportSize() ?? { width: 1280, height: 900 };
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await findViolations(page), `${name} in ${colorScheme}`).toEqual([]);
    await shoot(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 360, height: 740 });
  const width = await page.evaluate("document.documentElement.scrollWidth");
  expect(width, `${name} on a phone`).toBeLessThanOrEqual(360);
  expect(await findViolations(page), `${name} on a phone`).toEqual([]);
  await shoot(page, `${name}-phone`);
  await page.setViewportSize(size);
}

async function findViolations(page: Page): Promise<string[]> {
  const { violations } = (await page.evaluate(`${axeSource}; axe.run(document)`)) as {
    violations: Violation[];
  };
  return violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`,
  );
}

async function shoot(page: Page, name: string): Promise<void> {
  if (screenshots === undefined) return;
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

/** What has the focus, as a person would call it. */
const focused = `(() => {
  const { activeElement: element } = document;
  const label = element.labels?.[0]?.textContent ?? "";
  return element.getAttribute("aria-label") ?? (label || element.textContent.trim());
})()`;

/**
 * Presses Tab until what is called so has the focus, if it has not already.
 *
 * @throws Error when it is never reached, or its focus cannot be seen
 */
export async function tabTo(page: Page, name: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    if (presses > 0) await page.keyboard.press("Tab");
    if ((await page.evaluate(focused)) !== name) continue;
    const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    if (outline === "none") throw new Error(`${name} has the focus and does not show it`);
    return;
  }
  throw new Error(`${name} cannot be reached by Tab`);
}
