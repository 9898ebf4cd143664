/** The commands of docs/moving.md: from SQLite to Postgres and back, while somebody is signed in at a browser. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { Browser, Page } from "playwright-core";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { systemClock } from "../server/src/lib/clock.ts";
import { copyDatabase } from "../server/src/moving/copy.ts";
import { CopyError } from "../server/src/moving/errors.ts";
import { launchBrowser } from "./parts/browser.ts";
import { readBlocks } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { heading, signIn } from "./parts/pages.ts";
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

const folder = mkdtempSync(join(tmpdir(), "vestibule-moving-"));
const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

const blocks = readBlocks("docs/moving.md", "sh").map((block) => block.trim().replace("npx vestibule ", ""));

/** What is in a block of the page, as arguments, with files in the folder. */
const toArgs = (block: string) =>
  block.split(" ").map((word) => (/\.(yaml|txt)$/.test(word) ? join(folder, word) : word));

type Options = Parameters<typeof runVestibule>[2];

async function run(args: readonly string[], state: ServerState, given: Options = {}): Promise<string> {
  const result = await runVestibule(args, state, given);
  expect(result, args.join(" ")).toMatchObject({ code: 0, stderr: "" });
  return result.stdout;
}

/** Another state of the same credential. */
async function createPlace(
  database: "sqlite" | "postgres",
  { clientId, clientSecret }: ServerState,
): Promise<ServerState> {
  const state = { ...(await createState(database)), clientId, clientSecret };
  ends.push(() => state.remove());
  return state;
}

/** Rows and sums by table, as the command prints them. */
function readSums(printed: string): Record<string, string> {
  const lines = printed.matchAll(/^(\w+)\t(\d+\t[0-9a-f]{32})$/gm);
  return Object.fromEntries([...lines].map(([, table, sum]) => [table, sum]));
}

async function create(server: TestServer): Promise<string> {
  const path = "/vestibule.v1.ServiceUserService/CreateServiceUser";
  const { json } = await postJson(server, path, { org_id: "default", body: {} }, basic(server));
  return json.serviceuser.id;
}

async function list(server: TestServer): Promise<string[]> {
  const path = "/vestibule.v1.ServiceUserService/ListServiceUsers";
  const { json } = await postJson(server, path, { org_id: "default", page_size: 100 }, basic(server));
  return json.serviceusers.map(({ id }: { id: string }) => id);
}

it("has the commands of the page", () => {
  expect(blocks).toEqual(["copy --to-file address.txt --keys keys.yaml", "doctor", "copy --take-back"]);
});

