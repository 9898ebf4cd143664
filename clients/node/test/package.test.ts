/**
 * The package as users get it: packed, installed into an empty project, checked
 * by a strict compiler, and every example of its README, and of the page about
 * organizations, run there against a real server.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFrontdoor, getAssertion } from "../../../test/parts/gate.ts";
import { basic, postJson } from "../../../test/parts/http.ts";
import { startServer, type TestServer } from "../../../test/parts/server.ts";
import { clientSecret, createVestibule } from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const tsc = join(root, "node_modules/typescript/bin/tsc");
const pages = ["clients/node/README.md", "docs/organizations.md", "docs/roles.md"].map((page) =>
  readFileSync(join(root, page), "utf8"),
);
const run = promisify(execFile);

/** The TypeScript examples, each with the heading it stands under. */
const examples = pages
  .flatMap((page) => page.split(/^#+ /m))
  .flatMap((section) =>
    [...section.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""], index) => ({
      name: `${section.split("\n", 1)[0]}${index === 0 ? "" : ` (${index + 1})`}`,
      code,
    })),
  );
const isServer = ({ code }: { code: string }): boolean => code.includes("listen(");

/** What an example's server answers to strangers, and what a request to it has to bring. */
interface Knock {
  readonly refused: number;
  readonly challenge: string | undefined;
  headers(): Promise<Record<string, string>>;
}

let folder: string;
let server: TestServer;
let issuer: string;

function versionsOf(manifest: string, names: readonly string[]): string[] {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, manifest), "utf8"));
  return names.map((name) => `${name}@${{ ...dependencies, ...devDependencies }[name]}`);
}

async function npm(...args: string[]): Promise<string> {
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const { stdout } = await run("npm", [...args, ...quiet], { cwd: args[0] === "pack" ? root : folder });
  return stdout;
}

/** @param module how imports are resolved: as Node does, or as bundlers do. */
async function check(files: readonly string[], module: "nodenext" | "preserve" = "nodenext"): Promise<void> {
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: "es2022",
    module,
    moduleResolution: module === "preserve" ? "bundler" : "nodenext",
    types: ["node"],
    noEmit: true,
    skipLibCheck: false,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files }));
  await run(process.execPath, [tsc, "-p", folder]).catch((error: { stdout: string }) => {
    throw new Error(error.stdout);
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vestibule-consumer-"));
  mkdirSync(join(folder, "packages"));
  writeFileSync(join(folder, "package.json"), '{"name":"consumer","private":true,"type":"module"}');
  const packing = npm("pack", "-w", "clients/node", "--json", "--pack-destination", join(folder, "packages"));
  [server] = await Promise.all([startServer(), packing]);
  issuer = `http://localhost:${server.port}`;
  // Nothing else of ours: what the package needs of the schema it brings along.
  const packed = join(folder, "packages/vestibule-node-0.2.0.tgz");
  const types = versionsOf("package.json", ["@types/node"]);
  await npm("install", "--prefer-offline", packed, ...types);
}, 120_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe("in an empty project", () => {
  const consumer = `
import { type AccessTokenClaims, clientSecret, createVerifier, createVestibule, type Vestibule } from "@vestibule/node";
import { claimsKey } from "@vestibule/node/connect";
import { requireAccessToken } from "@vestibule/node/express";
import { createVerifier as same, withAccessToken } from "@vestibule/node/verify";

const [baseUrl = "", clientId = "", secret = "", issuer = ""] = process.argv.slice(2);
const vestibule: Vestibule = createVestibule({ baseUrl, credentials: clientSecret({ clientId, clientSecret: secret }) });
const { serviceuser } = await vestibule.auth.getCurrentUser({});
const verifier = createVerifier({ issuer, audience: issuer });
const claims: AccessTokenClaims = await verifier.verifyAccessToken(await vestibule.getAccessToken());
// @ts-expect-error the audience is required
if (baseUrl === "") createVerifier({ issuer });
// @ts-expect-error there is no such field
if (baseUrl === "") await vestibule.auth.getCurrentUser({ nonsense: 1 });
console.log(claims.sub === serviceuser?.id, same === createVerifier, typeof withAccessToken, typeof requireAccessToken, claimsKey.id.description);
`;

  it("it type-checks strictly, libraries included, and runs without the frameworks", async () => {
    writeFileSync(join(folder, "consumer.ts"), consumer);
    await check(["consumer.ts"]);
    await check(["consumer.ts"], "preserve");
    const args = [server.url, server.clientId, server.clientSecret, issuer];
    const { stdout } = await run(process.execPath, [join(folder, "consumer.ts"), ...args]);
    expect(stdout.trim()).toBe("true true function function claims of the access token");
  });

  it("it brings what it needs and no tests, sources or secrets", async () => {
    const [packed] = JSON.parse(
      await npm("pack", "-w", "clients/node", "--json", "--dry-run", "--ignore-scripts"),
    );
    const paths: string[] = packed.files.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        "README.md",
        "LICENSE",
        "package.json",
        "dist/node/src/index.js",
        "dist/node/src/index.d.ts",
      ]),
    );
    expect(
      paths.filter((path) => !/^(dist\/[\w/-]+\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(path)),
    ).toEqual([]);
  });
});

