/**
 * The package as users get it: packed, installed into an empty project,
 * checked by a strict compiler, and every example of its README run in a real
 * browser against a real server, out of a bundle and without one.
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { addVirtualAuthenticator, launchBrowser } from "../../../test/parts/browser.ts";
import { basic, postJson } from "../../../test/parts/http.ts";
import { type IdentityProvider, startIdentityProvider } from "../../../test/parts/identity-provider.ts";
import { findCode, listMails, waitForMail } from "../../../test/parts/person.ts";
import { startServer, type TestServer } from "../../../test/parts/server.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const tsc = join(root, "node_modules/typescript/bin/tsc");
const readme = readFileSync(join(root, "clients/web/README.md"), "utf8");
const run = promisify(execFile);

/** The TypeScript examples, each with the heading it stands under. */
const examples = new Map(
  readme.split(/^#+ /m).flatMap((section) =>
    [...section.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""], index): [string, string] => {
      const heading = section.split("\n", 1)[0] ?? "";
      return [index === 0 ? heading : `${heading} (${index + 1})`, code];
    }),
  ),
);

let folder: string;
let pages: Server;
let origin: string;
let server: TestServer;
let provider: IdentityProvider;
let browser: Browser;
/** What the pages of the test serve, by path. */
const files = new Map<string, { readonly type: string; readonly body: string | Buffer }>();

function serve(path: string, type: string, body: string | Buffer): void {
  files.set(path, { type: `text/${type}`, body });
}

async function npm(...args: string[]): Promise<string> {
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const { stdout } = await run("npm", [...args, ...quiet], { cwd: args[0] === "pack" ? root : folder });
  return stdout;
}

async function check(...paths: string[]): Promise<void> {
  const compilerOptions = {
    strict: true,
    target: "es2022",
    module: "nodenext",
    lib: ["es2022", "dom"],
    types: [],
    noEmit: true,
    skipLibCheck: false,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: paths }));
  await run(process.execPath, [tsc, "-p", folder]).catch((error: { stdout: string }) => {
    throw new Error(error.stdout);
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vestibule-web-consumer-"));
  mkdirSync(join(folder, "packages"));
  writeFileSync(join(folder, "package.json"), '{"name":"consumer","private":true,"type":"module"}');
  pages = createServer((asked, answer) => {
    const { pathname } = new URL(asked.url ?? "/", "http://localhost");
    const file = files.get(pathname) ?? files.get("/");
    answer.setHeader("content-type", file?.type ?? "text/plain");
    answer.end(file?.body);
  }).listen(0, "127.0.0.1");
  await once(pages, "listening");
  origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
  provider = await startIdentityProvider({
    accounts: { nobody: { email: "nobody@example.org", email_verified: true } },
    redirectUris: [`${origin}/callback`],
  });
  const packing = npm("pack", "-w", "clients/web", "--json", "--pack-destination", join(folder, "packages"));
  [server, browser] = await Promise.all([
    startServer({
      config: {
        cors: { allowed_origins: [origin] },
        limits: { mails_per_address_per_hour: 1000 },
        authentication: {
          callback_urls: [`${origin}/callback`],
          authorized_redirect_urls: [`${origin}/`],
          passkey: { rpid: "localhost", rporigins: [origin] },
          oidc_config: {
            acme: {
              issuer_url: provider.issuer,
              client_id: provider.clientId,
              client_secret: provider.clientSecret,
            },
          },
        },
      },
    }),
    launchBrowser(),
    packing,
  ]);
  // Nothing else of ours: what the package needs of the schema it brings along.
  const packed = join(folder, "packages/vestibule-web-0.2.0.tgz");
  await npm("install", "--prefer-offline", packed);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
  await provider?.stop();
  pages?.close();
  rmSync(folder, { recursive: true, force: true });
});

let context: BrowserContext;
let page: Page;

beforeEach(async () => {
  files.clear();
  context = await browser.newContext();
  context.setDefaultTimeout(10_000);
  page = await context.newPage();
});
afterEach(() => context.close());

