/**
 * What stands between the command and a running server: refused in one clear
 * message, with exit code 1, and with the data as it was.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import Sqlite from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { buildIfStale } from "../scripts/build.ts";
import { migrate } from "../server/src/db/migrate.ts";
import { openDatabase } from "../server/src/db/open-database.ts";
import { silentLog } from "../server/src/lib/log.ts";
import { createEmptyDatabase } from "./parts/databases.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import {
  type CommandResult,
  createState,
  runVestibule,
  type ServerState,
  startServer,
  type TestServer,
} from "./parts/server.ts";
import { createUsedState } from "./parts/used-state.ts";

/** Name → hash of every file that holds something to keep. */
function readFiles(folder: string): Record<string, string> {
  const names = readdirSync(folder).filter((name) => /\.(?:db|key)$/.test(name));
  return Object.fromEntries(
    names.map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );
}

/** One message on stderr, nothing of the program's own making in it. */
function expectRefusal(result: CommandResult, message: RegExp): void {
  expect(result.stderr).toMatch(message);
  expect(result.stderr).toMatch(/^vestibule: /);
  expect(result.stderr).not.toMatch(/\n {4}at |\.js:|\.ts:|node:/);
  expect(result.stderr.trim().split("\n").slice(1).join("")).not.toContain("vestibule: ");
  expect(result.code).toBe(1);
}

async function expectGood(state: ServerState): Promise<void> {
  const server = await startServer({ state });
  expect((await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server))).status).toBe(200);
  await server.stop();
}

describe("keys that are not the database's", () => {
  it("another encryption key", async () => {
    const state = await createUsedState();
    const before = readFiles(state.dataDir);
    const env = { VESTIBULE_ENCRYPTION_KEY: randomBytes(32).toString("base64url") };
    for (const command of ["serve", "migrate", "keys list"]) {
      const refused = await runVestibule(command.split(" "), state, { env });
      expectRefusal(
        refused,
        /^vestibule: encryption_key: the database was written with another key \([\w-]+\)/,
      );
      expect(refused.stderr).not.toContain(env.VESTIBULE_ENCRYPTION_KEY);
    }
    expect(readFiles(state.dataDir)).toEqual(before);
    await expectGood(state);
  });

  it("another session key", async () => {
    const state = await createUsedState();
    const before = readFiles(state.dataDir);
    const session = { hash_secret_key: "x".repeat(32) };
    const refused = await runVestibule(["serve"], state, { config: { authentication: { session } } });
    expectRefusal(refused, /^vestibule: authentication\.session\.hash_secret_key: the database was written/);
    expect(readFiles(state.dataDir)).toEqual(before);
  });

  it("no key files over an existing database", async () => {
    const state = await createUsedState();
    for (const name of ["encryption.key", "session-hash.key", "session-block.key"]) {
      const path = join(state.dataDir, name);
      renameSync(path, `${path}.away`);
      const before = readFiles(state.dataDir);
      const refused = await runVestibule(["serve"], state);
      expectRefusal(refused, new RegExp(`${name}: is missing, and there is a database already`));
      expect(readFiles(state.dataDir)).toEqual(before);
      renameSync(`${path}.away`, path);
    }
    await expectGood(state);
  });

  it("one at a time, behind a new one: a rotation", async () => {
    const state = await createUsedState();
    const old = readFileSync(join(state.dataDir, "encryption.key"), "utf8").trim();
    const fresh = randomBytes(32).toString("base64url");
    const both = await startServer({ state, env: { VESTIBULE_ENCRYPTION_KEY: `${fresh},${old}` } });
    expect(await both.stop()).toBe(0);
    const alone = await runVestibule(["serve"], state, { env: { VESTIBULE_ENCRYPTION_KEY: fresh } });
    expectRefusal(alone, /encryption_key: the database was written with another key/);
  });

  it.each(["sqlite", "postgres"] as const)(
    "an old one, once everything is sealed anew, on %s",
    async (dialect) => {
      const [old = "", fresh = ""] = [1, 2].map(() => randomBytes(32).toString("base64url"));
      const state = await createState(dialect);
      onTestFinished(() => state.remove());
      const keys = (...list: string[]) => ({
        env: { VESTIBULE_ENCRYPTION_KEY: list.join(",") },
        config: { public_url: "http://localhost:7400" },
      });
      const reencrypt = (...list: string[]) => runVestibule(["keys", "reencrypt"], state, keys(...list));
      const tokenOf = async (server: TestServer) =>
        (await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server))).json.accessToken;
      const first = await startServer({ state, ...keys(old) });
      const token = await tokenOf(first);

      expectRefusal(
        await reencrypt(fresh, old),
        /^vestibule: keys reencrypt: no server has the first encryption key yet/,
      );
      expect(await tokenOf(first)).toBeDefined();
      expect(await first.stop()).toBe(0);

      const both = await startServer({ state, ...keys(fresh, old) });
      expect((await reencrypt(fresh)).stderr).toMatch(/the database was written with another key/);
      const done = await reencrypt(fresh, old);
      expect(done).toMatchObject({ code: 0, stderr: "" });
      expect(done.stdout).toMatch(
        /^signing_keys\.sealed_private_key: 1 sealed anew\naudit_keys\.sealed_key: 1 sealed anew\nno longer needed: [\w-]+; /,
      );
      const again = await reencrypt(fresh, old);
      expect(again.stdout).toMatch(
        /^everything is sealed with the first key, [\w-]+, and no other is recorded\n$/,
      );
      // The server that runs goes on, and what it makes now needs the new key alone.
      expect((await runVestibule(["keys", "rotate", "--now"], state, keys(fresh, old))).code).toBe(0);
      expect(await tokenOf(both)).toBeDefined();
      expect(await both.stop()).toBe(0);

      expectRefusal(
        await runVestibule(["serve"], state, keys(old)),
        /the database was written with another key/,
      );
      expect((await runVestibule(["doctor"], state, keys(fresh))).stdout).toContain("ok    sealed values");
      const alone = await startServer({ state, ...keys(fresh) });
      const authorization = `Bearer ${token}`;
      const who = await postJson(alone, "/vestibule.v1.AuthService/GetCurrentUser", {}, { authorization });
      expect(who.status).toBe(200);
      expect(await tokenOf(alone)).toBeDefined();
      const records = await postJson(
        alone,
        "/vestibule.v1.AuditService/ListAuditRecords",
        { action: "encryption_key.retire" },
        basic(alone),
      );
      expect(records.json.records).toMatchObject([{ actor: { type: "system", id: "command-line" } }]);
      expect(await alone.stop()).toBe(0);
    },
  );
});

