/** The gate while its database is away, under load: what is in memory is good for two seconds, then nobody comes in. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { send } from "./parts/http.ts";
import { type Relay, startRelay } from "./parts/relay.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

let state: ServerState;
let relay: Relay;
let server: TestServer;
let frontdoor: TestFrontdoor;
beforeAll(async () => {
  state = await createState("postgres");
  const url = new URL(state.databaseUrl ?? "");
  relay = await startRelay(Number(url.port));
  url.port = String(relay.port);
  server = await startServer({
    state: { ...state, databaseUrl: url.href },
    config: { gate: { reason_header: true } },
  });
  frontdoor = await createFrontdoor(server, { hostname: "app.example.com", scheme: "https" });
});
afterAll(async () => {
  relay?.mend();
  await server?.kill();
  relay?.close();
  await state?.remove();
});

/** An answer, and how long after the outage began it was asked for, in milliseconds. */
interface Told {
  readonly askedAtMs: number;
  readonly tookMs: number;
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly subject: string | undefined;
}

async function ask(token: string, dialect: "nginx" | "forward-auth", beganAtMs: number): Promise<Told> {
  const askedAtMs = performance.now() - beganAtMs;
  const { status, headers } = await send(`${server.url}/frontdoor/${frontdoor.id}/gate/${dialect}`, {
    headers: {
      "x-vestibule-proxy-token": frontdoor.proxyToken,
      "x-original-url": "https://app.example.com/app",
      "x-original-method": "GET",
      "x-forwarded-method": "GET",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "app.example.com",
      "x-forwarded-uri": "/app",
      authorization: `Bearer ${token}`,
    },
  });
  const [retryAfter, subject] = [headers["retry-after"], headers["x-vestibule-subject"]].map((value) =>
    value?.toString(),
  );
  const tookMs = performance.now() - beganAtMs - askedAtMs;
  return { askedAtMs, tookMs, status, retryAfter, subject };
}

describe.each(["cut", "stall"] as const)("a database that went away (%s)", (how) => {
  it("lets nobody in once memory is too old, and everybody again when it is back", async () => {
    const known = await frontdoor.signToken();
    expect((await ask(known, "nginx", 0)).status).toBe(200);
    const beganAtMs = performance.now();
    relay[how]();
    const told: Told[] = [];
    const askOn = async (dialect: "nginx" | "forward-auth", isKnown: boolean) => {
      while (performance.now() - beganAtMs < 7_000) {
        const token = isKnown ? known : await frontdoor.signToken();
        told.push(await ask(token, dialect, beganAtMs));
        await sleep(20);
      }
    };
    await Promise.all([
      askOn("nginx", true),
      askOn("forward-auth", true),
      askOn("nginx", false),
      askOn("forward-auth", false),
    ]);
    const late = told.filter(({ askedAtMs }) => askedAtMs > 2_100);
    expect(late.length).toBeGreaterThan(2);
    for (const each of late) {
      expect(each).toMatchObject({
        status: 503,
        retryAfter: expect.stringMatching(/^\d+$/),
        subject: undefined,
      });
    }
    for (const { status, tookMs } of told) {
      expect([200, 503]).toContain(status);
      // Proxies wait for ten seconds.
      expect(tookMs).toBeLessThan(9_500);
    }

    relay.mend();
    await expect.poll(async () => (await ask(known, "nginx", 0)).status, { timeout: 20_000 }).toBe(200);
  }, 60_000);
});
