import { EventEmitter, once } from "node:events";
import { connect, constants } from "node:http2";
import { Code } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { registerService } from "../assembly/services.ts";
import type { NodeRequest, NodeResponse } from "../http/node-http.ts";
import { startEdge } from "./test-support.ts";
import { createTurns } from "./turns.ts";

const atOnce = 128;
const authToken = "/vestibule.v1.AuthService/AuthToken";
const json = { "content-type": "application/json", authorization: "Bearer good" };
const byAdapter = { ...json, "content-encoding": "identity" };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()?.();
});

/** An edge whose handlers work until each is told, and a connection to it. */
async function start() {
  /** Ends of what is worked on, in the order of its begin. */
  const ends: (() => void)[] = [];
  const work = async <T>(answer: T): Promise<T> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.push(resolve);
    await promise;
    return answer;
  };
  const edge = await startEdge({
    frontierMethods: [],
    routes: [{ method: "POST", path: "/plain", handle: () => work({ status: 204 }) }],
    services: [
      registerService(AuthService, {
        authToken: () => work({}),
        getCurrentUser: () => work({}),
        listAuthStrategies: () => ({}),
      }),
      registerService(FrontdoorAuthProviderService, {
        watchAuthProviders: async function* () {
          await work({});
          yield {};
        },
      }),
    ],
  });
  const session = connect(edge.http2);
  cleanups.push(edge.close, () => session.destroy());
  await once(session, "remoteSettings");
  const open = (path: string, headers: Record<string, string> = json) =>
    session.request({ ":method": "POST", ":path": path, ...headers }).on("error", () => {});
  const call = (path: string, headers?: Record<string, string>, body: string | Buffer = "{}") => {
    const stream = open(path, headers);
    if (headers?.[":method"] === "GET") stream.end();
    else stream.end(body);
    return stream;
  };
  const statusOf = async (stream: ReturnType<typeof open>) => (await once(stream, "response"))[0][":status"];
  /** Once the edge has taken in what was sent before. */
  const settle = async () => {
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => session.ping(resolve));
  };
  return { edge, ends, open, call, statusOf, settle };
}

/** An edge with as many calls as one connection may have worked on. */
async function startFull() {
  const started = await start();
  const calls = Array.from({ length: atOnce }, () => started.call(authToken));
  await eventually(() => expect(started.ends).toHaveLength(atOnce));
  return { ...started, calls };
}

const ways = [
  ["a direct call", authToken, json],
  ["a call of the adapter's", authToken, byAdapter],
  ["a call by REST", "/v1beta1/users/self", { ...json, ":method": "GET" }],
  ["a plain request", "/plain", {}],
] as const;