describe("settings that cannot be used", () => {
  const cases: [string, Parameters<typeof runVestibule>[2], RegExp][] = [
    [
      "a session key of 31 characters",
      { config: { authentication: { session: { hash_secret_key: "x".repeat(31) } } } },
      /authentication\.session\.hash_secret_key: must be exactly 32 characters, has 31/,
    ],
    [
      "a session key of 33 characters",
      { config: { authentication: { session: { block_secret_key: "x".repeat(33) } } } },
      /authentication\.session\.block_secret_key: must be exactly 32 characters, has 33/,
    ],
    ["an unknown key", { config: { authentication: { sesion: {} } } }, /authentication\.sesion: .*session\?/],
    ["an unknown variable", { env: { VESTIBULE_LISTN: "x" } }, /VESTIBULE_LISTN: .*VESTIBULE_LISTEN\?/],
    ["a wrong type", { config: { limits: { body_bytes: "much" } } }, /limits/],
    [
      "postgres:// without keys",
      { env: { VESTIBULE_DATABASE_URL: "postgres://nobody:hunter2@127.0.0.1:1/x" } },
      /encryption_key.*: must be given/,
    ],
    ["a bootstrap id without its secret", { env: { VESTIBULE_BOOTSTRAP_CLIENT_ID: "x" } }, /bootstrap/],
  ];
  it.each(cases)("%s", async (_, options, message) => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const refused = await runVestibule(["serve"], state, options);
    expectRefusal(refused, message);
    expect(refused.stderr).not.toContain("hunter2");
    expect(readFiles(state.dataDir)).toEqual({});
  });

  it("a Postgres that does not answer", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const session = { hash_secret_key: "h".repeat(32), block_secret_key: "b".repeat(32) };
    const refused = await runVestibule(["serve"], state, {
      config: { authentication: { session } },
      env: {
        VESTIBULE_DATABASE_URL: "postgres://nobody:hunter2@127.0.0.1:1/x",
        VESTIBULE_ENCRYPTION_KEY: randomBytes(32).toString("base64url"),
      },
    });
    expectRefusal(refused, /^vestibule: database: nothing answers at its address \(ECONNREFUSED\)$/m);
    expect(refused.stderr).not.toContain("hunter2");
  });

  it("a database file that is none", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    writeFileSync(join(state.dataDir, "vestibule.db"), "not a database, but 40 bytes of something");
    const before = readFiles(state.dataDir);
    expectRefusal(
      await runVestibule(["serve"], state),
      /^vestibule: database: the file is no SQLite database \(SQLITE_NOTADB\)$/m,
    );
    expect(readFiles(state.dataDir)).toEqual(before);
  });

  it("a data directory that others may enter", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const { chmodSync } = await import("node:fs");
    chmodSync(state.dataDir, 0o755);
    expectRefusal(await runVestibule(["serve"], state), /is open to others \(mode 755\); run: chmod 700/);
  });
  it("a volume whose group bits are set is taken at the second start, with a warning", async () => {
    const { chmodSync, readdirSync, statSync } = await import("node:fs");
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    await expectGood(state);
    // As Kubernetes does with `fsGroup`, before every start.
    chmodSync(state.dataDir, 0o2770);
    for (const name of readdirSync(state.dataDir)) {
      const path = join(state.dataDir, name);
      chmodSync(path, statSync(path).isDirectory() ? 0o2770 : 0o660);
    }
    const doctor = await runVestibule(["doctor"], state);
    expect(doctor.stdout).toMatch(/^warn {2}data directory: its group may use .*encryption\.key/m);
    expect(doctor.code).toBe(0);
    const second = await startServer({ state });
    expect((await send(`${second.url}/healthz`)).status).toBe(200);
    expect(second.stderr() + second.stdout()).toContain("the group of these may use them");
    await second.stop();
  });
});

