/** The commands of docs/backup.md, beside a server that is written to, and from each database into the other. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readBlocks } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { createState, runVestibule, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const folder = mkdtempSync(join(tmpdir(), "vestibule-backups-"));
const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

const passphraseFile = join(folder, "passphrase.txt");
writeFileSync(passphraseFile, "correct horse battery\n");

/** What is in a block of the page, as arguments, with files in the folder. */
function toArgs(block: string): string[] {
  return block
    .replace("npx vestibule ", "")
    .split(" ")
    .map((word) => (/\.(backup|txt)$/.test(word) ? join(folder, word) : word));
}

const blocks = readBlocks("docs/backup.md", "sh")
  .map((block) => block.trim())
  .filter((block) => block.startsWith("npx vestibule "));
const [backup = "", withKeys = "", verify = "", restore = "", keys = ""] = blocks;

async function create(server: TestServer): Promise<string> {
  const path = "/vestibule.v1.ServiceUserService/CreateServiceUser";
  const { json } = await postJson(server, path, { org_id: "default", body: {} }, basic(server));
  return json.serviceuser.id;
}

async function list(server: TestServer): Promise<string[]> {
  const found: string[] = [];
  let page_token = "";
  do {
    const path = "/vestibule.v1.ServiceUserService/ListServiceUsers";
    const { json } = await postJson(
      server,
      path,
      { org_id: "default", page_size: 100, page_token },
      basic(server),
    );
    found.push(...json.serviceusers.map(({ id }: { id: string }) => id));
    page_token = json.nextPageToken ?? "";
  } while (page_token !== "");
  return found;
}

/** Of the same credential, in a place of its own. */
async function createPlace(
  database: "sqlite" | "postgres",
  { clientId, clientSecret }: ServerState,
): Promise<ServerState> {
  const state = { ...(await createState(database)), clientId, clientSecret };
  ends.push(() => state.remove());
  return state;
}

async function run(
  args: readonly string[],
  state: ServerState,
  given: Parameters<typeof runVestibule>[2] = {},
) {
  const result = await runVestibule(args, state, given);
  expect(result, args.join(" ")).toMatchObject({ code: 0, stderr: "" });
  return result.stdout;
}

it("has the commands of the page", () => {
  expect(blocks.map((block) => block.replace("npx vestibule ", ""))).toEqual([
    "backup vestibule.backup",
    "backup with-keys.backup --with-keys --passphrase-file passphrase.txt",
    "backup verify vestibule.backup",
    "restore vestibule.backup",
    "backup keys with-keys.backup --passphrase-file passphrase.txt",
    "doctor",
  ]);
});

