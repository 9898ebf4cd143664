/** Whole servers behind pgbouncer in transaction mode, with its own defaults. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { basic, postJson } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { type Pooler, startPgbouncer } from "./parts/pgbouncer.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

let direct: ServerState;
let pooler: Pooler;
let one: TestServer;
let two: TestServer;

beforeAll(async () => {
  direct = await createState("postgres");
  pooler = await startPgbouncer(direct.databaseUrl ?? "", 4);
  const state = { ...direct, databaseUrl: pooler.url };
  one = await startServer({ state });
  two = await startServer({ state });
}, 120_000);
afterAll(async () => {
  await Promise.all([one?.stop(), two?.stop()]);
  await pooler?.stop();
  await direct?.remove();
});

const whoami = "/vestibule.v1.AuthService/GetCurrentUser";

it("sign people in, and know at both processes when they are out", async () => {
  const person = new Person(one);
  await person.signIn("ann@example.org");
  const elsewhere = new Person(two);
  for (const [name, value] of person.cookies) elsewhere.cookies.set(name, value);
  expect((await elsewhere.call("GetCurrentUser")).json.user.email).toBe("ann@example.org");
  expect((await person.call("AuthLogout")).status).toBe(200);
  // Nobody is notified in this mode: the other looks by itself.
  await expect
    .poll(async () => (await elsewhere.call("GetCurrentUser")).status, { timeout: 10_000 })
    .toBe(401);
});

it("answer more at once than there are sessions", async () => {
  const statuses = await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const server = index % 2 === 0 ? one : two;
      return (await postJson(server, whoami, {}, basic(one))).status;
    }),
  );
  expect(new Set(statuses)).toEqual(new Set([200]));
});