describe("what is taken already", () => {
  it("an SQLite file, by another server", async () => {
    await using server = await startServer();
    const refused = await runVestibule(["serve"], server.state);
    expectRefusal(refused, /^vestibule: another server is already running on .*vestibule\.db: /);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    await server.kill();
    // The lock goes with the process, however it ended.
    await expectGood(server.state);
  });

  it("the port", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const refused = await runVestibule(["serve"], state, {
      env: { VESTIBULE_LISTEN: `127.0.0.1:${port}` },
    });
    expectRefusal(refused, new RegExp(`^vestibule: listen 127\\.0\\.0\\.1:${port}: .*in use`));
  });

  it("the port, at the very first start: its credential is shown by the start that succeeds", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const unset = { VESTIBULE_BOOTSTRAP_CLIENT_ID: undefined, VESTIBULE_BOOTSTRAP_CLIENT_SECRET: undefined };
    const env = { ...unset, VESTIBULE_LISTEN: `127.0.0.1:${port}` } as unknown as Record<string, string>;
    const refused = await runVestibule(["serve"], state, { env });
    expect({ code: refused.code, stdout: refused.stdout }).toMatchObject({
      code: 1,
      stdout: expect.not.stringContaining("client_secret"),
    });
    taken.close();
    const server = await startServer({ state, env: unset as unknown as Record<string, string> });
    await expect.poll(() => server.stdout()).toMatch(/client_secret {2}vsts_[\w-]{48}\n/);
    await server.stop();
    const again = await startServer({ state, env: unset as unknown as Record<string, string> });
    await again.stop();
    expect(again.stdout()).not.toContain("vsts_");
  });
});

describe("the first start", () => {
  it("prints a credential that works, once, and three commands with it", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const env = {
      VESTIBULE_BOOTSTRAP_CLIENT_ID: undefined,
      VESTIBULE_BOOTSTRAP_CLIENT_SECRET: undefined,
    } as unknown as Record<string, string>;
    const server = await startServer({ state, env });
    await expect.poll(() => server.stdout()).toContain("CreateServiceUser");
    const clientId = /client_id {6}(\S+)/.exec(server.stdout())?.[1] ?? "";
    const clientSecret = /client_secret {2}(\S+)/.exec(server.stdout())?.[1] ?? "";
    expect(server.stdout().match(/^ {2}curl /gm)).toHaveLength(3);
    // Nothing that a stranger's package of that name would be fetched for.
    expect(server.stdout()).not.toContain("npx ");
    const answer = await postJson(
      server,
      "/vestibule.v1.AuthService/GetCurrentUser",
      {},
      basic({ clientId, clientSecret }),
    );
    expect(answer.json.serviceuser).toMatchObject({ role: "owner" });
    await server.stop();
  });

  it("makes files that nobody else can read", async () => {
    const state = await createUsedState();
    const { statSync } = await import("node:fs");
    for (const name of readdirSync(state.dataDir)) {
      expect([name, (statSync(join(state.dataDir, name)).mode & 0o777).toString(8)]).toEqual([name, "600"]);
    }
  });

  it("takes the configured credential, and another one later in its place", async () => {
    const state = await createUsedState();
    const other = { clientId: "019a0000-0000-7000-8000-000000000b07", clientSecret: "s".repeat(32) };
    await using server = await startServer({
      state,
      env: {
        VESTIBULE_BOOTSTRAP_CLIENT_ID: other.clientId,
        VESTIBULE_BOOTSTRAP_CLIENT_SECRET: other.clientSecret,
      },
    });
    const token = (credential: Parameters<typeof basic>[0]) =>
      postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(credential));
    expect((await token(other)).status).toBe(200);
    expect((await token(state)).status).toBe(401);
  });
});