describe("beyond the requests that are worked on at once", () => {
  it.each(ways)("%s waits for its turn", async (_, path, headers) => {
    const { ends, call, statusOf, settle, calls } = await startFull();
    const stream = call(path, headers);
    await settle();
    expect(ends).toHaveLength(atOnce);
    ends[7]?.();
    expect(await statusOf(calls[7] as never)).toBe(200);
    await eventually(() => expect(ends).toHaveLength(atOnce + 1));
    ends[atOnce]?.();
    expect(await statusOf(stream)).toBeLessThan(300);
  });

  it.each(ways)("%s waits for the work of one that was reset", async (_, path, headers) => {
    const { ends, call, settle, calls } = await startFull();
    calls[0]?.close(constants.NGHTTP2_CANCEL);
    call(path, headers);
    await settle();
    expect(ends).toHaveLength(atOnce);
    ends[0]?.();
    await eventually(() => expect(ends).toHaveLength(atOnce + 1));
  });

  it.each(ways)("%s is dropped when it is reset, and told of once", async (_, path, headers) => {
    const { edge, ends, call, settle } = await startFull();
    const stream = call(path, headers);
    const other = call(authToken);
    await settle();
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => expect(edge.lines).toHaveLength(1));
    ends[0]?.();
    await eventually(() => expect(ends).toHaveLength(atOnce + 1));
    ends[atOnce]?.();
    await once(other, "response");
    expect(edge.lines.filter(({ code }) => code === "canceled")).toEqual([
      expect.objectContaining({ message: "request", path }),
    ]);
    expect(edge.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  it.each([
    ["a direct call", json],
    ["a call of the adapter's", byAdapter],
  ])("%s is out of time when its time is over, and holds no place then", async (_, headers) => {
    const { ends, call, statusOf, settle } = await startFull();
    expect(await statusOf(call(authToken, { ...headers, "connect-timeout-ms": "20" }))).toBe(504);
    ends[0]?.();
    await settle();
    expect(ends).toHaveLength(atOnce);
  });

  it("a call keeps its place when it was answered early", async () => {
    const { ends, call, statusOf, settle } = await start();
    const hurried = Array.from({ length: atOnce }, () =>
      statusOf(call(authToken, { ...json, "connect-timeout-ms": "200" })),
    );
    expect(await Promise.all(hurried)).toEqual(hurried.map(() => 504));
    const begun = ends.length;
    call(authToken);
    for (let more = begun; more < atOnce; more += 1) call(authToken);
    await eventually(() => expect(ends.length).toBeGreaterThanOrEqual(atOnce));
    await settle();
    expect(ends).toHaveLength(atOnce);
  });
});

/** Has work done by turns for requests of one connection, without one. */
function createWork() {
  const turnsOf = createTurns();
  const session = {};
  return <T>(work: () => T | Promise<T>) => {
    const stream = { session, destroyed: false, closed: false };
    const response = Object.assign(new EventEmitter(), { stream, destroyed: false, headersSent: false });
    const doWork = turnsOf({ stream } as unknown as NodeRequest, response as unknown as NodeResponse);
    return { response, done: doWork?.(work) };
  };
}

/** The same, with as much under way as there may be; the ends of that. */
function createFullWork() {
  const work = createWork();
  const ends: (() => void)[] = [];
  const wait = () => new Promise<void>((resolve) => ends.push(resolve));
  for (let each = 0; each < atOnce; each += 1) work(wait);
  return { work, wait, ends };
}

describe("work that waits for nothing", () => {
  it("holds no place, also where it fails", () => {
    const work = createWork();
    const fail = () => {
      throw new Error("not today");
    };
    for (let each = 0; each <= atOnce; each += 1) {
      expect(work(() => each).done).toBe(each);
      expect(() => work(fail)).toThrow("not today");
    }
  });

  it("has its turn however much of it there is, in the order in which it came", async () => {
    const { work, ends } = createFullWork();
    const begun: number[] = [];
    // More than a stack holds where the end of each begins the next.
    const waiting = Array.from({ length: 20_000 }, (_, each) => work(() => begun.push(each)).done);
    ends[0]?.();
    expect(await Promise.all(waiting)).toEqual(waiting.map((_, each) => each + 1));
    expect(begun).toEqual(waiting.map((_, each) => each));
  });

  it("leaves the places to what waits, one to each, be it between what fails and what is out of time", async () => {
    const { work, wait, ends } = createFullWork();
    const failing = work(() => {
      throw new Error("not today");
    });
    const late = work(() => "late");
    late.response.headersSent = true;
    work(wait);
    const last = work(() => "last");
    const settled = Promise.allSettled([failing.done, late.done]);
    ends[0]?.();
    expect(await settled).toEqual([
      { status: "rejected", reason: new Error("not today") },
      { status: "rejected", reason: expect.objectContaining({ code: Code.Canceled }) },
    ]);
    expect(ends).toHaveLength(atOnce + 1);
    // Whoever waits behind it waits for one more.
    ends[atOnce]?.();
    expect(await last.done).toBe("last");
  });
});

describe("no place is held by", () => {
  it("streams that have nothing to send", async () => {
    const { ends, call, statusOf } = await start();
    const message = '{"frontdoorId":"019a0000-0000-7000-8000-000000000001"}';
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);
    const headers = { ...json, "content-type": "application/connect+json" };
    const watch = "/vestibule.v1.FrontdoorAuthProviderService/WatchAuthProviders";
    for (let each = 0; each <= atOnce; each += 1) call(watch, headers, body);
    await eventually(() => expect(ends).toHaveLength(atOnce + 1));
    expect(await statusOf(call("/vestibule.v1.AuthService/ListAuthStrategies"))).toBe(200);
  });

  it("requests that have not come whole", async () => {
    const { open, call, statusOf, settle } = await start();
    for (let each = 0; each <= atOnce; each += 1) open(authToken).write("{");
    await settle();
    expect(await statusOf(call("/vestibule.v1.AuthService/ListAuthStrategies"))).toBe(200);
  });
});