/** An example in a file, with this test's addresses. */
function write(name: string): string {
  const code = examples.get(name);
  if (code === undefined) throw new Error(`the README has no example "${name}"`);
  const path = `${name.replaceAll(/\W+/g, "-")}.ts`;
  const here = code
    .replaceAll("http://localhost:7400", `http://localhost:${server.port}`)
    .replaceAll("https://app.example.com", origin);
  writeFileSync(join(folder, path), here);
  return path;
}

async function bundle(path: string) {
  return await build({
    absWorkingDir: folder,
    entryPoints: [path],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    metafile: true,
  });
}

const html = (head: string) =>
  `<!doctype html><title>x</title>${head}<input autocomplete="username webauthn"><main></main>`;

/** Makes an example a page. */
async function publish(path: string, name: string): Promise<void> {
  const { outputFiles } = await bundle(write(name));
  serve(`${path}.js`, "javascript", outputFiles[0]?.text ?? "");
  serve(path, "html", html(`<script type="module" src="${path}.js"></script>`));
}

async function see(text: string | RegExp): Promise<void> {
  await expect.poll(() => page.locator("body").textContent(), { timeout: 10_000 }).toMatch(text);
}

/** Answers the questions of the page: an address, and the code mailed to it. */
function answerWith(email: string): void {
  const before = listMails(server);
  page.removeAllListeners("dialog");
  page.on("dialog", async (dialog) => {
    const isCode = /code/i.test(dialog.message());
    await dialog.accept(isCode ? findCode(await waitForMail(server, email, before)) : email);
  });
}

async function signIn(email: string): Promise<void> {
  await publish("/first", "By a mailed code");
  answerWith(email);
  await page.goto(`${origin}/first`);
  await see(`Welcome, ${email}`);
}

describe("in an empty project", () => {
  it("it type-checks strictly, libraries included, with every example", async () => {
    expect(examples.size).toBeGreaterThan(10);
    const wrong = `
import { createVestibuleWeb, type CallbackResult, type VestibuleWeb } from "@vestibule/web";
// @ts-expect-error the address is required
createVestibuleWeb({});
const vestibule: VestibuleWeb = createVestibuleWeb({ baseUrl: new URL("http://localhost") });
// @ts-expect-error nothing may have come of it
(await vestibule.signInWithPasskey({ conditional: true })).session;
const result: CallbackResult = await vestibule.handleCallback("http://localhost/");
// @ts-expect-error it may not have signed in
result.session;
`;
    writeFileSync(join(folder, "wrong.ts"), `${wrong}\nexport {};\n`);
    await check("wrong.ts", ...[...examples.keys()].map(write));
  });

  it("it brings what it needs and no tests, sources or secrets", async () => {
    const [packed] = JSON.parse(
      await npm("pack", "-w", "clients/web", "--json", "--dry-run", "--ignore-scripts"),
    );
    const paths: string[] = packed.files.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        "README.md",
        "LICENSE",
        "package.json",
        "dist/web/src/index.js",
        "dist/web/src/index.d.ts",
      ]),
    );
    expect(
      paths.filter((path) => !/^(dist\/[\w/-]+\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(path)),
    ).toEqual([]);
    expect(packed.size).toBeLessThan(170 * 1024);
  });

  it("it is as small in a page as its README says", async () => {
    const { outputFiles } = await bundle(write("Who is signed in"));
    const compressed = gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length / 1024;
    const [, stated = "0"] = /About (\d+) KiB compressed/.exec(readme) ?? [];
    expect(compressed).toBeLessThan(Number(stated));
    expect(compressed).toBeGreaterThan(Number(stated) - 10);
  });

  it("it runs without a bundler, by an import map", async () => {
    const path = write("Who is signed in");
    const { metafile } = await bundle(path);
    const imports: Record<string, string> = {};
    for (const [file, input] of Object.entries(metafile.inputs)) {
      if (!file.endsWith(".ts")) serve(`/${file}`, "javascript", readFileSync(join(folder, file)));
      for (const { original = "", path: found } of input.imports) {
        if (!original.startsWith(".")) imports[original] = `/${found}`;
      }
    }
    const script = readFileSync(join(folder, path), "utf8");
    const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
    // An example without types is JavaScript as it is.
    serve("/", "html", html(`${map}<script type="module">${script}</script>`));
    await page.goto(origin);
    await see("found: nobody");
  });

  it("it can be imported where there is no page", async () => {
    const script = `
      import { createVestibuleWeb } from "@vestibule/web";
      const vestibule = createVestibuleWeb({ baseUrl: "http://localhost:${server.port}" });
      console.log(await vestibule.session.refresh(), vestibule.session.isKnown);
    `;
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: folder,
    });
    expect(stdout).toBe("undefined true\n");
  });
});

