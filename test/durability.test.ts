/** Acknowledged means durable: `kill -9` in the middle of a thousand writes, three times over. */
import { createClient, type Transport } from "@connectrpc/connect";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { expect, test } from "vitest";
import { basic } from "./parts/http.ts";
import { openTransport, ownClients } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const orgId = "default";
const wanted = 1000;
const concurrency = 64;

interface Acknowledged {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Runs `work` for each item, so many at a time. */
async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/**
 * Asks for a thousand credentials and kills the server once `killAfter` of
 * them have been acknowledged. Answers those that were, the ones that still
 * arrive included.
 */
async function createUntilKilled(server: TestServer, id: string, killAfter: number): Promise<Acknowledged[]> {
  const acknowledged: Acknowledged[] = [];
  let failed = 0;
  let killed: Promise<void> | undefined;
  using open = openTransport(server.url, "Connect binary", "h2c");
  const client = createClient(ServiceUserService, open.transport as Transport);
  const titles = Array.from({ length: wanted }, (_, index) => `${killAfter}-${index}`);
  await forEach(titles, async (title) => {
    try {
      const { secret } = await client.createServiceUserCredential(
        { id, orgId, title },
        { headers: basic(server) },
      );
      acknowledged.push({ clientId: secret?.id ?? "", clientSecret: secret?.secret ?? "" });
      if (acknowledged.length >= killAfter) killed ??= server.kill();
    } catch {
      failed += 1;
    }
  });
  await killed;
  expect(acknowledged.length).toBeGreaterThanOrEqual(killAfter);
  // It was in the middle: some were cut off.
  expect(failed).toBeGreaterThan(0);
  return acknowledged;
}

async function checkAll(
  server: TestServer,
  id: string,
  acknowledged: readonly Acknowledged[],
): Promise<void> {
  using open = openTransport(server.url, "Connect binary", "h2c");
  const { auth, serviceUsers } = ownClients(open.transport);
  const { secrets } = await serviceUsers.listServiceUserCredentials(
    { id, orgId },
    { headers: basic(server) },
  );
  const stored = new Set(secrets.map((secret) => secret.id));
  expect(acknowledged.filter(({ clientId }) => !stored.has(clientId))).toEqual([]);
  await forEach(acknowledged, async (credential) => {
    const granted = await auth.authToken({ grantType: "client_credentials", ...credential });
    expect(granted.tokenType).toBe("Bearer");
  });
}

test("every acknowledged credential outlives kill -9 and gives a token", async () => {
  let server = await startServer();
  const { state } = server;
  try {
    using open = openTransport(server.url, "Connect binary", "h2c");
    const made = await ownClients(open.transport).serviceUsers.createServiceUser(
      { orgId, body: { title: "durable" } },
      { headers: basic(server) },
    );
    const id = made.serviceuser?.id ?? "";
    const acknowledged: Acknowledged[] = [];
    for (const killAfter of [100, 400, 700]) {
      acknowledged.push(...(await createUntilKilled(server, id, killAfter)));
      server = await startServer({ state });
      await checkAll(server, id, acknowledged);
    }
    expect(await server.stop()).toBe(0);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}, 120_000);