describe("the end", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "%s lets a request in flight finish and exits 0",
    async (signal) => {
      const server = await startServer();
      onTestFinished(() => server[Symbol.asyncDispose]());
      const body = '{"org_id":"default"}';
      const sent = request(`${server.url}/vestibule.v1.ServiceUserService/ListServiceUsers`, {
        method: "POST",
        agent: false,
        headers: { ...basic(server), "content-type": "application/json", "content-length": body.length },
      });
      sent.write(body.slice(0, 5));
      await once(sent, "socket").then(([socket]) =>
        socket.connecting ? once(socket, "connect") : undefined,
      );
      // Once the server has the head it is a request in flight; a second one on a fresh connection proves that it reads.
      await fetch(`${server.url}/healthz`);
      process.kill(server.pid, signal);
      await expect.poll(() => server.stdout()).toContain("requests in flight may finish");
      sent.end(body.slice(5));
      const [answer] = await once(sent, "response");
      expect(answer.statusCode).toBe(200);
      expect(await server.ended).toBe(0);
      expect(server.stderr()).toBe("");
    },
  );
});

describe("the command line", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  const run = (...args: string[]) => runVestibule(args, server.state);

  it("says what it can do", async () => {
    const help = await run("--help");
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const word of [
      "serve",
      "migrate",
      "keys list",
      "keys rotate [--now]",
      "keys revoke <kid>",
      "doctor",
    ]) {
      expect(help.stdout).toContain(word);
    }
    expect(await run("help")).toEqual(help);
    expect((await run("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  const dashedKid = `-y${"F".repeat(41)}`;
  it.each([
    [["sevre"], "unknown command sevre; did you mean serve? Or try --help"],
    [["please"], "unknown command please; try --help"],
    [["constructor"], "unknown command constructor; try --help"],
    [["serve", "--port=1"], "unknown option '--port'; try --help"],
    [["-p"], "unknown option '-p'; try --help"],
    [["--config"], "option '--config <value>' argument missing; try --help"],
    [["keys", "rotate", "--now=x"], "option '--now' does not take an argument; try --help"],
    [["migrate", "now"], "migrate takes no arguments; try migrate --help"],
    [["doctor", "now"], "doctor takes no arguments"],
    [["keys"], "keys: expected list, rotate, revoke or reencrypt"],
    [["keys", "list", "x"], "keys list takes no arguments"],
    [["keys", "rotate", "x"], "keys rotate [--now]"],
    [["keys", "revoke"], "keys revoke <kid>"],
    [["keys", "revoke", "no-such-kid"], "keys revoke: there is no signing key no-such-kid"],
    [["keys", "revoke", dashedKid], `keys revoke: there is no signing key ${dashedKid}`],
    [["--config", "x.yaml", "keys", "revoke", dashedKid, "y"], "keys revoke <kid>"],
  ])("refuses %j", async (args, message) => {
    expect(await run(...args)).toEqual({ code: 1, stdout: "", stderr: `vestibule: ${message}\n` });
  });

  it("lists, rotates and revokes signing keys while the server runs", async () => {
    const rows = async () =>
      (await run("keys", "list")).stdout
        .trim()
        .split("\n")
        .map((line) => line.split("\t"));
    const [head, first] = await rows();
    expect(head).toEqual(["KID", "ALG", "STATE", "SIGNS FROM", "RETIRES"]);
    expect(first).toEqual([
      expect.stringMatching(/^[\w-]{43}$/),
      "ES256",
      "signing",
      expect.stringMatching(/Z$/),
      "-",
    ]);

    const rotated = await run("keys", "rotate");
    const [, kid, at] = /^(\S+) signs from (\S+)\n$/.exec(rotated.stdout) ?? [];
    const minutes = (Date.parse(at ?? "") - Date.now()) / 60_000;
    expect(minutes).toBeGreaterThan(14);
    expect(minutes).toBeLessThanOrEqual(15);
    expect((await rows()).slice(1).map(([id, , state]) => [id, state])).toEqual([
      [first?.[0], "signing"],
      [kid, "published"],
    ]);

    const hastened = await run("keys", "rotate", "--now");
    expect(hastened.stdout).toContain(kid);
    expect((await rows()).slice(1).map(([id, , state]) => [id, state])).toEqual([
      [first?.[0], "verifying"],
      [kid, "signing"],
    ]);

    const revoked = await run("keys", "revoke", first?.[0] ?? "");
    expect(revoked).toEqual({
      code: 0,
      stdout: `${first?.[0]} is revoked: tokens it signed are refused from now on\n`,
      stderr: "",
    });
    expect((await rows()).slice(1).map(([id]) => id)).toEqual([kid]);
  });

  it.each([["list"], ["rotate"], ["revoke", "kid"], ["reencrypt"]])(
    "makes no database for keys %s where there is none",
    async (...args) => {
      const state = await createState("sqlite");
      onTestFinished(() => state.remove());
      const refused = await runVestibule(["keys", ...args], state);
      expectRefusal(
        refused,
        new RegExp(`^vestibule: keys ${args[0]}: there is no database yet, ${state.dataDir}/`),
      );
      expect(existsSync(join(state.dataDir, "vestibule.db"))).toBe(false);
      expect(existsSync(join(state.dataDir, "encryption.key"))).toBe(false);
    },
  );

  it("migrates, and says when there is nothing to do", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const dry = await runVestibule(["migrate", "--dry-run"], state);
    expect(dry).toEqual({ code: 0, stdout: "there are no tables yet: would make them all\n", stderr: "" });
    expect(readdirSync(state.dataDir).filter((name) => !name.startsWith("config"))).toEqual([]);
    expect(await runVestibule(["migrate", "--dry"], state)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("--dry"),
    });
    const first = await runVestibule(["migrate"], state);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toMatch(/^(?:applied \d{8}T\d{6}_\w+\n)+$/);
    expect(await runVestibule(["migrate"], state)).toEqual({
      code: 0,
      stdout: "the schema is up to date\n",
      stderr: "",
    });
    await expectGood(state);
  });
});

describe("doctor", () => {
  const doctor = (state: ServerState, options = {}) => runVestibule(["doctor"], state, options);

  it("finds a running server's state good and leaves it alone", async () => {
    await using server = await startServer();
    const before = readFiles(server.state.dataDir);
    const { code, stdout, stderr } = await doctor(server.state);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n").map((line) => line.split(":")[0])).toEqual([
      "ok    configuration",
      "ok    data directory",
      "ok    database",
      "ok    schema",
      "ok    signing key",
      "ok    keys",
      "ok    backup",
      "ok    sealed values",
      "",
    ]);
    expect(readFiles(server.state.dataDir)).toEqual(before);
  });

  it("says what the first start will make and makes none of it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vestibule-doctor-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const dataDir = join(folder, "data");
    const { code, stdout } = await doctor(state, { env: { VESTIBULE_DATA_DIR: dataDir } });
    expect(code).toBe(0);
    expect(stdout).toContain(`ok    data directory: ${dataDir}, which the first start makes`);
    expect(stdout).toContain(`the first start makes ${join(dataDir, "encryption.key")}`);
    expect(stdout).toContain("ok    database: sqlite, none yet");
    expect(existsSync(dataDir)).toBe(false);
  });

  it("says what to register with each provider, and where nothing but their answers tells them apart", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const client = { client_id: "c", client_secret: "s" };
    const page = "https://app.example.com/callback";
    const told = async (oidc_config: object, callback_urls?: readonly string[]) => {
      const authentication = { oidc_config, ...(callback_urls && { callback_urls }) };
      const config = { public_url: "https://id.example.com", authentication };
      const { code, stdout } = await doctor(state, { config });
      expect(code).toBe(0);
      return stdout.split("\n").filter((line) => /provider|callback/.test(line));
    };
    const own = (name: string, url: string) => `ok    provider ${name}: its redirect URI is ${url}`;
    const google = own("google", "https://id.example.com/auth/callback/google");
    const github = own("github", "https://id.example.com/auth/callback");
    const both = { google: client, github: { ...client, callback: "shared" } };
    expect(await told(both)).toEqual([google, github]);
    expect(await told(both, ["https://id.example.com/auth/callback"])).toEqual([google, github]);
    expect(await told({ google: client }, [page])).toEqual([google]);
    const warning = `warn  callback_urls: several providers answer at ${page}; one that is hostile is told from`;
    expect(await told(both, [page])).toEqual([google, github, expect.stringContaining(warning)]);
    const two = await doctor(state, {
      config: { authentication: { oidc_config: { ...both, google: { ...client, callback: "shared" } } } },
    });
    expectRefusal(two, /oidc_config\.github\.callback: must be own/);
  });

  it("is loud about a provider that is spoken to more weakly than it could be, and so is the start", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const at = { issuer_url: "https://id.example.com", client_id: "c" };
    const config = {
      authentication: {
        oidc_config: {
          fine: { ...at, client_secret: "s" },
          naive: { ...at, client_secret: "s", nonce: false },
          old: { ...at, client_secret: "s", pkce: false },
          public: { ...at, client_authentication: "none" },
        },
      },
    };
    const weaknesses = [
      /provider naive: nonce is false/,
      /provider old: pkce is false/,
      /provider public: client_authentication is none/,
    ];
    const { stdout } = await doctor(state, { config });
    const warned = stdout.split("\n").filter((line) => line.startsWith("warn  provider "));
    expect(warned).toEqual(weaknesses.map((each) => expect.stringMatching(each)));
    await using server = await startServer({ config });
    for (const each of weaknesses) expect(server.stdout()).toMatch(each);
    expect(server.stdout()).not.toMatch(/provider fine/);
  });

  it("says which migrations are pending, on Postgres as well, and applies none", async () => {
    const state = await createState("postgres");
    onTestFinished(() => state.remove());
    const empty = await doctor(state);
    expect(empty).toMatchObject({ code: 0, stderr: "" });
    expect(empty.stdout).toContain("ok    database: postgres, empty; the first start makes its tables");
    expect((await doctor(state)).stdout).toContain("postgres, empty");
    await runVestibule(["migrate"], state);
    const { default: pg } = await import("pg");
    const client = new pg.Client({ connectionString: state.databaseUrl });
    await client.connect();
    const takeOut = (name: string) =>
      client.query("delete from vestibule_migrations where name like $1", [`%${name}`]);
    expect((await doctor(state)).stdout).toContain("ok    schema: up to date");
    expect(await runVestibule(["migrate", "--dry-run"], state)).toEqual({
      code: 0,
      stdout: "the schema is up to date\n",
      stderr: "",
    });
    const personal = "20261130T053111_personal_tokens";
    await takeOut(personal);
    for (let time = 0; time < 2; time++) {
      expect((await doctor(state)).stdout).toContain(
        `ok    schema: the next start applies ${personal}; servers of 0.1.0 and later may go on serving\n`,
      );
      expect(await runVestibule(["migrate", "--dry-run"], state)).toEqual({
        code: 0,
        stdout: `would apply ${personal}\nservers of 0.1.0 and later may go on serving\n`,
        stderr: "",
      });
    }
    await takeOut("_user_preferences");
    await client.end();
    expect((await runVestibule(["migrate", "--dry-run"], state)).stdout).toBe(
      `would apply 20261130T051500_user_preferences\nwould apply ${personal}\n` +
        "stop every server first: none may serve beside that without knowing it\n",
    );
  });

  it("exits 1 when a server would not start, and says why", async () => {
    const state = await createUsedState();
    const before = readFiles(state.dataDir);
    const wrong = await doctor(state, {
      env: { VESTIBULE_ENCRYPTION_KEY: randomBytes(32).toString("base64url") },
    });
    expect(wrong).toMatchObject({ code: 1, stderr: "vestibule: doctor: a server would not start\n" });
    expect(wrong.stdout).toContain("FAIL  keys: encryption_key: the database was written with another key");

    renameSync(join(state.dataDir, "session-hash.key"), join(state.dataDir, "away"));
    const missing = await doctor(state);
    expect(missing.code).toBe(1);
    expect(missing.stdout).toMatch(/FAIL {2}keys: .*session-hash\.key: is missing/);
    renameSync(join(state.dataDir, "away"), join(state.dataDir, "session-hash.key"));

    const config = await doctor(state, { config: { lissten: "x" } });
    expectRefusal(config, /lissten/);
    expect(readFiles(state.dataDir)).toEqual(before);
    expect((await doctor(state)).code).toBe(0);
  });

  it("exits 1 for a database that is none or does not answer", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    writeFileSync(join(state.dataDir, "vestibule.db"), "not a database, but 40 bytes of something");
    const broken = await doctor(state);
    expect(broken).toMatchObject({ code: 1 });
    expect(broken.stdout).toContain("FAIL  database: the file is no SQLite database (SQLITE_NOTADB)");
  });
});

