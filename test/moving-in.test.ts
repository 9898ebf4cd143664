/** The commands of docs/moving-in.md: out of one server and into others that run, out of Keycloak's files and Frontier's tables. */
import { execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SignJWT } from "jose";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { fillDisk } from "./parts/disks.ts";
import { readBlocks } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider, walkRedirects } from "./parts/identity-provider.ts";
import { Person } from "./parts/person.ts";
import { createTestDatabase } from "./parts/postgres.ts";
import {
  createState,
  findFreePort,
  type OnStarted,
  runVestibule,
  type ServerState,
  startServer,
  type TestServer,
} from "./parts/server.ts";

// Each command is a process of its own, and there are many.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const folder = mkdtempSync(join(tmpdir(), "vestibule-moving-"));
const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

const commands = readBlocks("docs/moving-in.md", "sh")
  .flatMap((block) => block.trim().split("\n"))
  .filter((line) => line.startsWith("npx vestibule "))
  .map((line) => line.replace("npx vestibule ", ""));

/** A command of the page as arguments, with its files in a folder. */
const toArgs = (command: string, place: string) =>
  command.split(" ").map((word) => (/\.(jsonl|json|csv)$/.test(word) ? resolve(place, word) : word));

type Given = Parameters<typeof runVestibule>[2];

/** Runs commands, which must go well, and answers what the last of them printed. */
async function run(
  some: readonly string[],
  state: ServerState,
  given: Given = {},
  place = folder,
): Promise<string> {
  let printed = "";
  for (const command of some) {
    const result = await runVestibule(toArgs(command, place), state, given);
    expect(result, command).toMatchObject({ code: 0, stderr: "" });
    printed = result.stdout;
  }
  return printed;
}

async function keepState(database: "sqlite" | "postgres"): Promise<ServerState> {
  const state = await createState(database);
  ends.push(() => state.remove());
  return state;
}

const rpc = async (server: TestServer, method: string, message: object) => {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
};

it("has the commands of the page", () => {
  expect(commands.map((command) => command.split(" ").slice(0, 2).join(" "))).toEqual([
    ...["organizations", "people", "identities", "members", "service-users"].map((kind) => `export ${kind}`),
    "export people",
    ...["organizations", "people", "identities", "members", "service-users"].map((kind) => `import ${kind}`),
    "import people",
    ...["organizations", "people", "identities", "members"].map((kind) => `import ${kind}`),
    ...["organizations", "people", "members", "service-users"].map((kind) => `import ${kind}`),
  ]);
});

const [exports, asCsv, imports, dry, fromKeycloak, fromFrontier] = [
  commands.slice(0, 5),
  commands.slice(5, 6),
  commands.slice(6, 11),
  commands.slice(11, 12),
  commands.slice(12, 16),
  commands.slice(16),
];

const appPage = "https://app.example.org/callback";

