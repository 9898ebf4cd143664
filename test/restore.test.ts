/**
 * A Postgres that is restored into another cluster: transactions are counted
 * from the beginning there, and what was given out since the backup is given
 * out again. What trusts such a number notices, and is never silent.
 */
import { createClient, type Transport } from "@connectrpc/connect";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { basic, postJson } from "./parts/http.ts";
import { startPostgres } from "./parts/postgres-server.ts";
import { restorePostgres } from "./parts/restore.ts";
import { openTransport, refusalOf } from "./parts/rpc.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const filter = { action: "service_user.create" };

async function create(server: TestServer): Promise<string> {
  const path = "/vestibule.v1.ServiceUserService/CreateServiceUser";
  const { json } = await postJson(server, path, { org_id: "default", body: {} }, basic(server));
  return json.serviceuser.id;
}

/**
 * Follows service users as they are made. What comes first, and now and then while nothing
 * happens, has no record: it says where to resume.
 */
function follow(server: TestServer, resumeToken = "") {
  const opened = openTransport(server.url, "gRPC", "h2c");
  const stop = new AbortController();
  const stream = createClient(AuditService, opened.transport as Transport)
    .tailAuditRecords({ ...filter, resumeToken }, { headers: basic(server), signal: stop.signal })
    [Symbol.asyncIterator]();
  return {
    async begin() {
      await stream.next();
    },
    async next() {
      for (;;) {
        const { record, resumeToken: token } = (await stream.next()).value;
        if (record !== undefined) return { id: record.target?.id as string, token: token as string };
      }
    },
    close() {
      stop.abort();
      opened[Symbol.dispose]();
    },
  };
}

describe("a Postgres restored into another cluster", () => {
  let state: ServerState;
  let server: TestServer;
  let tokens: { readonly kept: string; readonly lost: string };
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    state = await createState("postgres");
    ends.push(() => state.remove());
    await spendTransactions(state.databaseUrl ?? "", 5000);
    const before = await startServer({ state });
    ends.push(() => before.kill());
    const stream = follow(before);
    await stream.begin();
    await create(before);
    const kept = (await stream.next()).token;

    const cluster = await startPostgres();
    ends.push(() => cluster.stop());
    await restorePostgres(state.databaseUrl ?? "", cluster.url);
    await create(before);
    tokens = { kept, lost: (await stream.next()).token };
    stream.close();
    await before.kill();
    server = await startServer({ state: { ...state, databaseUrl: cluster.url } });
    ends.push(() => server.kill());
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  /** A new cluster counts from some hundreds; whoever needs a backup has counted for a while. */
  async function spendTransactions(url: string, count: number): Promise<void> {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(
      `do $$ begin for i in 1..${count} loop perform pg_current_xact_id(); commit; end loop; end $$`,
    );
    await client.end();
  }

  it("tells a stream that begins of what happens", async () => {
    const stream = follow(server);
    await stream.begin();
    const ids = [await create(server), await create(server)];
    expect([(await stream.next()).id, (await stream.next()).id]).toEqual(ids);
    stream.close();
  });

  it("goes on after a record that it has, without a gap", async () => {
    const stream = follow(server, tokens.kept);
    await stream.begin();
    const id = await create(server);
    for (let event = await stream.next(); event.id !== id; ) event = await stream.next();
    stream.close();
  });

  it("refuses to go on after one that it has not", async () => {
    const stream = follow(server, tokens.lost);
    const refusal = await refusalOf(stream.begin());
    expect(refusal.rawMessage).toContain("the database was restored");
    expect(refusal.code).toBe(9);
    stream.close();
  });
});