it("loads neither undici nor HTTP/2 and TLS, each a tenth of a start, before anybody needs them", async () => {
  const tell = `process.on("exit", () => console.log("loaded:", process.moduleLoadList.filter((it) => /undici|^NativeModule (http2|https|tls)$/.test(it)).join()))`;
  const preload = `--import data:text/javascript,${encodeURIComponent(tell)}`;
  await using server = await startServer({ env: { NODE_OPTIONS: preload } });
  expect((await send(`${server.url}/.well-known/jwks.json`)).status).toBe(200);
  expect(await server.stop()).toBe(0);
  expect(server.stdout()).toMatch(/^loaded: $/m);
});

it("makes of an empty database in one go what all migrations would", async () => {
  const migrated = await createEmptyDatabase("sqlite");
  onTestFinished(() => migrated.drop());
  const database = await openDatabase({ url: migrated.url, log: silentLog });
  await migrate(database);
  await database.close();
  const beganAt = new Date().toISOString();
  const state = await createUsedState();
  const made = readSchema(join(state.dataDir, "vestibule.db"));
  const expected = readSchema(migrated.url.replace("sqlite:", ""));
  expect(made.definitions).toEqual(expected.definitions);
  const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(made.migrations).toEqual(expected.migrations.map((migration) => ({ ...migration, timestamp })));
  expect(made.migrations.every((migration) => migration.timestamp >= beganAt)).toBe(true);
});

