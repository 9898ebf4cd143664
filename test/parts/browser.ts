/** A real Chromium for tests, out of an npm package or from `CHROMIUM_PATH`. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, chromium, type Page } from "playwright-core";

const cacheDir = fileURLToPath(new URL("../../.cache/chromium", import.meta.url));

// No sandbox: tests may run as root. Nothing else is loosened, web security least of all.
const browserArguments = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// The package's own looks for its fonts where a cloud function has them.
const fontSetUp = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">.</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;

/**
 * Starts a headless browser: `CHROMIUM_PATH` when set, else the packaged one,
 * unpacked on its first use. One per test file is enough; the caller closes it.
 *
 * @throws Error of one line that says which browser did not start and why.
 */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM_PATH ?? (await unpackBrowser());
  try {
    return await chromium.launch({
      executablePath,
      args: browserArguments,
      env: { ...definedEnvironment(), ...fontEnvironment(executablePath) },
    });
  } catch (error) {
    throw new Error(
      `No browser for the tests: ${executablePath} did not start (${whyNot(error)}). Set CHROMIUM_PATH to a Chromium that does.`,
    );
  }
}

/** The line that matters in what playwright says, which is a whole log. */
function whyNot(error: unknown): string {
  const lines = String(error).split("\n");
  const telling =
    lines.find((line) => /\[err\]|spawn|ENOENT|EACCES|shared libraries/.test(line)) ?? lines[0] ?? "";
  return telling.replace(/^.*\[err\]\s*/, "").trim();
}

function definedEnvironment(): Record<string, string> {
  const defined = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(defined);
}

function fontEnvironment(executablePath: string): Record<string, string> {
  const fonts = join(dirname(executablePath), "fonts");
  return existsSync(fonts) ? { FONTCONFIG_PATH: fonts } : {};
}

/**
 * Unpacks the packaged browser beside the repository's other caches, one
 * folder per version, and returns its path. Files that start together may all
 * unpack; the first to finish wins and the folder appears whole.
 */
async function unpackBrowser(): Promise<string> {
  const packageEntry = fileURLToPath(import.meta.resolve("@sparticuz/chromium"));
  const manifest = readFileSync(join(dirname(packageEntry), "../package.json"), "utf8");
  const target = join(cacheDir, (JSON.parse(manifest) as { version: string }).version);
  if (existsSync(join(target, "chromium"))) return join(target, "chromium");
  mkdirSync(cacheDir, { recursive: true });
  const scratch = mkdtempSync(join(cacheDir, "unpacking-"));
  // The package unpacks into the system's temporary folder, under a name without a version: give it one of its own.
  const script = `import chromium from ${JSON.stringify(packageEntry)}; await chromium.executablePath();`;
  await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    env: { ...process.env, TMPDIR: scratch },
  });
  writeFileSync(join(scratch, "fonts/fonts.conf"), fontSetUp);
  try {
    renameSync(scratch, target);
  } catch {
    rmSync(scratch, { recursive: true, force: true });
  }
  return join(target, "chromium");
}

/** A security key that lives in the browser and needs no touch. */
export interface VirtualAuthenticator {
  /** How many credentials it holds. */
  countCredentials(): Promise<number>;
  /** False: the next ceremonies fail as if the person had been someone else. */
  setUserVerified(isUserVerified: boolean): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Plugs a virtual authenticator into the page: a platform one that verifies
 * its user and stores passkeys. It answers every ceremony of that page.
 */
export async function addVirtualAuthenticator(page: Page): Promise<VirtualAuthenticator> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    async countCredentials() {
      return (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials.length;
    },
    async setUserVerified(isUserVerified) {
      await session.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
    },
    async remove() {
      await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
      await session.detach();
    },
  };
}
