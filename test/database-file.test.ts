/** A database file that goes from its place under a running server, and one that is not there at a start. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { runVestibule, startServer, type TestServer } from "./parts/server.ts";
import { createUsedState } from "./parts/used-state.ts";

const files = ["vestibule.db", "vestibule.db-wal", "vestibule.db-shm"];

const create = (server: TestServer, title: string) =>
  postJson(
    server,
    "/vestibule.v1.ServiceUserService/CreateServiceUser",
    { org_id: "default", body: { title } },
    basic(server),
  );

function move(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    if (files.includes(name)) renameSync(join(from, name), join(to, name));
  }
}

describe("a database file that is moved away", () => {
  it("takes no acknowledged write with it, and is served again when it is back", async () => {
    await using server = await startServer();
    const { dataDir } = server.state;
    const away = join(dataDir, "away");
    mkdirSync(away);
    expect((await create(server, "before")).status).toBe(200);

    // Writes without a pause, and the file goes from under them.
    const acknowledged: string[] = [];
    let refused = 0;
    const writing = (async () => {
      for (let count = 0; refused < 5; count++) {
        const { status, json } = await create(server, `write ${count}`);
        if (status === 200) acknowledged.push(`write ${count}`);
        else {
          expect({ status, code: json.code }).toEqual({ status: 503, code: "unavailable" });
          refused += 1;
        }
      }
    })();
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(5));
    move(dataDir, away);
    await writing;
    const file = new Sqlite(join(away, "vestibule.db"));
    const kept = file.prepare("select title from service_users").all() as { title: string }[];
    file.close();
    expect(kept.map(({ title }) => title)).toEqual(expect.arrayContaining(acknowledged));

    await eventually(async () => {
      expect(await send(`${server.url}/healthz`)).toMatchObject({
        status: 503,
        json: { status: "NOT_SERVING" },
      });
    });
    const health = await postJson(server, "/grpc.health.v1.Health/Check", {});
    expect(health.json).toEqual({ status: "NOT_SERVING" });
    expect(server.stdout() + server.stderr()).toContain("the database file is gone or another one");

    move(away, dataDir);
    await eventually(async () => expect((await send(`${server.url}/healthz`)).status).toBe(200));
    expect((await create(server, "after")).status).toBe(200);
  });
});

describe("an empty database beside keys that sealed another", () => {
  it.each(["missing", "empty"])("is refused by every command, and doctor says so: %s", async (how) => {
    const state = await createUsedState();
    const path = join(state.dataDir, "vestibule.db");
    const away = join(state.dataDir, "away");
    mkdirSync(away);
    const lose = () => {
      for (const name of files) rmSync(join(state.dataDir, name), { force: true });
      if (how === "empty") new Sqlite(path).exec("vacuum").close();
    };
    move(state.dataDir, away);
    lose();
    const said = `${path}: is ${how}, and the encryption key has sealed another database: put that one in its place`;
    const doctor = await runVestibule(["doctor"], state);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout).toContain(`FAIL  database: ${said}`);
    const keys = readFileSync(join(state.dataDir, "encryption.key"), "utf8");
    for (const command of ["serve", "migrate"]) {
      lose();
      const refused = await runVestibule([command], state);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(said);
    }
    expect(readFileSync(join(state.dataDir, "encryption.key"), "utf8")).toBe(keys);

    lose();
    rmSync(path, { force: true });
    move(away, state.dataDir);
    expect((await runVestibule(["doctor"], state)).code).toBe(0);
    const server = await startServer({ state });
    expect((await create(server, "again")).status).toBe(200);
    await server.stop();
  });

  it("is begun with when the note is removed, or with another key", async () => {
    const state = await createUsedState();
    const lose = () => {
      for (const name of files) rmSync(join(state.dataDir, name), { force: true });
    };
    lose();
    const env = { VESTIBULE_ENCRYPTION_KEY: Buffer.alloc(32, "other").toString("base64url") };
    expect((await runVestibule(["migrate"], state, { env })).code).toBe(0);
    lose();
    expect((await runVestibule(["migrate"], state)).code).toBe(1);
    lose();
    rmSync(join(state.dataDir, "encryption.used"));
    expect((await runVestibule(["migrate"], state)).code).toBe(0);
  });
});
