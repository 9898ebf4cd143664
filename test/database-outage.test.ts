/** A database that goes away under a running server, and comes back. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

/** Passes connections on to a database, until it is told to cut or to silence them. */
class Wire implements AsyncDisposable {
  readonly #target: URL;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #state: "open" | "cut" | "silent" = "open";

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const url = new URL(this.#target);
    url.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** Connections there are and later ones end at once. */
  cut(): void {
    this.#state = "cut";
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Nothing is passed on any more, and nobody is told. */
  silence(): void {
    this.#state = "silent";
    for (const socket of this.#sockets) socket.pause().unpipe();
  }

  /** Silent connections end; new ones are passed on. */
  mend(): void {
    this.cut();
    this.#state = "open";
  }

  #accept(client: Socket): void {
    this.#keep(client);
    if (this.#state === "cut") client.destroy();
    if (this.#state !== "open") return;
    const { hostname, port } = this.#target;
    const database = connect(Number(port), hostname);
    this.#keep(database);
    client.pipe(database).pipe(client);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

describe.each(["cut", "silence"] as const)("a database that went away (%s)", (how) => {
  let state: ServerState;
  let wire: Wire;
  let server: TestServer;

  beforeAll(async () => {
    state = await createState("postgres");
    wire = new Wire(state.databaseUrl ?? "");
    server = await startServer({ state: { ...state, databaseUrl: await wire.listen() } });
  });
  afterAll(async () => {
    await server?.kill();
    await wire?.[Symbol.asyncDispose]();
    await state?.remove();
  });

  const rpc = (method: string, message: object, headers: object) =>
    postJson(server, `/vestibule.v1.${method}`, message, { ...headers });
  const takeToken = (requestId: string) =>
    send(`${server.url}/oauth2/token`, {
      headers: {
        ...basic(server),
        "content-type": "application/x-www-form-urlencoded",
        "x-request-id": requestId,
      },
      body: "grant_type=client_credentials",
    });

  const codesOf = async (...asked: Promise<Answer>[]): Promise<(number | string)[]> =>
    (await Promise.all(asked)).flatMap(({ status, json }) =>
      status === 200 ? [status] : [status, json.code],
    );
  /** What each surface answers: a read by token, a change, and a wrong secret. */
  const askRead = (bearer: object) => codesOf(rpc("AuthService/GetCurrentUser", {}, bearer));
  const askOthers = () =>
    codesOf(
      rpc("ServiceUserService/CreateServiceUser", { org_id: "default" }, basic(server)),
      rpc("AuthService/GetCurrentUser", {}, basic({ ...server, clientSecret: "wrong" })),
    );
  const ask = async (bearer: object) => (await Promise.all([askRead(bearer), askOthers()])).flat();

  it("refuses rather than guesses, says so, and is found again without a restart", {
    timeout: 60_000,
  }, async () => {
    const granted = await takeToken("before");
    const bearer = { authorization: `Bearer ${granted.json.access_token}` };
    const good = [200, 200, 401, "unauthenticated"];
    expect(await ask(bearer)).toEqual(good);

    wire[how]();
    // What is known to be up to date is used for two seconds more; what it leaves in the audit waits.
    expect((await takeToken("meanwhile")).status).toBe(200);
    const away = [503, "unavailable", 503, "unavailable"];
    let refused: Answer | undefined;
    const untilRefused = async () => {
      refused = await takeToken("refused");
      return refused.status;
    };
    const asked = askOthers();
    await expect.poll(untilRefused, { timeout: 20_000 }).toBe(503);
    expect(await askRead(bearer)).toEqual([503, "unavailable"]);
    expect(await asked).toEqual(away);
    expect(refused?.json).toEqual({
      error: "temporarily_unavailable",
      error_description: "temporarily unavailable, try again",
    });
    expect(refused?.headers["cache-control"]).toBe("no-store");
    expect((await send(`${server.url}/healthz`)).status).toBe(200);

    wire.mend();
    await expect.poll(() => ask(bearer), { timeout: 20_000 }).toEqual(good);
    expect((await takeToken("after")).status).toBe(200);
    const find = async (request_id: string) =>
      (await rpc("AuditService/ListAuditRecords", { request_id }, basic(server))).json.records;
    for (const requestId of ["before", "meanwhile", "after"]) {
      const record = { action: "token.issue", result: "success", requestId };
      await expect.poll(() => find(requestId), { timeout: 5000 }).toMatchObject([record]);
    }
  });
});