describe("the README's example", () => {
  beforeAll(async () => {
    const frameworks = versionsOf("clients/node/package.json", ["express", "@types/express", "fastify"]);
    const connect = versionsOf("clients/node/package.json", [
      "@connectrpc/connect",
      "@connectrpc/connect-node",
    ]);
    await npm("install", "--prefer-offline", ...frameworks, ...connect);
  }, 120_000);

  /** The example in a file, with this test's server and a port for its own. */
  function write(code: string, index: number, port = 0): string {
    const path = `example-${index}.ts`;
    writeFileSync(
      join(folder, path),
      code.replaceAll("http://localhost:7400", issuer).replaceAll("3000", `${port}`),
    );
    return path;
  }

  function start(path: string): ChildProcess {
    const env = { ...process.env, CLIENT_ID: server.clientId, CLIENT_SECRET: server.clientSecret };
    return spawn(process.execPath, [path], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  }

  it("are there, and all type-check", async () => {
    expect(examples.length).toBeGreaterThan(9);
    await check(examples.map(({ code }, index) => write(code, index)));
  });

  const byToken: Knock = {
    refused: 401,
    challenge: "Bearer",
    async headers() {
      using vestibule = createVestibule({ baseUrl: server.url, credentials: clientSecret(server) });
      return { authorization: `Bearer ${await vestibule.getAccessToken()}` };
    },
  };
  const byGate: Knock = {
    refused: 403,
    challenge: undefined,
    async headers() {
      const frontdoor = await createFrontdoor(server, { hostname: "app.example.com", scheme: "https" });
      return { "x-vestibule-assertion": await getAssertion(server, frontdoor, basic(server)) };
    },
  };

  const printed: Record<string, RegExp> = {
    "Call Vestibule": /^I am .+\n\d+ machines in the organization\n$/,
    Credentials: /^deployer\n$/,
    "Credentials (2)": /^true\n$/,
    "Other HTTP clients": /^200\n$/,
    "Auth providers":
      /^passed schema .+\npassed jwks .+\n1 provider to begin with \n1 provider updated ci-renamed\n$/,
    "From TypeScript": /^Carl was mailed a moment ago\ncarl@example\.org is invited as manager: pending\n$/,
    Errors: /^InvalidArgument\nINVALID_REQUEST\nid: .+\nundefined\n$/,
    "Verify access tokens": /^app\/serviceuser [\w-]{36}\nTOKEN_MALFORMED\n$/,
  };

  it.each(examples.filter((example) => !isServer(example)))("$name", async ({ name, code }) => {
    const child = start(
      write(
        code,
        examples.findIndex((example) => example.code === code),
      ),
    );
    const output: Buffer[] = [];
    child.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => output.push(chunk));
    const [exitCode] = await once(child, "close");
    expect(Buffer.concat(output).toString()).toMatch(printed[name] ?? /^an example without an expectation$/);
    expect(exitCode).toBe(0);
  });

  it.each(examples.filter(isServer))("$name", async ({ name, code }) => {
    const port = await findFreePort();
    const child = start(
      write(
        code,
        examples.findIndex((example) => example.code === code),
        port,
      ),
    );
    try {
      const own = { url: `http://127.0.0.1:${port}` };
      using vestibule = createVestibule({ baseUrl: server.url, credentials: clientSecret(server) });
      const { serviceuser } = await vestibule.auth.getCurrentUser({});
      const page = code.includes("/orgs/:org") ? `/orgs/${serviceuser?.orgId}` : "/";
      const path = name === "Connect" ? "/vestibule.v1.AuthService/GetCurrentUser" : page;
      const ask = async (headers: Record<string, string> = {}) => {
        if (name === "Connect") return await postJson(own, path, {}, headers);
        const response = await fetch(`${own.url}${path}`, { headers });
        return {
          status: response.status,
          text: await response.text(),
          headers: Object.fromEntries(response.headers),
        };
      };
      const { refused, challenge, headers } = name === "Behind the gate" ? byGate : byToken;
      await expect
        .poll(
          () =>
            ask().then(
              ({ status }) => status,
              () => 0,
            ),
          { timeout: 10_000 },
        )
        .toBe(refused);
      expect((await ask()).headers["www-authenticate"]).toBe(challenge);
      const answer = await ask(await headers());
      expect(answer).toMatchObject({
        status: 200,
        text: expect.stringContaining(serviceuser?.id ?? "nobody"),
      });
    } finally {
      child.kill();
      await once(child, "close");
    }
  });
});

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
