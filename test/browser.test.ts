import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { addVirtualAuthenticator, launchBrowser } from "./parts/browser.ts";

const pages = createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><title>Door</title><h1>Who is there?</h1>");
});

let browser: Browser;
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  url = `http://localhost:${(pages.address() as AddressInfo).port}/`;
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  pages.close();
});

afterEach(() => vi.unstubAllEnvs());

const createCredential = `navigator.credentials.create({ publicKey: {
  rp: { id: "localhost", name: "Vestibule" },
  user: { id: new Uint8Array(16), name: "ada@example.com", displayName: "Ada" },
  challenge: new Uint8Array(32),
  pubKeyCredParams: [{ type: "public-key", alg: -7 }],
  authenticatorSelection: { residentKey: "required", userVerification: "required" },
} }).then((credential) => credential.id)`;

const getCredential = `navigator.credentials.get({ publicKey: {
  rpId: "localhost", challenge: new Uint8Array(32), userVerification: "required",
} }).then((credential) => credential.id, (error) => error.name)`;

test("a passkey is made and used on localhost, and only by its person", async () => {
  const page = await browser.newPage();
  await page.goto(url);
  expect(await page.textContent("h1")).toBe("Who is there?");
  const authenticator = await addVirtualAuthenticator(page);

  const id = await page.evaluate(createCredential);
  expect(await authenticator.countCredentials()).toBe(1);
  expect(await page.evaluate(getCredential)).toBe(id);

  await authenticator.setUserVerified(false);
  expect(await page.evaluate(getCredential)).toBe("NotAllowedError");
  await page.close();
});

test("a browser that does not start is one clear line", async () => {
  vi.stubEnv("CHROMIUM_PATH", "/nowhere/chromium");
  const message = await launchBrowser().then(String, (error: Error) => error.message);
  expect(message).toMatch(
    /^No browser for the tests: \/nowhere\/chromium did not start \(.+\)\. Set CHROMIUM_PATH .*$/,
  );
});