describe("a place with people, organizations and machines", () => {
  let acme: IdentityProvider;
  let source: TestServer;
  let ports: readonly number[];
  const emails = { ada: "ada@example.org", bob: "bob@example.org", carl: "carl@example.org" };
  const ids: Record<string, string> = {};
  const machine = { id: "", kid: "" };
  let privateKey: KeyObject;
  const accounts = { [emails.carl]: { email: emails.carl, email_verified: true, name: "Carl" } };

  const toGiven = (port: number) => ({
    env: { VESTIBULE_PUBLIC_URL: `http://localhost:${port}` },
    config: {
      authentication: {
        callback_urls: [appPage],
        oidc_config: {
          acme: { issuer_url: acme.issuer, client_id: acme.clientId, client_secret: acme.clientSecret },
        },
      },
    },
  });

  async function signInByProvider(server: TestServer, email: string) {
    const person = new Person(server);
    const begun = await person.call("Authenticate", { strategyName: "acme", email, callbackUrl: appPage });
    expect(begun.json, begun.text).toHaveProperty("endpoint");
    const { searchParams } = await walkRedirects(begun.json.endpoint, appPage);
    const ended = await person.call("AuthCallback", {
      state: begun.json.state,
      code: searchParams.get("code"),
    });
    return { person, ended };
  }

  const whoIs = async (person: Person) => (await person.call("GetCurrentUser")).json.user;

  async function signIn(server: TestServer, email: string): Promise<Person> {
    const person = new Person(server);
    await person.signIn(email);
    return person;
  }

  async function getToken(server: TestServer): Promise<number> {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: machine.id, sub: machine.id, exp: now + 60, jti: randomUUID() };
    const assertion = await new SignJWT({ ...claims, aud: `http://localhost:${server.port}` })
      .setProtectedHeader({ alg: "EdDSA", kid: machine.kid })
      .sign(privateKey);
    const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    const { status } = await send(`${server.url}/oauth2/token`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ grant_type, assertion }).toString(),
    });
    return status;
  }

  async function listRoles(server: TestServer): Promise<string[]> {
    const { members } = await rpc(server, "OrganizationService/ListMembers", { org_id: "acme" });
    const roles = members.map(({ userId, role }: { userId: string; role: string }) => `${userId} ${role}`);
    return roles.toSorted();
  }

  beforeAll(async () => {
    ports = await Promise.all([findFreePort(), findFreePort(), findFreePort(), findFreePort()]);
    const own = ports.map((port) => `http://localhost:${port}/auth/callback/acme`);
    acme = await startIdentityProvider({ accounts, redirectUris: [appPage, ...own] });
    ends.push(() => acme.stop());
    const port = ports[0] ?? 0;
    source = await startServer({ port, ...toGiven(port) });
    ends.push(() => source[Symbol.asyncDispose]());
    await rpc(source, "OrganizationService/CreateOrganization", {
      body: { name: "acme", title: "=Acme", metadata: { tier: "gold" } },
    });
    ids.ada = (await whoIs(await signIn(source, emails.ada))).id;
    const body = { email: emails.bob, title: "Bob", metadata: { team: "a" } };
    ids.bob = (await rpc(source, "UserService/CreateUser", { body })).user.id;
    const carl = await signInByProvider(source, emails.carl);
    expect(carl.ended.status, carl.ended.text).toBe(200);
    ids.carl = (await whoIs(carl.person)).id;
    for (const [name, role] of [
      ["ada", "owner"],
      ["bob", "viewer"],
      ["carl", "manager"],
    ] as const) {
      await rpc(source, "OrganizationService/AddMember", { org_id: "acme", user_id: ids[name], role });
    }
    const pair = generateKeyPairSync("ed25519");
    privateKey = pair.privateKey;
    const made = await rpc(source, "ServiceUserService/CreateServiceUser", {
      org_id: "acme",
      body: { title: "CI", role: "manager" },
    });
    machine.id = made.serviceuser.id;
    const public_jwk = pair.publicKey.export({ format: "jwk" });
    const named = { org_id: "acme", id: machine.id };
    const { key } = await rpc(source, "ServiceUserService/CreateServiceUserJWK", { ...named, public_jwk });
    machine.kid = key.kid ?? key.id;
    await rpc(source, "ServiceUserService/CreateServiceUserCredential", named);
    await run([...exports, ...asCsv], source.state, toGiven(port));
  });

  it("goes out beside its server, whole, for its owner alone and without a secret", async () => {
    const files = ["organizations", "people", "identities", "members", "service-users"];
    for (const name of [...files.map((file) => `${file}.jsonl`), "people.csv"]) {
      const path = join(folder, name);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readFileSync(path, "utf8")).not.toMatch(/secret|hash|passkey|token/i);
    }
    const machines = readFileSync(join(folder, "service-users.jsonl"), "utf8");
    expect(machines).toContain(machine.kid);
    expect(machines).not.toContain("Bootstrap");
    const again = await runVestibule(toArgs(exports[0] ?? "", folder), source.state);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("is there already") });
    const printed = await run(["export organizations --format csv"], source.state);
    expect(printed).toMatch(/^id,name,title,metadata,avatar,state,created_at\r\n/);
    expect(printed).toContain(`,acme,'=Acme,"{""tier"":""gold""}",`);
  });

  describe.each(["sqlite", "postgres"] as const)("comes into another that runs (%s)", (database) => {
    let target: TestServer;
    let given: ReturnType<typeof toGiven>;
    beforeAll(async () => {
      const port = ports[database === "sqlite" ? 1 : 2] ?? 0;
      given = toGiven(port);
      target = await startServer({ database, port, ...given });
      ends.push(() => target[Symbol.asyncDispose]());
      // Both databases are given the same dry run before.
      const asked = await run(dry, target.state, given);
      expect(asked).toMatch(/^line 2\tcreated\t[0-9a-f-]{36}$/m);
      expect(asked).toMatch(
        /: 3 would be created, 0 would be changed, 0 unchanged, 0 refused; sha256 [0-9a-f]{64}$/m,
      );
      expect((await rpc(target, "UserService/ListUsers", {})).users ?? []).toEqual([]);
      await run(imports, target.state, given);
    });

    it("where everybody is who they were, by mail and by their provider", async () => {
      expect(await whoIs(await signIn(target, emails.ada))).toMatchObject({ id: ids.ada });
      const bob = await whoIs(await signIn(target, emails.bob));
      expect(bob).toMatchObject({ id: ids.bob, title: "Bob", metadata: { team: "a" } });
      const carl = await signInByProvider(target, emails.carl);
      expect(carl.ended.status, carl.ended.text).toBe(200);
      expect(await whoIs(carl.person)).toMatchObject({ id: ids.carl });
      const verified = async (server: TestServer) => {
        const { users } = await rpc(server, "UserService/ListUsers", { email: emails.carl });
        return users[0].emailVerified;
      };
      expect(await verified(target)).toEqual(await verified(source));
    });

    it("with the same roles, and programs that sign with their keys", async () => {
      expect(await listRoles(target)).toEqual(await listRoles(source));
      expect(await getToken(source)).toBe(200);
      expect(await getToken(target)).toBe(200);
      const { organization } = await rpc(target, "OrganizationService/GetOrganization", { id: "acme" });
      expect(organization).toMatchObject({ title: "=Acme", metadata: { tier: "gold" } });
    });

    it("and nothing is changed by the same files again, nor by what a spreadsheet has kept of them", async () => {
      for (const command of imports) {
        expect(await run([command], target.state, given)).toMatch(
          / 0 created, 0 changed, \d+ unchanged, 0 refused/,
        );
      }
      const csv = await run(["import people people.csv"], target.state, given);
      expect(csv).toContain(" 0 created, 0 changed, 3 unchanged, 0 refused");
      const { records } = await rpc(target, "AuditService/ListAuditRecords", { target_id: ids.bob });
      const actions = records.map(
        ({ actor, action }: { actor: { id: string }; action: string }) => `${actor.id} ${action}`,
      );
      expect(actions).toEqual(
        expect.arrayContaining(["command-line member.add", "command-line user.create"]),
      );
    });
  });

  it("has every server that runs hear of what an import changes", async () => {
    const state = await keepState("postgres");
    const port = ports[3] ?? 0;
    const given = toGiven(port);
    const first = await startServer({ state, port, ...given });
    ends.push(() => first.kill());
    const second = await startServer({ state, ...given });
    ends.push(() => second.kill());
    await run(imports, state, given);
    const ada = await signIn(first, emails.ada);
    const there = new Person(second);
    for (const [name, value] of ada.cookies) there.cookies.set(name, value);
    for (const person of [ada, there]) {
      expect(await whoIs(person)).not.toMatchObject({ title: "Countess" });
    }

    const place = mkdtempSync(join(folder, "changed-"));
    const change = (patch: object) =>
      writeFileSync(
        join(place, "people.jsonl"),
        `${JSON.stringify({ id: ids.ada, email: emails.ada, ...patch })}\n`,
      );
    change({ title: "Countess" });
    const command = ["import people people.jsonl"];
    expect(await run(command, state, given, place)).toContain(" 0 created, 1 changed, 0 unchanged");
    for (const person of [ada, there]) {
      await eventually(async () => expect(await whoIs(person)).toMatchObject({ title: "Countess" }));
    }
    // She owns the one organization.
    change({ state: "disabled" });
    const refused = await runVestibule(["import", "people", join(place, "people.jsonl")], state, given);
    expect(refused).toMatchObject({ code: 2, stderr: "vestibule: import: 1 was refused\n" });
    expect(refused.stdout).toMatch(/^line 1\trefused\tLAST_OWNER: /m);
    await rpc(first, "OrganizationService/SetMemberRole", {
      org_id: "acme",
      user_id: ids.bob,
      role: "owner",
    });
    await run(command, state, given, place);
    for (const person of [ada, there]) {
      await eventually(async () => expect((await person.call("GetCurrentUser")).status).not.toBe(200));
    }
  });
});