describe("a move", () => {
  let browser: Browser;
  let page: Page;

  it("keeps everybody signed in, from SQLite to Postgres and back", async () => {
    const [copy = "", doctor = "", takeBack = ""] = blocks;
    const port = await findFreePort();
    const url = `http://localhost:${port}`;
    const env = { VESTIBULE_PUBLIC_URL: url };
    const first = await startServer({ env, port });
    ends.push(() => first[Symbol.asyncDispose]());
    browser = await launchBrowser();
    ends.push(() => browser.close());
    page = await browser.newPage();
    await page.goto(`${url}/login`);
    await signIn(first, page, "ada@example.com");
    const id = await create(first);
    const form = { ...basic(first), "content-type": "application/x-www-form-urlencoded" };
    const token = await postJson(first, "/oauth2/token", "grant_type=client_credentials", form);
    const bearer = { authorization: `Bearer ${token.json.access_token}` };

    // Beside the running server.
    const onPostgres = await createPlace("postgres", first.state);
    writeFileSync(join(folder, "address.txt"), `${onPostgres.databaseUrl}\n`);
    const refused = await runVestibule(["copy", "--to-file", join(folder, "address.txt")], first.state);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/a server is running on sqlite:.*--online/),
    });
    const printed = await run([...toArgs(copy), "--online"], first.state, { env });
    expect(printed).toMatch(
      /copied to postgres:\/\/\S+: \d+ rows of \d+ tables, each as it is here; nobody could write/,
    );
    expect(Object.keys(readSums(printed)).length).toBeGreaterThan(40);
    const password = new URL(onPostgres.databaseUrl ?? "").password;
    if (password !== "") expect(printed).not.toContain(password);

    // The server that was left says so, and nothing else.
    await eventually(async () => {
      expect((await send(`${first.url}/healthz`)).status).toBe(503);
      const path = "/vestibule.v1.ServiceUserService/ListServiceUsers";
      expect((await postJson(first, path, { org_id: "default" }, basic(first))).json.code).toBe(
        "unavailable",
      );
    });
    await first.stop();
    const left = await runVestibule(["serve"], first.state, { env });
    expect(left).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/the database was moved to postgres:/),
    });
    const told = await runVestibule(["doctor"], first.state, { env });
    expect(told).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/FAIL {2}database: .* was moved to postgres:/),
    });

    const keys = join(folder, "keys.yaml");
    expect(statSync(keys).mode & 0o777).toBe(0o600);
    const { encryption_key, authentication } = parse(readFileSync(keys, "utf8"));
    const given = { env: { ...env, VESTIBULE_ENCRYPTION_KEY: encryption_key }, config: { authentication } };
    expect(await run([doctor], onPostgres, given)).toContain("ok    keys: match the database");
    const second = await startServer({ state: onPostgres, port, ...given });
    ends.push(() => second.kill());
    await page.goto(`${url}/account`);
    expect([page.url(), await heading(page)]).toEqual([`${url}/account`, "Your account"]);
    expect(await list(second)).toContain(id);
    const another = await create(second);
    await second.stop();

    // And back, to a file; the keys stay where they are.
    const back = await createPlace("sqlite", first.state);
    const file = join(back.dataDir, "vestibule.db");
    const sums = readSums(
      await run(["copy", "--to-env", "NEW_PLACE"], onPostgres, {
        ...given,
        env: { ...given.env, NEW_PLACE: `sqlite:${file}` },
      }),
    );
    const third = await startServer({ state: back, port, ...given });
    ends.push(() => third.kill());
    await page.goto(`${url}/account`);
    expect([page.url(), await heading(page)]).toEqual([`${url}/account`, "Your account"]);
    expect(await list(third)).toEqual(expect.arrayContaining([id, another]));
    const path = "/vestibule.v1.ServiceUserService/ListServiceUsers";
    expect((await postJson(third, path, { org_id: "default" }, bearer)).status).toBe(200);
    await third.stop();
    expect(Object.keys(sums).length).toBeGreaterThan(40);

    // The place it went through is as it was left.
    expect(await run(toArgs(takeBack), onPostgres, given)).toMatch(/servers take this database again/);
    const fourth = await startServer({ state: onPostgres, port, ...given });
    ends.push(() => fourth.kill());
    expect(await list(fourth)).toEqual(expect.arrayContaining([id, another]));
  }, 240_000);

  it("has the same sums there and back", async () => {
    const server = await startServer();
    ends.push(() => server[Symbol.asyncDispose]());
    for (let count = 0; count < 10; count++) await create(server);
    await server.stop();
    const place = await createPlace("postgres", server.state);
    const keys = join(folder, "sums.yaml");
    const there = readSums(
      await run(["copy", "--to", place.databaseUrl ?? "", "--keys", keys], server.state),
    );
    const { encryption_key, authentication } = parse(readFileSync(keys, "utf8"));
    const given = { env: { VESTIBULE_ENCRYPTION_KEY: encryption_key }, config: { authentication } };
    const to = `sqlite:${join(folder, "back/vestibule.db")}`;
    const back = readSums(await run(["copy", "--to", to], place, given));
    // Each move adds the change by which running servers hear of it.
    const { changes: _, ...rest } = there;
    expect(back).toMatchObject(rest);
  }, 120_000);
});

