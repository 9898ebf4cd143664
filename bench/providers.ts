/** What administrators and frontends ask of a frontdoor: lists of any length, REST beside RPC, and watching. */
import { rmSync } from "node:fs";
import { compare } from "./parts/compare.ts";
import { quantile } from "./parts/distribution.ts";
import { callRest, createFrontdoor, toMachineHeaders } from "./parts/frontdoor.ts";
import type { PlainRequest } from "./parts/latency-load.ts";
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { costOf, sampleBoth } from "./parts/sample-both.ts";
import { findMiddle, namePrefix, seedProviders } from "./parts/seed-providers.ts";
import { type BenchServer, makeDataDir, startVestibule } from "./parts/servers.ts";

const few = 1_000;
const many = 1_000_000;
const pageSize = 20;
const watchers = 1000;
const service = "/vestibule.v1.FrontdoorAuthProviderService";

/** A server with one frontdoor full of providers. */
interface Place {
  readonly dataDir: string;
  readonly frontdoorId: string;
  readonly server: BenchServer;
  readonly headers: Record<string, string>;
}

/** Makes a database, fills it while nobody uses it, and hands it to a measurement. */
async function withProviders<T>(count: number, use: (place: Place) => Promise<T>): Promise<T> {
  const dataDir = makeDataDir();
  try {
    const first = await startVestibule({ dataDir });
    const frontdoorId = await createFrontdoor(first);
    await first.stop();
    seedProviders(dataDir, frontdoorId, count, Date.now());
    const server = await startVestibule({ dataDir });
    try {
      return await use({ dataDir, frontdoorId, server, headers: await toMachineHeaders(server) });
    } finally {
      await server.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const columns = {
  name: "name",
  type: "type",
  enabled: "enabled",
  createdAt: "created_at",
  updatedAt: "updated_at",
};
const filters = {
  unfiltered: { query: "", sql: "true" },
  "of one type": { query: "&type=OIDC", sql: "type = 'OIDC'" },
  disabled: { query: "&enabled=false", sql: "enabled = 0" },
};

function toGet({ frontdoorId, headers }: Place, query: string): PlainRequest {
  return { method: "GET", path: `/frontdoor/${frontdoorId}/auth-providers?${query}`, headers, body: "" };
}

/** The token that a list gives out in its middle: that of its first page, moved on. */
async function findMiddleToken(place: Place, list: string, column: string, filter: string): Promise<string> {
  const { path } = toGet(place, `${list}&page_token=`);
  const { nextPageToken } = await callRest<{ nextPageToken: string }>(
    place.server,
    "GET",
    path,
    place.headers,
  );
  const [check, page] = JSON.parse(Buffer.from(nextPageToken, "base64url").toString()) as [string, number];
  const { value, id } = findMiddle(place.dataDir, column, filter);
  return Buffer.from(JSON.stringify([check, page, value, id])).toString("base64url");
}

/** Every way to list: a page, a filter and an order, by name. */
async function toLists(place: Place): Promise<Record<string, PlainRequest[]>> {
  const lists: Record<string, PlainRequest[]> = {};
  for (const [filterName, { query, sql }] of Object.entries(filters)) {
    for (const [field, column] of Object.entries(columns)) {
      for (const direction of ["asc", "desc"]) {
        const list = `size=${pageSize}&sort=${column},${direction}${query}`;
        const first = await callRest<{ totalPages: number }>(
          place.server,
          "GET",
          toGet(place, list).path,
          place.headers,
        );
        const token = await findMiddleToken(place, list, column, sql);
        const order = `${filterName}|${field} ${direction}`;
        lists[`first page|${order}`] = [toGet(place, `${list}&page=0`)];
        lists[`last page|${order}`] = [toGet(place, `${list}&page=${first.totalPages - 1}`)];
        lists[`by cursor, in the middle|${order}`] = [toGet(place, `${list}&page_token=${token}`)];
      }
    }
  }
  return lists;
}

const toPorts = (places: { readonly few: Place; readonly many: Place }) => ({
  few: places.few.server.port,
  many: places.many.server.port,
});

/** Each way to list among a million beside the same among a thousand; of the orders, the worst. */
async function benchLists(load: LoadProcess, places: { few: Place; many: Place }): Promise<string[][]> {
  const groups = { few: await toLists(places.few), many: await toLists(places.many) };
  const taken = await sampleBoth(load, groups, toPorts(places), 40);
  const worst = new Map<string, { order: string; few: number; many: number }>();
  for (const name of Object.keys(groups.many)) {
    const [page = "", filter = "", order = ""] = name.split("|");
    const what = `${page}, ${filter}`;
    const found = { order, few: costOf(taken.few, name), many: costOf(taken.many, name) };
    const known = worst.get(what);
    if (known === undefined || found.many / found.few > known.many / known.few) worst.set(what, found);
  }
  return [...worst].map(([what, { order, few: fewMs, many: manyMs }]) => [
    `${what} (worst order: ${order})`,
    `${manyMs.toFixed(2)} ms`,
    `${fewMs.toFixed(2)} ms among 10³`,
    (manyMs / fewMs).toFixed(2),
    "≤ 1.3",
  ]);
}

/** Lists by a prefix of the name: what a hundred cost among a million, and how it goes on. */
async function benchPrefixes(load: LoadProcess, places: { few: Place; many: Place }): Promise<string[][]> {
  const prefixes = { 100: "00000", 1000: "0000", 10000: "000", 100000: "00" };
  const toGroups = (place: Place, most: number) =>
    Object.fromEntries(
      Object.entries(prefixes)
        .filter(([matches]) => Number(matches) <= most)
        .map(([matches, digits]) => [
          matches,
          [toGet(place, `size=${pageSize}&sort=name,asc&name=${namePrefix}${digits}`)],
        ]),
    );
  const groups = { few: toGroups(places.few, 100), many: toGroups(places.many, 100_000) };
  const taken = await sampleBoth(load, groups, toPorts(places), 8);
  const [fewMs, manyMs] = [costOf(taken.few, "100"), costOf(taken.many, "100")];
  const longest = costOf(taken.many, "100000");
  const tenth = costOf(taken.many, "10000");
  const ms = (value: number) => `${value.toFixed(2)} ms`;
  return [
    [
      "name prefix with 100 matches",
      ms(manyMs),
      `${ms(fewMs)} among 10³`,
      (manyMs / fewMs).toFixed(2),
      "≤ 1.3",
    ],
    [
      "name prefix with 10⁵ matches",
      ms(longest),
      `${ms(tenth)} with 10⁴`,
      (longest / tenth).toFixed(2),
      "≤ 10",
    ],
  ];
}

/** The same calls by REST and by Connect JSON. */
async function benchTranscoder(load: LoadProcess, place: Place): Promise<string[][]> {
  const { frontdoorId, headers } = place;
  const { port } = place.server;
  const { path } = toGet(place, `page=0&size=${pageSize}&sort=name,asc`);
  const list = await callRest<{ content: { id: string }[] }>(place.server, "GET", path, headers);
  const id = list.content[0]?.id;
  const calls = {
    list: {
      rest: path,
      method: "ListAuthProviders",
      message: { frontdoorId, page: 0, size: pageSize, sort: "name,asc" },
    },
    get: {
      rest: `/frontdoor/${frontdoorId}/auth-providers/${id}`,
      method: "GetAuthProvider",
      message: { frontdoorId, id },
    },
  };
  const rows: string[][] = [];
  for (const { rest, method, message } of Object.values(calls)) {
    const connections = 32;
    const { authorization = "" } = headers;
    const get = { port, method: "GET", path: rest, headers: { authorization }, body: "", connections };
    const body = JSON.stringify(message);
    const call = { port, method: "POST", path: `${service}/${method}`, headers, body, connections };
    await load.prepare({ kind: "http1", name: `${method} rest`, load: get });
    await load.prepare({ kind: "http1", name: `${method} rpc`, load: call });
    const [byRest, byRpc] = await compare(load, [`${method} rest`, `${method} rpc`]);
    if (!byRest || !byRpc || byRest.failures + byRpc.failures > 0) throw new Error("requests failed");
    const cost = (perSecond: number) => `${(1000 / perSecond).toFixed(3)} ms`;
    rows.push([
      `${method} by REST`,
      cost(byRest.perSecond),
      `${cost(byRpc.perSecond)} by Connect JSON`,
      (byRpc.perSecond / byRest.perSecond).toFixed(2),
      "≤ 1.15",
    ]);
  }
  return rows;
}

/** A thousand who watch one frontdoor with a page of providers. */
async function benchWatch(load: LoadProcess): Promise<string[][]> {
  const server = await startVestibule({ observed: true });
  try {
    const headers = await toMachineHeaders(server);
    const frontdoorId = await createFrontdoor(server);
    const path = `/frontdoor/${frontdoorId}/auth-providers`;
    let providerId = "";
    for (let index = 0; index < pageSize; index++) {
      const draft = { name: `provider ${index}`, type: "API_KEY", data: {} };
      providerId = (await callRest<{ id: string }>(server, "POST", path, headers, draft)).id;
    }
    const watching = { port: server.port, headers, frontdoorId, providerId };
    // What the first stream ever costs is not each one's.
    await load.prepare({ kind: "watch", name: "first", load: { ...watching, watchers: 20, connections: 1 } });
    await load.sample("first", 1);
    await load.closeLoad("first");
    const before = await askSettled(server);
    await load.prepare({ kind: "watch", name: "all", load: { ...watching, watchers, connections: 20 } });
    const kibEach = ((await askSettled(server)) - before) / watchers / 1024;
    await load.sample("all", 2);
    const { change = [] } = await load.sample("all", 20);
    const afterKib = ((await askSettled(server)) - before) / watchers / 1024;
    const ms = (q: number) => `${quantile(change, q).toFixed(0)} ms`;
    return [
      [`a change at ${watchers} watchers, 99th percentile`, ms(0.99), `${ms(0.5)} median`, "", "≤ 250 ms"],
      [
        "heap and external memory of each",
        `${kibEach.toFixed(1)} KiB`,
        `${afterKib.toFixed(1)} KiB after the changes`,
        "",
        "≤ 64 KiB",
      ],
    ];
  } finally {
    await server.stop();
  }
}

/** Bytes held once what was closed has gone. */
async function askSettled(server: Awaited<ReturnType<typeof startVestibule>>): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await server.ask("memory");
  return await server.ask("memory");
}

/** Auth providers, issue by issue. */
export async function benchProviders(): Promise<Section> {
  const load = new LoadProcess();
  try {
    const rows = await withProviders(few, async (small) => [
      ...(await withProviders(many, async (large) => {
        const places = { few: small, many: large };
        return [...(await benchLists(load, places)), ...(await benchPrefixes(load, places))];
      })),
      ...(await benchTranscoder(load, small)),
    ]);
    rows.push(...(await benchWatch(load)));
    return {
      title: "Providers",
      columns: ["what", "Vestibule", "against", "ratio", "aim"],
      rows,
      note: `Server on one core, load from another process on the second. Lists: ${pageSize} of 10⁶ providers of one frontdoor with totals, by REST, beside the same list of 10³ on another server, one connection, lower quartiles, both in turns; ten orders (five fields, both directions), of which the worst is shown. Watching: gRPC over 20 HTTP/2 connections, a change every half second, from sending the PATCH to its arrival.`,
    };
  } finally {
    load.close();
  }
}