describe("an import", () => {
  let state: ServerState;
  beforeAll(async () => {
    state = await keepState("sqlite");
    await run(["migrate"], state);
  });

  const write = (name: string, records: readonly object[]) => {
    const path = join(folder, name);
    writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    return path;
  };

  it("that is killed half-way is taken up by the next", async () => {
    const people = Array.from({ length: 20_000 }, (_, at) => ({
      id: randomUUID(),
      email: `p${at}@example.org`,
    }));
    const path = write("many.jsonl", people);
    const report = join(folder, "killed.report");
    const command = fileURLToPath(new URL("../server/bin/vestibule.js", import.meta.url));
    const child = spawn(process.execPath, [command, "import", "people", path, "--report", report], {
      env: { PATH: process.env.PATH, VESTIBULE_DATA_DIR: state.dataDir },
      stdio: "ignore",
    });
    const ended = once(child, "close");
    const told = () => existsSync(report) && statSync(report).size > 0;
    while (child.exitCode === null && !told()) await sleep(10);
    child.kill("SIGKILL");
    await ended;
    const said = await run([`import people ${path} --report ${join(folder, "second.report")}`], state);
    const [, created = "", unchanged = ""] =
      /: ([\d ]+) created, 0 changed, ([\d ]+) unchanged, 0 refused/.exec(said) ?? [];
    const count = (text: string) => Number(text.replaceAll(" ", ""));
    expect(count(created) + count(unchanged)).toBe(people.length);
    expect(count(unchanged)).toBeGreaterThan(0);
    const lines = readFileSync(join(folder, "second.report"), "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(people.length);
    expect(JSON.parse(lines.at(-1) ?? "")).toEqual({
      line: people.length,
      outcome: expect.stringMatching(/^(created|unchanged)$/),
      id: people.at(-1)?.id,
    });
  });

  it("that is interrupted says so, and has stored what it has told of", async () => {
    const own = await keepState("sqlite");
    await run(["migrate"], own);
    // Far more than are stored before the signal comes.
    const people = Array.from({ length: 100_000 }, (_, at) => ({ email: `p${at}@example.org` }));
    const path = write("interrupted.jsonl", people);
    const report = join(folder, "interrupted.report");
    const started = Promise.withResolvers<Parameters<OnStarted>[0]>();
    const options = { onStarted: started.resolve };
    const running = runVestibule(["import", "people", path, "--report", report], own, options);
    const send = await started.promise;
    await eventually(async () => expect(statSync(report).size).toBeGreaterThan(0));
    send("SIGINT");
    expect(await running).toMatchObject({
      code: 1,
      stderr: `vestibule: ${path}: interrupted by SIGINT: import it again, and what is stored already stays as it is\n`,
    });
    const told = readFileSync(report, "utf8").trimEnd().split("\n").length;
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThan(people.length);
    const exported = await run(["export people"], own);
    expect(exported.trimEnd().split("\n")).toHaveLength(told);
  }, 120_000);

  it("that waits for a pipe is interrupted as well", async () => {
    const pipe = join(folder, "silent.pipe");
    execFileSync("mkfifo", [pipe]);
    const writer = openSync(pipe, "r+");
    ends.push(() => closeSync(writer));
    const report = join(folder, "silent.report");
    const started = Promise.withResolvers<Parameters<OnStarted>[0]>();
    const options = { onStarted: started.resolve };
    const running = runVestibule(["import", "people", pipe, "--report", report], state, options);
    const send = await started.promise;
    await eventually(async () => expect(existsSync(report)).toBe(true));
    send("SIGINT");
    expect(await running).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("interrupted by SIGINT"),
    });
  }, 60_000);

  it("that cannot make its report imports nobody, and one that cannot write the end of it says so", async () => {
    const own = await keepState("sqlite");
    await run(["migrate"], own);
    const path = write(
      "reported.jsonl",
      Array.from({ length: 900 }, (_, at) => ({ id: randomUUID(), email: `p${at}@example.org` })),
    );
    const there = write("there.report", []);
    const kept = await runVestibule(["import", "people", path, "--report", there], own);
    expect(kept).toMatchObject({ code: 1, stderr: `vestibule: ${there}: is there already\n` });
    expect(await run(["export people"], own)).toBe("");
    // With room for all but the last of some seventy bytes a line.
    const disk = join(folder, "disk");
    mkdirSync(disk);
    const args = ["import", "people", path, "--dry-run", "--report", join(disk, "report")];
    const cut = await runVestibule(args, own, { prefix: fillDisk(disk, 64) });
    expect(cut).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/report: cannot be written, got (ENOSPC|EFBIG)/),
    });
  });

  it("tells line by line what it refuses, takes the rest, and ends with 2", async () => {
    const path = write("bad.jsonl", [
      { email: "good@example.org" },
      { email: "GOOD@example.org" },
      { email: "no address" },
      { email: "x@example.org", pasword: "hunter2" },
    ]);
    const report = join(folder, "bad.report");
    const result = await runVestibule(["import", "people", path, "--report", report, "--progress"], state);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain("vestibule: import: 3 were refused");
    expect(result.stdout.split("\n").slice(0, 3)).toEqual([
      expect.stringMatching(/^line 2\trefused\tREPEATED: line 1 is of the same/),
      "line 3\trefused\tINVALID: email Invalid email",
      "line 4\trefused\tINVALID: has what is not known: pasword",
    ]);
    expect(result.stdout).not.toContain("hunter2");
    const lines = readFileSync(report, "utf8").trimEnd().split("\n");
    expect(JSON.parse(lines[2] ?? "")).toEqual({
      line: 3,
      outcome: "refused",
      reason: "INVALID",
      field: "email",
      message: "Invalid email",
    });
  });

  it("is refused where the file is not the one that was looked at", async () => {
    const path = write("looked-at.jsonl", [{ email: "first@example.org" }]);
    const [, sum = ""] = /sha256 (\w+)/.exec(await run([`import people ${path} --dry-run`], state)) ?? [];
    write("looked-at.jsonl", [{ email: "second@example.org" }]);
    const args = ["import", "people", path, "--sha256", sum];
    const changed = await runVestibule(args, state);
    expect(changed).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is not the file of that sum"),
    });
    write("looked-at.jsonl", [{ email: "first@example.org" }]);
    expect(await runVestibule(args, state)).toMatchObject({ code: 0 });
  });

  it.each([
    [["import"], "import <what> <file>"],
    [["import", "users", "x.jsonl"], "users cannot be moved: expected one of organizations, people,"],
    [["import", "people", "/nowhere/x.jsonl"], "/nowhere/x.jsonl: is not there"],
    [["import", "people", "/nowhere/x.jsonl", "--trust", "me"], "--trust is verified or all"],
    [["import", "people", "/nowhere/x.jsonl", "--format", "xml"], "--format is jsonl, csv or json"],
    [["import", "people", "/nowhere/x.jsonl", "--mapping", "okta"], "okta: there is no such mapping"],
    [["export"], "export <what>"],
    [["export", "secrets"], "secrets cannot be moved"],
    [["export", "people", "--format", "json"], "--format is jsonl or csv"],
    [["export", "people", "/nowhere/x.jsonl"], "/nowhere/x.jsonl: cannot be written, got ENOENT"],
  ])("or an export makes no sense as %j", async (args, message) => {
    const { code, stderr } = await runVestibule(args, state);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  it("makes no database where there is none, nor does an export", async () => {
    const empty = await keepState("sqlite");
    const path = write("nobody.jsonl", []);
    for (const args of [
      ["import", "people", path],
      ["export", "people"],
    ]) {
      const { code, stderr } = await runVestibule(args, empty);
      expect([code, stderr]).toEqual([1, expect.stringContaining("there is no database yet")]);
    }
    expect(existsSync(join(empty.dataDir, "vestibule.db"))).toBe(false);
  });
});