describe("a copy", () => {
  it("that is killed goes on, and one that is interrupted says so", async () => {
    const server = await startServer();
    ends.push(() => server[Symbol.asyncDispose]());
    await server.stop();
    const place = await createTestDatabase();
    ends.push(() => place.drop());
    // So far that the tables are there.
    const from = `sqlite:${join(server.state.dataDir, "vestibule.db")}`;
    const onProgress = () => {
      throw new CopyError("far enough");
    };
    const parts = { isOnline: false, verifyKeys: async () => {}, clock: systemClock, onProgress };
    await expect(copyDatabase({ from, to: place.url, ...parts })).rejects.toThrow("far enough");

    const holder = new pg.Client(place.url);
    await holder.connect();
    ends.push(() => holder.end());
    const waiting = `select count(*)::int as n from pg_locks
      where not granted and database = (select oid from pg_database where datname = current_database())`;
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      await holder.query("begin; lock table organizations in exclusive mode");
      const started = Promise.withResolvers<Parameters<OnStarted>[0]>();
      const running = runVestibule(["copy", "--to", place.url], server.state, { onStarted: started.resolve });
      const send = await started.promise;
      await eventually(async () => expect((await holder.query(waiting)).rows[0].n).toBe(1));
      send(signal);
      if (signal === "SIGKILL") expect((await running).code).toBeNull();
      await holder.query("rollback");
      if (signal === "SIGINT") {
        expect(await running).toMatchObject({
          code: 1,
          stderr: expect.stringMatching(/^vestibule: interrupted by SIGINT: copy again, and it goes on/),
        });
      }
      expect(await run(["doctor"], server.state)).toMatch(/warn {2}database: a copy of it to postgres:/);
    }
    expect(await run(["copy", "--to", place.url], server.state)).toMatch(/copied to postgres:/);
  }, 120_000);

  it("that makes no sense is refused", async () => {
    const state = await createState("sqlite");
    ends.push(() => state.remove());
    const there = join(folder, "there");
    mkdirSync(there, { recursive: true });
    const cases: [string[], RegExp][] = [
      [["copy"], /copy --to <address>/],
      [["copy", "--online"], /copy --to <address>/],
      [["copy", "there"], /unexpected argument/i],
      [["copy", "--to", "mysql://ada:canary@db/x"], /the address of the target must be sqlite:/],
      [["copy", "--to", "sqlite:x", "--to-env", "X"], /three ways to say one thing/],
      [["copy", "--to-env", "NOT_THERE"], /no environment variable NOT_THERE/],
      [["copy", "--to-file", there], /cannot be read, got EISDIR/],
      [["copy", "--to", `sqlite:${join(there, "x.db")}`], /there is nothing to copy/],
      [["copy", "--keys", join(there, "keys.yaml")], /encryption.key: is missing/],
      [["copy", "--take-back"], /nothing to take back/],
      [["copy", "--take-back", "--online"], /stands alone/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runVestibule(args, state);
      expect({ args, code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
      expect(stderr).not.toContain("canary");
    }
    // A target that nobody answers at: neither its password, nor anything begun at the source.
    const server = await startServer();
    ends.push(() => server[Symbol.asyncDispose]());
    await server.stop();
    const nobody = `postgres://ada:canary@127.0.0.1:${await findFreePort()}/x`;
    const refused = await runVestibule(["copy", "--to", nobody], server.state);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/the target: .*nothing answers/),
    });
    expect(refused.stderr).not.toContain("canary");
    // A file of keys is not written over another.
    const keys = join(there, "other.yaml");
    writeFileSync(keys, "others'");
    const kept = await runVestibule(["copy", "--keys", keys], server.state);
    expect(kept).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is there already, and is not overwritten/),
    });
    expect(readFileSync(keys, "utf8")).toBe("others'");
    // The same command again, though, finds what it has written.
    const own = join(there, "own.yaml");
    for (let run = 0; run < 2; run++)
      expect(await runVestibule(["copy", "--keys", own], server.state)).toMatchObject({ code: 0 });
    // Not where others may read it, or what is there is no file.
    chmodSync(own, 0o640);
    const link = join(there, "link.yaml");
    symlinkSync("/dev/zero", link);
    for (const path of [own, link]) {
      const others = await runVestibule(["copy", "--keys", path], server.state);
      expect(others).toMatchObject({ code: 1, stderr: expect.stringMatching(/is there already/) });
    }
  }, 120_000);
});