function readSchema(path: string) {
  const file = new Sqlite(path, { readonly: true });
  const migrations = file
    .prepare<[], { name: string; timestamp: string }>("select * from vestibule_migrations order by name")
    .all();
  const definitions = file.prepare("select type, name, tbl_name, sql from sqlite_schema order by name").all();
  file.close();
  return { definitions, migrations };
}

it("optimises code that runs often, once it has started", async () => {
  // Bit 4 of what V8 says of a function: it has been optimised. https://v8.dev/docs/runtime-functions
  const ask = `
    import v8 from "node:v8";
    v8.setFlagsFromString("--allow-natives-syntax");
    const isOptimised = new Function("of", "return (%GetOptimizationStatus(of) & 16) !== 0");
    v8.setFlagsFromString("--no-allow-natives-syntax");
    const work = (n) => { let sum = 0; for (let i = 0; i < n; i++) sum += i % 7; return sum; };
    const asking = setInterval(() => {
      for (let i = 0; i < 1000; i++) work(1000);
      if (!isOptimised(work)) return;
      console.log("optimised");
      clearInterval(asking);
    }, 20).unref();`;
  const preload = `--import data:text/javascript,${encodeURIComponent(ask)}`;
  await using server = await startServer({ env: { NODE_OPTIONS: preload } });
  await eventually(() => expect(server.stdout()).toMatch(/^optimised$/m));
});