describe("the README's example", () => {
  let count = 0;
  const newEmail = () => `grace-${count++}@example.org`;

  async function open(name: string): Promise<void> {
    await publish("/", name);
    await page.goto(`${origin}/`);
  }

  it("Who is signed in", async () => {
    const email = newEmail();
    await open("Who is signed in");
    await see("found: nobody");
    const [first] = [page];
    page = await context.newPage();
    await signIn(email);
    page = first;
    await see(`signed_in: ${email}`);
  });

  it.each(["By a mailed code", "By a mailed link"])("%s", async (name) => {
    const email = newEmail();
    answerWith(email);
    await open(name);
    await see(`Welcome, ${email}`);
  });

  it("With an identity provider, and its callback, to join an account too", async () => {
    await signIn("nobody@example.org");
    await context.clearCookies();
    answerWith("nobody@example.org");
    await publish("/begin", "With an identity provider");
    await publish("/callback", "With an identity provider (2)");
    serve("/", "html", "<h1>Home</h1>");
    await page.goto(`${origin}/begin`);
    await page.waitForURL(`${origin}/`);
    await context.clearCookies({ name: "sid" });
    // The next time without a code.
    page.removeAllListeners("dialog");
    await page.goto(`${origin}/begin`);
    await page.waitForURL(`${origin}/`);
    await page.goto(`${origin}/callback`);
    await see("Nothing to see here.");
    await page.goto(`${origin}/callback?state=x&error=access_denied`);
    await see("You did not sign in.");
  });

  it("With a passkey, and Passkeys", async () => {
    const email = newEmail();
    await addVirtualAuthenticator(page);
    await open("With a passkey");
    await page.getByRole("button").click();
    await see("passkey_canceled");
    await signIn(email);
    await open("Passkeys");
    await see("My old laptop");
    await expect.poll(() => page.evaluate(() => document.body.textContent)).not.toContain("again");
  });

  it("Access tokens", async () => {
    const email = newEmail();
    await signIn(email);
    await open("Access tokens");
    await see(email);
  });

  it("Sign out", async () => {
    await signIn(newEmail());
    await open("Sign out");
    await see("0 other sessions ended");
    await expect.poll(async () => (await context.cookies()).map(({ name }) => name)).not.toContain("sid");
  });

  it("Everything else", async () => {
    await signIn(newEmail());
    await open("Everything else");
    await see(/1 sessions.*not authorized/);
  });

  it("Auth providers, live", async () => {
    const email = newEmail();
    await signIn(email);
    const asRoot = async (method: string, message: object) =>
      (await postJson(server, `/vestibule.v1.${method}`, message, basic(server))).json;
    const { users } = await asRoot("UserService/ListUsers", {});
    const { id: userId } = users.find((user: { email: string }) => user.email === email);
    await asRoot("OrganizationService/AddMember", { orgId: "default", userId, role: "manager" });
    await open("Auth providers, live");
    await expect.poll(() => page.locator("ul").count()).toBe(1);
    const { content } = await asRoot("FrontdoorService/ListFrontdoors", { organizationId: "default" });
    const frontdoorId = content[0].id;
    const keys = { frontdoorId, name: "live-keys", type: "API_KEY" };
    const { authProvider } = await asRoot("FrontdoorAuthProviderService/CreateAuthProvider", keys);
    await see("live-keys");
    const off = { frontdoorId, id: authProvider.id, enabled: false };
    await asRoot("FrontdoorAuthProviderService/UpdateAuthProvider", off);
    await see(/live-keys \(off\)/);
  });

  it("Errors", async () => {
    await open("Errors");
    await see(/INVALID_EMAIL.*undefined/);
  });
});
