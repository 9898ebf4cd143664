/**
 * What can be tried of deploy/ without a container engine and without systemd:
 * the image's steps replayed in folders, the compose files by their schema and
 * by what they say of each other, the Caddyfile in Caddy, the unit by systemd's
 * own judge. docs/deploying.md says what that leaves.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Ajv } from "ajv";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { parse } from "yaml";
import { readBlocks } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { isInContext, type MadeImage, makeImage, readStages, type Stage } from "./parts/image.ts";
import { Person } from "./parts/person.ts";
import { runProgram } from "./parts/program.ts";
import { startProxy } from "./parts/proxies.ts";
import { createState, findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { analyzeUnit } from "./parts/systemd.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = JSON.parse(read("package.json"));
/** V8's settings that `npm start` serves with. */
const v8Flags: string[] = manifest.scripts.start.match(/--\S+/g);
/** How long stopping takes at most, in seconds. */
const stopSeconds = 25;

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-deploying-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe("the image", () => {
  const stages = readStages(join(root, "deploy/Dockerfile"));
  const [, last] = stages as [Stage, Stage];
  const stepsOf = (keyword: string) => last.steps.filter((step) => step.keyword === keyword);

  let image: MadeImage;
  beforeAll(async () => {
    image = await makeImage(stages);
  });
  afterAll(() => image?.[Symbol.dispose]());

  /** Path → size and time of change, of all that is not meant to be written. */
  function list(folder: string): Record<string, string> {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const paths = entries.map((entry) => join(entry.parentPath, entry.name));
    const kept = paths.filter(
      (path) => ![...image.volumes, join(image.root, "tmp")].some((each) => path.startsWith(each)),
    );
    return Object.fromEntries(kept.map((path) => [path, `${statSync(path).size} ${statSync(path).mtimeMs}`]));
  }

  function start(
    [program = "", ...args]: readonly string[],
    env: Readonly<Record<string, string>>,
  ): ChildProcess {
    const options = { ...image.owner, cwd: image.cwd, env: { ...image.env, ...env } };
    const child = spawn(program === "node" ? join(image.env.PATH ?? "", "node") : program, args, {
      ...options,
      stdio: ["ignore", "pipe", "pipe"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  }

  async function end(child: ChildProcess) {
    const [printed, [code]] = await Promise.all([
      text(child.stdout as NonNullable<typeof child.stdout>),
      once(child, "close"),
    ]);
    return { code, printed };
  }

  it("is of the Node that everything is tested with, by its version", () => {
    expect(stages).toHaveLength(2);
    for (const { base } of stages) expect(base).toBe(`node:${manifest.devDependencies.node}-bookworm-slim`);
    for (const { steps } of stages) expect(steps.map(({ keyword }) => keyword)).not.toContain("ADD");
  });

  it("needs no shell, and ends as somebody who is not root", () => {
    for (const step of last.steps) {
      if (["RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"].includes(step.keyword)) {
        expect(step, step.text).toMatchObject({ isExec: true });
      }
    }
    expect(stepsOf("ENTRYPOINT")[0]?.args).toEqual(["node", ...v8Flags, "/app/server/bin/vestibule.js"]);
    expect(last.steps.findLast(({ keyword }) => keyword === "USER")?.text).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(last.steps.findIndex(({ keyword }) => keyword === "USER")).toBeGreaterThan(
      last.steps.findLastIndex(({ keyword }) => keyword === "RUN" || keyword === "COPY"),
    );
  });

  it("holds what it needs, and no source, map or package beside", () => {
    const files = readdirSync(join(image.root, "app"), { recursive: true, encoding: "utf8" });
    const names = files.filter((path) => statSync(join(image.root, "app", path)).isFile());
    const rest = names.filter(
      (path) => !/^server\/(bin\/(run|vestibule)\.js|dist\/bundle\/.+\.(js|txt)|package\.json)$/.test(path),
    );
    expect(rest.filter((path) => !path.startsWith("node_modules/better-sqlite3/lib/")).toSorted()).toEqual([
      "LICENSE",
      "node_modules/better-sqlite3/LICENSE",
      "node_modules/better-sqlite3/package.json",
      "node_modules/better-sqlite3/prebuilds/linux-arm64.node",
      "node_modules/better-sqlite3/prebuilds/linux-x64.node",
    ]);
  });

  it.each([
    ["package.json", true],
    ["server/src/main.ts", true],
    ["clients/node/package.json", true],
    ["scripts/build.ts", true],
    ["scripts/check.ts", false],
    ["clients/node/src/index.ts", false],
    ["server/dist/bundle/main.js", false],
    ["server/src/config/values.test.ts", false],
    ["node_modules/zod/package.json", false],
    ["server/node_modules/x/package.json", false],
    ["data/encryption.key", false],
    ["deploy/secrets/vestibule.yaml", false],
    [".git/config", false],
    [".env", false],
    ["vestibule.yaml", false],
  ])("%s is sent to the engine: %s", (path, isSent) => {
    expect(isInContext(path)).toBe(isSent);
  });

  it("serves from a tree that it cannot write to, is healthy, and ends on SIGTERM", async () => {
    const port = await findFreePort();
    const env = { VESTIBULE_LISTEN: `0.0.0.0:${port}` };
    const probe = start(
      [
        "node",
        "-e",
        'for (const at of process.argv.slice(1)) try { fs.writeFileSync(at + "/x", ""); console.log(at) } catch {}',
        ...[image.root, image.cwd, join(image.cwd, "server/dist/bundle"), join(image.root, "usr/local/bin")],
        ...image.volumes,
      ],
      {},
    );
    expect((await end(probe)).printed.trim().split("\n")).toEqual(image.volumes);
    const before = list(image.root);
    const url = `http://127.0.0.1:${port}`;
    const server = start([...image.entrypoint, ...image.command], env);
    const ended = end(server);
    const isHealthy = async () => (await end(start(image.healthcheck, env))).code === 0;
    // A first start on a busy machine.
    await vi.waitFor(async () => expect((await send(`${url}/healthz`)).status).toBe(200), {
      timeout: 50_000,
      interval: 50,
    });
    expect(await isHealthy()).toBe(true);

    const dataDir = join(image.volumes[0] ?? "", "data");
    const person = new Person({ url, port, state: { dataDir } } as TestServer);
    await person.signIn("ada@example.com");
    const answer = await person.call("GetCurrentUser");
    expect(answer).toMatchObject({ status: 200, text: expect.stringContaining("ada@example.com") });

    server.kill("SIGTERM");
    await eventually(async () => expect(await isHealthy()).toBe(false));
    expect(await ended).toMatchObject({ code: 0, printed: expect.stringContaining('"message":"stopped"') });
    expect(await isHealthy()).toBe(false);
    expect(list(image.root)).toEqual(before);
  }, 120_000);
});

interface Service {
  readonly image?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly networks?: Readonly<Record<string, { ipam?: { config: { subnet: string }[] } }>>;
}

const composeOf = (file: string): Compose => parse(read(`deploy/${file}`), { merge: true });

describe.each(["compose.yaml", "compose.postgres.yaml"])("%s", (file) => {
  const compose = composeOf(file);
  // It has keywords of its own, and unions of types.
  const ajv = new Ajv({ strict: false, allErrors: true });
  const { $schema: _, ...schema } = JSON.parse(read("test/fixtures/compose-spec/compose-spec.json"));
  const validate = ajv.compile(schema);

  it("is as the Compose Specification has it", () => {
    expect(validate(compose) ? [] : validate.errors).toEqual([]);
    const [name = "", first] = Object.entries(compose.services)[0] ?? [];
    for (const wrong of [
      { read_onyl: true },
      { cap_drop: "ALL" },
      { depends_on: { [name]: { condition: "well" } } },
    ]) {
      expect(validate({ ...compose, services: { [name]: { ...first, ...wrong } } })).toBe(false);
    }
  });

  it("lets nobody have more than they need", () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect(service, name).toMatchObject({
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        restart: "unless-stopped",
        pids_limit: expect.any(Number),
      });
      expect(service.cap_add ?? [], name).toEqual(name === "caddy" ? ["NET_BIND_SERVICE"] : []);
      expect(Number(service.stop_grace_period.replace("s", "")), name).toBeGreaterThan(stopSeconds);
      // Their values would be in the process list, in `inspect` and in every child's environment.
      expect(
        Object.keys(service.environment ?? {}).filter((key) => /PASSWORD$|SECRET$|KEY$/.test(key)),
      ).toEqual([]);
    }
  });

  it("names what is there", () => {
    const used = { secrets: new Set<string>(), volumes: new Set<string>(), networks: new Set<string>() };
    for (const service of Object.values(compose.services)) {
      for (const name of service.secrets ?? []) used.secrets.add(name);
      for (const name of service.networks ?? []) used.networks.add(name);
      for (const volume of service.volumes ?? []) {
        const [from = ""] = volume.split(":");
        if (from.startsWith("./")) expect(() => read(`deploy/${from}`)).not.toThrow();
        else used.volumes.add(from);
      }
      for (const other of Object.keys(service.depends_on ?? {}))
        expect(compose.services).toHaveProperty([other]);
      for (const value of Object.values(service.environment ?? {})) {
        const [, secret] = /^\/run\/secrets\/(.+)$/.exec(value) ?? [];
        if (secret !== undefined) expect(service.secrets).toContain(secret);
      }
    }
    for (const kind of ["secrets", "volumes", "networks"] as const) {
      expect([...used[kind]].toSorted(), kind).toEqual(Object.keys(compose[kind] ?? {}).toSorted());
    }
  });

  it("has versions of all images that are not built from here", () => {
    for (const { image = "" } of Object.values(compose.services)) {
      expect(image === "vestibule" || /^[a-z]+:\d+\.\d+/.test(image), image).toBe(true);
    }
  });
});

describe("two servers on Postgres", () => {
  const compose = composeOf("compose.postgres.yaml");
  const names = ["vestibule-1", "vestibule-2"];

  it("believe the network that Caddy is in, and it alone", () => {
    const [{ subnet } = { subnet: "" }] = compose.networks?.front?.ipam?.config ?? [];
    for (const name of names) {
      expect(compose.services[name]?.environment?.VESTIBULE_TRUSTED_PROXIES).toBe(subnet);
      expect(compose.services[name]?.ports).toBeUndefined();
    }
    expect(compose.services.caddy?.networks).toEqual(["front"]);
    expect(compose.services.postgres?.networks).toEqual(["back"]);
    expect(read("docs/deploying.md")).toContain(subnet);
  });

  it("start with what the page makes, and serve by the Caddyfile while one is replaced", async () => {
    const folder = makeFolder();
    const [block = ""] = readBlocks("docs/deploying.md", "sh");
    const made = await runProgram("bash", ["-euo", "pipefail", "-c", `mkdir deploy\n${block}`], {
      cwd: folder,
    });
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const secrets = join(folder, "deploy/secrets");
    expect([statSync(secrets).mode & 0o777, statSync(join(secrets, "vestibule.yaml")).mode & 0o777]).toEqual([
      0o700, 0o644,
    ]);
    const { database_url, encryption_key, ...settings } = parse(
      readFileSync(join(secrets, "vestibule.yaml"), "utf8"),
    );
    // The default, which Caddyfile and grace periods are written for.
    const config = { ...settings, shutdown: { grace: "5s" } };
    const { username, password, host, pathname } = new URL(database_url);
    const { environment = {} } = compose.services.postgres ?? {};
    expect({ host, username, pathname, password }).toEqual({
      host: "postgres",
      username: environment.POSTGRES_USER,
      pathname: `/${environment.POSTGRES_DB}`,
      password: readFileSync(join(secrets, "postgres-password"), "utf8"),
    });

    const state = await createState("postgres");
    onTestFinished(() => state.remove());
    const env = {
      VESTIBULE_ENCRYPTION_KEY: encryption_key,
      VESTIBULE_PUBLIC_URL: "https://auth.example.com",
      VESTIBULE_TRUSTED_PROXIES: "127.0.0.1",
    };
    const first = await startServer({ state, config, env });
    onTestFinished(() => first.kill());
    const second = await startServer({ state, config, env });
    onTestFinished(() => second.kill());
    const port = await findFreePort();
    const caddyfile = read("deploy/Caddyfile")
      .replace("{$VESTIBULE_HOST}", `http://127.0.0.1:${port}`)
      .replace("vestibule-1:7400 vestibule-2:7400", `127.0.0.1:${first.port} 127.0.0.1:${second.port}`);
    await using caddy = await startProxy("caddy", caddyfile, port);
    const token = () =>
      postJson({ ...first, url: caddy.url }, "/vestibule.v1.AuthService/AuthToken", {}, basic(first));
    await eventually(async () => expect((await token()).status).toBe(200));
    expect((await send(`${caddy.url}/metrics`)).status).toBe(404);
    expect((await send(`${first.url}/metrics`)).status).toBe(200);
    expect(await first.stop()).toBe(0);
    for (let count = 0; count < 10; count += 1) expect((await token()).status).toBe(200);
  }, 120_000);
});

describe("the unit", () => {
  const unit = read("deploy/vestibule.service");

  /** Where it is judged there is neither Node nor Vestibule in its place. */
  function writeUnit(content: string): string {
    const file = join(makeFolder(), "vestibule.service");
    writeFileSync(file, content.replace(/^(ExecStart=)\S+/m, `$1${process.execPath}`));
    return file;
  }

  it("starts the server as the image does", () => {
    const [, start = ""] = /^ExecStart=(.*)$/m.exec(unit) ?? [];
    expect(start).toBe(`/usr/bin/node ${v8Flags.join(" ")} /opt/vestibule/server/bin/vestibule.js serve`);
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(stopSeconds);
  });

  it("is one that systemd takes", async () => {
    expect(await analyzeUnit(["verify", writeUnit(unit)])).toMatchObject({ code: 0, stdout: "", stderr: "" });
    const wrong = unit.replace("ProtectSystem=strict", "ProtectSystem=very");
    expect((await analyzeUnit(["verify", writeUnit(wrong)])).stderr).toContain("protect system value");
  });

  it("is not exposed more than a server has to be", async () => {
    const judge = (content: string) =>
      analyzeUnit(["security", "--offline=yes", "--no-pager", "--threshold=15", writeUnit(content)]);
    expect(await judge(unit)).toMatchObject({ code: 0 });
    expect(await judge(unit.replace(/^DynamicUser=yes$/m, ""))).toMatchObject({ code: 1 });
  });
});