describe("a server on SQLite", () => {
  it("is backed up while it is written to, and goes on elsewhere, then on Postgres", async () => {
    // The same for all of them: tokens name it.
    const publicUrl = { VESTIBULE_PUBLIC_URL: "http://localhost:7400" };
    const server = await startServer({ env: publicUrl });
    ends.push(() => server[Symbol.asyncDispose]());
    const [before, meanwhile]: [string[], string[]] = [[], []];
    for (let count = 0; count < 20; count++) before.push(await create(server));
    const form = { ...basic(server), "content-type": "application/x-www-form-urlencoded" };
    const { json } = await postJson(server, "/oauth2/token", "grant_type=client_credentials", form);
    let isDone = false;
    const writing = (async () => {
      while (!isDone) meanwhile.push(await create(server));
    })();
    await run(toArgs(backup), server.state);
    await run(toArgs(withKeys), server.state);
    isDone = true;
    await writing;
    const after = await create(server);
    expect(await run(toArgs(verify), server.state)).toMatch(/: whole; made .* from sqlite, without keys/);
    expect(await run(["doctor"], server.state)).toContain("ok    backup: the last one is as of ");
    await eventually(async () => {
      const { text } = await send(`${server.url}/metrics`, { headers: basic(server) });
      const found = /^vestibule_last_backup_timestamp_seconds (\S+)$/m.exec(text)?.[1];
      expect(Number(found)).toBeGreaterThan(1e9);
    });

    const place = await createPlace("sqlite", server.state);
    // Without the keys there is nothing to restore for, and nothing is left of the attempt.
    const refused = await runVestibule(toArgs(restore), place);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("the backup is without keys") });
    expect(await runVestibule(["restore", join(folder, "with-keys.backup")], place)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /there is no .*encryption\.key, .* the backup has the keys: say --passphrase-file/,
      ),
    });
    const restoring = [join(folder, "with-keys.backup"), "--passphrase-file", passphraseFile];
    expect(await run(["restore", ...restoring], place)).toMatch(
      // The last backup is the one that was restored, not the one before that stands in it.
      /rows restored, as of (\S+)\n[\s\S]*ok {4}keys: match the database[\s\S]*the last one is as of \1\n/,
    );
    const elsewhere = await startServer({ state: place });
    const all = await list(elsewhere);
    await elsewhere.stop();
    expect(all).toEqual(expect.arrayContaining(before));
    expect(all).not.toContain(after);
    // What came meanwhile is there from the first to the last of one moment.
    const seen = meanwhile.filter((id) => all.includes(id));
    expect(seen).toEqual(meanwhile.slice(0, seen.length));

    // The keys as settings, which is how Postgres has them.
    const settings = await run(toArgs(keys), server.state);
    const read = (name: string) => JSON.parse(new RegExp(`${name}: (".*")`).exec(settings)?.[1] ?? "");
    const session = { hash_secret_key: read("hash_secret_key"), block_secret_key: read("block_secret_key") };
    const given = {
      env: { ...publicUrl, VESTIBULE_ENCRYPTION_KEY: read("encryption_key") },
      config: { authentication: { session } },
    };
    const big = await createPlace("postgres", server.state);
    await run(["restore", ...restoring], big, given);
    const onPostgres = await startServer({ state: big, ...given });
    ends.push(() => onPostgres.kill());
    expect((await list(onPostgres)).toSorted()).toEqual(all.toSorted());
    // A token from before is good there, and what is written comes after.
    const bearer = { authorization: `Bearer ${json.access_token}` };
    const path = "/vestibule.v1.ServiceUserService/ListServiceUsers";
    const listed = await postJson(onPostgres, path, { org_id: "default" }, bearer);
    expect(listed.status).toBe(200);
    const fresh = await create(onPostgres);
    const records = await postJson(
      onPostgres,
      "/vestibule.v1.AuditService/ListAuditRecords",
      { action: "service_user.create", page_size: 1 },
      basic(onPostgres),
    );
    expect(records.json.records[0].target.id).toBe(fresh);
  }, 180_000);

  it("takes keys out of a backup once all rows are there: killed before, it leaves none", async () => {
    const from = await createPlace("sqlite", await createState("sqlite"));
    const server = await startServer({ state: from });
    await server.stop();
    const file = join(folder, "slow.backup");
    await run(["backup", file, "--with-keys", "--passphrase-file", passphraseFile], from);
    const place = await createPlace("sqlite", from);
    const pipe = join(folder, "slow.pipe");
    execFileSync("mkfifo", [pipe]);
    const bytes = readFileSync(file);
    const restored = run(["restore", pipe, "--passphrase-file", passphraseFile], place);
    // It is read to its end before anything is made, and then once more.
    await writeFile(pipe, bytes);
    await eventually(() => expect(readdirSync(place.dataDir)).toContain("vestibule.db.lock"));
    const second = await open(pipe, "w");
    await second.write(bytes.subarray(0, bytes.length / 2));
    expect(readdirSync(place.dataDir).filter((name) => name.endsWith(".key"))).toEqual([]);
    await second.writeFile(bytes.subarray(bytes.length / 2));
    await second.close();
    expect(await restored).toMatch(/ok {4}keys: match the database/);
    expect(readdirSync(place.dataDir)).toContain("encryption.key");
  });

  it("ends the sessions of everybody where that is asked for", async () => {
    const server = await startServer();
    ends.push(() => server[Symbol.asyncDispose]());
    const form = { ...basic(server), "content-type": "application/x-www-form-urlencoded" };
    const { json } = await postJson(server, "/oauth2/token", "grant_type=client_credentials", form);
    const path = join(folder, "ending.backup");
    await run(["backup", path, "--with-keys", "--passphrase-file", passphraseFile], server.state);
    const place = await createPlace("sqlite", server.state);
    await run(["restore", path, "--end-sessions", "--passphrase-file", passphraseFile], place);
    const elsewhere = await startServer({ state: place });
    ends.push(() => elsewhere.kill());
    const bearer = { authorization: `Bearer ${json.access_token}` };
    const list = "/vestibule.v1.ServiceUserService/ListServiceUsers";
    expect((await postJson(elsewhere, list, { org_id: "default" }, bearer)).status).toBe(401);
    expect((await postJson(elsewhere, list, { org_id: "default" }, basic(elsewhere))).status).toBe(200);
  }, 120_000);

  it("refuses what makes no sense, and changes nothing", async () => {
    const state = await createState("sqlite");
    ends.push(() => state.remove());
    const cases: [string[], RegExp][] = [
      [["backup"], /backup <file>/],
      [["backup", "verify"], /backup verify <file>/],
      [["backup", "keys", "--passphrase-file", passphraseFile], /backup keys <file>/],
      [["backup", join(folder, "x"), "--passphrase-file", passphraseFile], /say --with-keys as well/],
      [["backup", join(folder, "x")], /there is no database yet/],
      [["backup", join(folder, "x"), "--with-keys"], /a passphrase is needed/],
      [
        ["backup", join(folder, "x"), "--with-keys", "--passphrase-file", folder],
        /cannot be read, got EISDIR/,
      ],
      [["backup", "verify", join(folder, "x")], /is not there/],
      [["backup", "verify", passphraseFile], /is damaged, or no backup/],
      [["backup", "check", passphraseFile], /expected one file, verify or keys/],
      [["restore"], /restore <file>/],
      [["restore", join(folder, "x")], /is not there/],
      [["restore", join(folder, "x"), "--force"], /unknown option/i],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runVestibule(args, state);
      expect({ args, code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
    }
  }, 60_000);
});