describe("what other systems keep", () => {
  const realm = fileURLToPath(new URL("fixtures/moving-in/acme-realm.json", import.meta.url));

  it("comes out of a realm of Keycloak's", async () => {
    const place = mkdtempSync(join(folder, "keycloak-"));
    copyFileSync(realm, join(place, "acme.json"));
    const state = await keepState("sqlite");
    const issuer_url = "https://id.acme.example";
    const given = {
      config: {
        authentication: { oidc_config: { acme: { issuer_url, client_id: "c", client_secret: "s" } } },
      },
    };
    const server = await startServer({ state, ...given });
    ends.push(() => server.kill());
    const printed: string[] = [];
    for (const command of fromKeycloak) {
      printed.push((await runVestibule(toArgs(command, place), state, given)).stdout);
    }
    expect(printed.map((text) => text.replaceAll(/^.*: (?=\d)|; sha256.*/gm, ""))).toEqual([
      "1 created, 0 changed, 0 unchanged, 0 refused\n",
      "users[2]\trefused\tINVALID: email is missing\n2 created, 0 changed, 0 unchanged, 1 refused\n",
      "1 created, 0 changed, 0 unchanged, 0 refused\n",
      "organizations[0].members[2]\trefused\tUNMAPPED: user_id the file has none of that username\n" +
        "2 created, 0 changed, 0 unchanged, 1 refused\n",
    ]);
    const { users } = await rpc(server, "UserService/ListUsers", {});
    const ada = { email: "ada@acme.example", title: "Ada Lovelace", state: "enabled" };
    expect(users).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          id: "1f3c9d52-8a0b-4c7e-b1d4-0a6e5f7c8d01",
          ...ada,
          createdAt: "2020-09-13T12:26:40Z",
          metadata: { username: "ada", attributes: { locale: ["en"], phone: ["+44 20 7946 0000"] } },
        }),
        expect.objectContaining({ email: "bob@acme.example", state: "disabled" }),
      ]),
    );
    expect(JSON.stringify(users)).not.toMatch(/hash|salt/);
    const person = new Person(server);
    await person.signIn(ada.email);
    const { json } = await person.call("ListIdentities");
    expect(json.identities).toEqual([expect.objectContaining({ issuer: issuer_url, strategyName: "acme" })]);
    const { members } = await rpc(server, "OrganizationService/ListMembers", { org_id: "acme-inc" });
    expect(members.map(({ role }: { role: string }) => role)).toEqual(["viewer", "viewer"]);
  });

  it("comes out of Frontier's tables by the queries of the page", async () => {
    const place = mkdtempSync(join(folder, "frontier-"));
    const { privateKey, kid, machineId } = await writeFrontier(place);
    const port = await findFreePort();
    const server = await startServer({ port });
    ends.push(() => server[Symbol.asyncDispose]());
    const printed: string[] = [];
    for (const command of fromFrontier) {
      printed.push((await runVestibule(toArgs(command, place), server.state)).stdout);
    }
    expect(printed.map((text) => text.replaceAll(/^.*: (?=\d)|; sha256.*/gm, ""))).toEqual([
      "2 created, 0 changed, 0 unchanged, 0 refused\n",
      "2 created, 0 changed, 0 unchanged, 0 refused\n",
      "line 2\trefused\tUNMAPPED: role the mapping knows app_organization_owner, app_organization_manager, " +
        "app_organization_viewer alone\n1 created, 0 changed, 0 unchanged, 1 refused\n",
      "1 created, 0 changed, 0 unchanged, 0 refused\n",
    ]);
    const { members } = await rpc(server, "OrganizationService/ListMembers", { org_id: "pixel_labs" });
    expect(members).toEqual([expect.objectContaining({ email: "grace@pixel.example", role: "owner" })]);
    const person = new Person(server);
    await person.signIn("grace@pixel.example");
    expect((await person.call("GetCurrentUser")).json.user).toMatchObject({
      id: "8d1f5a3b-2c6e-4f70-9a81-b2c3d4e5f001",
      title: "Grace",
      metadata: { description: "admiral" },
    });
    const now = Math.floor(Date.now() / 1000);
    const assertion = await new SignJWT({ iss: machineId, sub: machineId, exp: now + 60, jti: randomUUID() })
      .setProtectedHeader({ alg: "RS256", kid })
      .setAudience(`http://localhost:${port}`)
      .sign(privateKey);
    const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    const token = await postJson(server, "/vestibule.v1.AuthService/AuthToken", { grantType, assertion });
    expect(token.status, token.text).toBe(200);
  });
});