describe("what was compiled, for the next start", () => {
  let folder: string;
  let command: string;
  let cache: string;

  beforeAll(async () => {
    await buildIfStale();
    folder = mkdtempSync(fileURLToPath(new URL("../node_modules/.cache-start-", import.meta.url)));
    const server = new URL("../server/", import.meta.url);
    for (const part of ["package.json", "bin", "dist/bundle"]) {
      cpSync(new URL(part, server), join(folder, part), { recursive: true });
    }
    command = join(folder, "bin/vestibule.js");
    cache = join(folder, "dist/compile-cache");
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
  const listKept = () =>
    existsSync(cache) ? readdirSync(cache).filter((name) => name.endsWith("-server")) : [];

  /** Where a server has kept it. */
  async function findKept(): Promise<string> {
    if (listKept().length === 0) await startAnd(async () => {});
    return join(cache, listKept()[0] ?? "");
  }

  /** Has a server start and says when that is over, what it kept included; then kills it. */
  async function startAnd(
    check: (server: TestServer) => void | Promise<void>,
    // What new files may be: anything.
    limits = "umask 0",
  ): Promise<void> {
    const tell = `import { subscribe } from "node:diagnostics_channel"; subscribe("vestibule.compiled", () => setImmediate(() => console.log("it is over")));`;
    const preload = `--import data:text/javascript,${encodeURIComponent(tell)}`;
    const prefix = ["sh", "-c", `${limits}; exec "$@"`, "sh"];
    await using server = await startServer({ command, prefix, env: { NODE_OPTIONS: preload } });
    await eventually(() => expect(server.stdout()).toMatch(/^it is over$/m));
    await check(server);
    expect(server.stderr()).toBe("");
    await server.kill();
  }

  it("is kept by a server that is killed, and nobody else may write it", async () => {
    const kept = await findKept();
    expect([modeOf(cache), modeOf(kept)]).toEqual(["700", "600"]);
    expect(readdirSync(cache)).toEqual([basename(kept)]);
  });

  it("is used", async () => {
    const { ino, mtimeMs } = statSync(await findKept());
    await startAnd(() => {});
    expect(statSync(await findKept())).toMatchObject({ ino, mtimeMs });
  });

  const damages: [string, (path: string, bytes: Buffer) => void][] = [
    ["a bit is another", (path, bytes) => writeFileSync(path, withOtherBit(bytes))],
    ["half of it is gone", (path, bytes) => writeFileSync(path, bytes.subarray(0, bytes.length / 2))],
    ["all of it is gone", (path) => writeFileSync(path, "")],
    ["there is a folder", (path) => mkdirSync(join(path, "of", "some"), { recursive: true })],
    ["it is of another V8", (path, bytes) => writeFileSync(path, ofAnotherVersion(bytes))],
  ];
  it.each(damages)("is made anew where %s", async (_, damage) => {
    const kept = await findKept();
    const bytes = readFileSync(kept);
    const older = join(cache, `main-${"0".repeat(64)}-1-server`);
    const notOurs = join(cache, "notes.txt");
    for (const path of [older, notOurs]) writeFileSync(path, "x");
    rmSync(kept);
    damage(kept, Buffer.from(bytes));
    const damaged = statSync(kept);
    await startAnd(async (server) => expect((await send(`${server.url}/healthz`)).status).toBe(200));
    expect(statSync(kept).isFile()).toBe(true);
    expect(statSync(kept).ino).not.toBe(damaged.ino);
    expect(statSync(kept).size).toBeGreaterThan(bytes.length / 2);
    expect([older, notOurs].map((path) => existsSync(path))).toEqual([false, true]);
    const { ino } = statSync(kept);
    await startAnd(() => {});
    expect(statSync(kept).ino).toBe(ino);
    rmSync(notOurs);
  });

  it("is not kept, without a word, where that cannot be", async () => {
    renameSync(cache, `${cache}.away`);
    writeFileSync(cache, "");
    await startAnd(async (server) => expect((await send(`${server.url}/healthz`)).status).toBe(200));
    expect(readFileSync(cache, "utf8")).toBe("");
    rmSync(cache);
    renameSync(`${cache}.away`, cache);
  });

  it("is not kept in part where there is no room for it, nor what was written of it", async () => {
    renameSync(cache, `${cache}.away`);
    // In blocks of 512 bytes: less than it has, and more than a server's own files at its start.
    await startAnd(
      async (server) => expect((await send(`${server.url}/healthz`)).status).toBe(200),
      "ulimit -f 6000",
    );
    expect(readdirSync(cache)).toEqual([]);
    rmSync(cache, { recursive: true });
    renameSync(`${cache}.away`, cache);
  });

  it("is kept by other commands as well, but a server's is used and made where there is none", async () => {
    const kept = await findKept();
    const bytes = readFileSync(kept);
    const ofCommand = kept.replace(/server$/, "command");
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const run = async (...args: string[]) =>
      expect(await runVestibule(args, state, { command })).toMatchObject({ code: 0, stderr: "" });
    await run("migrate");
    expect(readdirSync(cache)).toEqual([basename(kept)]);
    rmSync(kept);
    await run("migrate");
    expect(readdirSync(cache)).toEqual([basename(ofCommand)]);
    const { ino } = statSync(ofCommand);
    await run("migrate");
    await startAnd(() => {});
    expect(statSync(ofCommand).ino).toBe(ino);
    expect(statSync(kept).size).toBeGreaterThan(bytes.length / 2);
    rmSync(ofCommand);
  });

  it("is another for a check of health, which is a program without the server", async () => {
    await using server = await startServer({ command });
    const env = { VESTIBULE_LISTEN: `127.0.0.1:${server.port}` };
    const check = () => runVestibule(["healthcheck"], server.state, { command, env });
    expect(await check()).toMatchObject({ code: 0 });
    const [name = ""] = readdirSync(cache).filter((name) => name.startsWith("check-"));
    const { ino } = statSync(join(cache, name));
    expect(await check()).toMatchObject({ code: 0 });
    expect(statSync(join(cache, name)).ino).toBe(ino);
  });
});

function withOtherBit(bytes: Buffer): Buffer {
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
}

/** As V8 would write it if it were another; its checksum is right. */
function ofAnotherVersion(bytes: Buffer): Buffer {
  bytes.writeUInt32LE((bytes.readUInt32LE(4) ^ 1) >>> 0, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}
