/**
 * Two servers on one Postgres, one of which loses it for a while and misses a
 * change: it refuses what it cannot know, answers nothing wrong, and is right
 * again once the database is back.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { type Relay, startRelay } from "./parts/relay.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const env = { VESTIBULE_PUBLIC_URL: "https://id.example.com" };
const serviceUsers = "/vestibule.v1.ServiceUserService";

/** For how long what is cached may be used without word from the database (contract §5), in milliseconds; then a second question or so. */
const confirmedForMs = 2000;

describe.each(["cut", "stall"] as const)("a Postgres whose connections are %s", (how) => {
  let state: ServerState;
  let relay: Relay;
  let there: TestServer;
  let here: TestServer;

  beforeAll(async () => {
    state = await createState("postgres");
    const url = new URL(state.databaseUrl ?? "");
    relay = await startRelay(Number(url.port));
    url.port = String(relay.port);
    there = await startServer({ state, env });
    here = await startServer({ state: { ...state, databaseUrl: url.href }, env });
  });
  afterAll(async () => {
    await Promise.all([here?.kill(), there?.kill()]);
    relay?.close();
    await state?.remove();
  });

  const call = (method: string, message: object) =>
    postJson(there, `${serviceUsers}/${method}`, message, basic(there));

  it("is refused, not answered for, and believed again when it is back", async () => {
    const { json: made } = await call("CreateServiceUser", { org_id: "default", body: { title: "m" } });
    const machine = { org_id: "default", id: made.serviceuser.id };
    const { json } = await call("CreateServiceUserCredential", machine);
    const secret = { clientId: json.secret.id, clientSecret: json.secret.secret };
    const granted = await postJson(here, "/vestibule.v1.AuthService/AuthToken", {}, basic(secret));
    const authorization = `Bearer ${granted.json.accessToken}`;
    const whoami = () => postJson(here, "/vestibule.v1.AuthService/GetCurrentUser", {}, { authorization });
    expect((await whoami()).status).toBe(200);
    // A connection that is lost amid a write keeps its rows locked until Postgres gives it up.
    await eventually(async () => {
      const { json: usage } = await call("GetServiceUserUsage", machine);
      expect(usage.days).toMatchObject([{ calls: 2 }]);
    });

    relay[how]();
    const lostAtMs = performance.now();
    const deleted = await call("DeleteServiceUserCredential", { ...machine, secret_id: secret.clientId });
    expect(deleted.status).toBe(200);

    // One question after the other: the last good answer, and how it goes on.
    let answer = await whoami();
    while (answer.status === 200) {
      expect(performance.now() - lostAtMs).toBeLessThan(confirmedForMs + 2000);
      answer = await whoami();
    }
    expect(answer).toMatchObject({ status: 503, json: { code: "unavailable" } });
    expect(answer.json.message).toBe("temporarily unavailable, try again");
    expect((await send(`${here.url}/healthz`)).status).toBe(200);
    // Now of all times they are read.
    expect((await send(`${here.url}/metrics`)).status).toBe(200);

    relay.mend();
    await expect
      .poll(
        async () => {
          const { status } = await whoami();
          expect(status).not.toBe(200);
          return status;
        },
        { timeout: 20_000, interval: 50 },
      )
      .toBe(401);
    expect((await postJson(here, "/vestibule.v1.AuthService/AuthToken", {}, basic(here))).status).toBe(200);
    expect((await postJson(here, `${serviceUsers}/GetServiceUser`, machine, basic(here))).status).toBe(200);
  }, 60_000);
});