/** Makes Frontier's tables, with rows as it writes them, and the files that the page's queries make of them. */
async function writeFrontier(place: string) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = randomUUID();
  const machineId = randomUUID();
  const keys = { keys: [{ ...publicKey.export({ format: "jwk" }), alg: "RS256", kid, use: "sig" }] };
  const database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const times =
      "created_at timestamptz default now(), updated_at timestamptz default now(), deleted_at timestamptz";
    await client.query(`
      create table organizations (id uuid primary key, name text, title text, avatar text, metadata jsonb, state text, ${times});
      create table users (id uuid primary key, name text, title text, email text, avatar text, metadata jsonb, state text, ${times});
      create table roles (id uuid primary key, org_id uuid, name text, permissions jsonb, metadata jsonb, state text, ${times});
      create table policies (id uuid primary key default gen_random_uuid(), role_id uuid, resource_id uuid, resource_type text,
        principal_id uuid, principal_type text, grant_relation text, metadata jsonb, ${times});
      create table serviceusers (id uuid primary key, org_id uuid, title text, metadata jsonb, state text, ${times});
      create table serviceuser_credentials (id uuid primary key, serviceuser_id uuid, type text, title text, secret_hash text,
        public_key jsonb, metadata jsonb, ${times});
      insert into organizations (id, name, title, metadata, state, deleted_at) values
        ('4c0e6c1a-7a54-4b0c-8d40-57e0c1b0a001', 'pixel_labs', 'Pixel Labs', '{"intro":"pixels"}', 'enabled', null),
        ('4c0e6c1a-7a54-4b0c-8d40-57e0c1b0a002', 'Old-Co', null, '{}', 'disabled', null),
        ('4c0e6c1a-7a54-4b0c-8d40-57e0c1b0a003', 'gone', null, null, 'enabled', now());
      insert into users (id, name, title, email, avatar, metadata, state) values
        ('8d1f5a3b-2c6e-4f70-9a81-b2c3d4e5f001', 'grace_dev', 'Grace', 'grace@pixel.example', null,
          '{"description":"admiral"}', 'enabled'),
        ('8d1f5a3b-2c6e-4f70-9a81-b2c3d4e5f002', 'heidi', null, 'Heidi@pixel.example',
          'https://pixel.example/heidi.png', null, 'disabled');
      insert into roles (id, name) values
        ('11111111-0000-4000-8000-000000000001', 'app_organization_owner'),
        ('11111111-0000-4000-8000-000000000002', 'app_organization_viewer'),
        ('11111111-0000-4000-8000-000000000003', 'app_organization_accessmanager'),
        ('11111111-0000-4000-8000-000000000004', 'app_organization_manager');`);
    const policies = [
      ["02", "8d1f5a3b-2c6e-4f70-9a81-b2c3d4e5f001", "app/user"],
      ["01", "8d1f5a3b-2c6e-4f70-9a81-b2c3d4e5f001", "app/user"],
      ["03", "8d1f5a3b-2c6e-4f70-9a81-b2c3d4e5f002", "app/user"],
      ["04", machineId, "app/serviceuser"],
    ];
    for (const [role, principal, type] of policies) {
      await client.query(
        `insert into policies (role_id, resource_id, resource_type, principal_id, principal_type)
         values ($1, '4c0e6c1a-7a54-4b0c-8d40-57e0c1b0a001', 'app/organization', $2, $3)`,
        [`11111111-0000-4000-8000-0000000000${role}`, principal, type],
      );
    }
    const org = "4c0e6c1a-7a54-4b0c-8d40-57e0c1b0a001";
    const machine = "insert into serviceusers (id, org_id, title, state) values ($1, $2, 'CI', 'enabled')";
    await client.query(machine, [machineId, org]);
    const credential = `insert into serviceuser_credentials (id, serviceuser_id, type, title, secret_hash, public_key)
      values ($1, $2, $3, $4, $5, $6)`;
    await client.query(credential, [kid, machineId, "jwt_bearer", "deploy", "", JSON.stringify(keys)]);
    await client.query(credential, [
      randomUUID(),
      machineId,
      "client_credential",
      "old",
      "$2a$14$hash",
      "null",
    ]);
    const queries = (readBlocks("docs/moving-in.md", "sql")[0] ?? "")
      .split(";\n")
      .filter((query) => query.trim() !== "");
    const names = ["organizations", "users", "policies", "serviceusers"];
    expect(queries).toHaveLength(names.length);
    for (const [at, query] of queries.entries()) {
      const { rows } = await client.query(query);
      const lines = rows.map(({ row_to_json: row }) => `${JSON.stringify(row)}\n`);
      writeFileSync(join(place, `${names[at]}.jsonl`), lines.join(""));
    }
  } finally {
    await client.end();
    await database.drop();
  }
  return { privateKey, kid, machineId };
}
