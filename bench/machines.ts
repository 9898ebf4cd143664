/** What machines ask all day: tokens, who they are, the key set; each beside the bare limit of its transport. */
import { hash } from "node:crypto";
import { rmSync } from "node:fs";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { AuthTokenRequestSchema } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { compareCalls, type HalfLoad, type HalfLoads } from "./parts/calls.ts";
import { compare, type Result } from "./parts/compare.ts";
import { LoadProcess, residentMib } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { seedMachines, toClientId } from "./parts/seed-machines.ts";
import {
  type BenchServer,
  clientId,
  clientSecret,
  findFreePort,
  makeDataDir,
  startContender,
  startVestibule,
} from "./parts/servers.ts";

const connections = 32;
const few = 1_000;
const many = 1_000_000;
/** How many requests memory is watched over, and after how many it is first looked at. */
const [allRequests, firstRequests] = [1_000_000, 100_000];
const json = { "content-type": "application/json" };
const form = { "content-type": "application/x-www-form-urlencoded" };
const tokenRequest = create(AuthTokenRequestSchema, {
  grantType: "client_credentials",
  clientId,
  clientSecret,
});
const tokenForm = toTokenForm(clientId);
const authTokenPath = "/vestibule.v1.AuthService/AuthToken";

interface Servers {
  readonly ours: BenchServer;
  readonly bareHttp: BenchServer;
  readonly bareConnect: BenchServer;
  readonly bareH2Port: number;
  readonly oidcProvider: BenchServer;
}

function toTokenForm(id: string): string {
  const grant = { grant_type: "client_credentials", client_id: id, client_secret: clientSecret };
  return new URLSearchParams(grant).toString();
}

async function fetchToken(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${authTokenPath}`, {
    method: "POST",
    headers: json,
    body: toJsonString(AuthTokenRequestSchema, tokenRequest),
  });
  return ((await answer.json()) as { accessToken: string }).accessToken;
}

async function prepareHttp(
  load: LoadProcess,
  name: string,
  port: number,
  request: { method?: string; path: string; headers?: Record<string, string>; body?: string | string[] },
): Promise<void> {
  const { method = "POST", path, headers = {}, body = "" } = request;
  await load.prepare({ kind: "http1", name, load: { port, method, path, headers, body, connections } });
}

async function prepareAll(load: LoadProcess, servers: Servers): Promise<void> {
  const { ours, bareHttp, bareConnect, oidcProvider } = servers;
  await prepareHttp(load, "token ours", ours.port, { path: "/oauth2/token", headers: form, body: tokenForm });
  await prepareHttp(load, "token bare", bareHttp.port, {
    path: "/oauth2/token",
    headers: form,
    body: tokenForm,
  });
  await prepareHttp(load, "token peer", oidcProvider.port, {
    path: "/token",
    headers: form,
    body: tokenForm,
  });
  const rpcBody = toJsonString(AuthTokenRequestSchema, tokenRequest);
  for (const [name, port] of [["ours", ours.port] as const, ["bare", bareConnect.port] as const]) {
    await prepareHttp(load, `rpc ${name}`, port, { path: authTokenPath, headers: json, body: rpcBody });
    const authorization = `Bearer ${await fetchToken(port)}`;
    await prepareHttp(load, `whoami ${name}`, port, {
      path: "/vestibule.v1.AuthService/GetCurrentUser",
      headers: { ...json, authorization },
      body: "{}",
    });
  }
  const message = Buffer.from(toBinary(AuthTokenRequestSchema, tokenRequest)).toString("base64");
  for (const [name, port] of [["ours", ours.port] as const, ["bare", servers.bareH2Port] as const]) {
    const grpc = { port, path: authTokenPath, headers: {}, message, connections: 4, streams: 16 };
    await load.prepare({ kind: "grpc", name: `grpc ${name}`, load: grpc });
  }
  for (const [name, port] of [["ours", ours.port] as const, ["bare", bareHttp.port] as const]) {
    await prepareHttp(load, `jwks ${name}`, port, { method: "GET", path: "/.well-known/jwks.json" });
  }
}

/** Tokens for a thousand machines in turns, where there are no others and where they are among a million. */
async function benchAmongMany(load: LoadProcess): Promise<string[][]> {
  const secretHash = hash("sha256", clientSecret, "base64url");
  const servers: BenchServer[] = [];
  const dataDirs: string[] = [];
  try {
    for (const [name, machines] of [
      ["few", few],
      ["many", many],
    ] as const) {
      const dataDir = makeDataDir();
      dataDirs.push(dataDir);
      await (await startVestibule({ dataDir })).stop();
      seedMachines(dataDir, machines, secretHash, Date.now());
      const server = await startVestibule({ dataDir });
      servers.push(server);
      const body = Array.from({ length: few }, (_, index) =>
        toTokenForm(toClientId(index * (machines / few))),
      );
      await prepareHttp(load, name, server.port, { path: "/oauth2/token", headers: form, body });
    }
    const [amongFew, amongMany] = await compare(load, ["few", "many"]);
    if (!amongFew || !amongMany) throw new Error("nothing measured");
    const cost = ({ perSecond }: Result) => `${(1000 / perSecond).toFixed(3)} ms`;
    const ratio = (amongFew.perSecond / amongMany.perSecond).toFixed(2);
    const failures = String(amongFew.failures + amongMany.failures);
    const against = `${cost(amongFew)} among 10³`;
    return [["a token, among 10⁶ machines", cost(amongMany), against, ratio, "≤ 1.2", failures]];
  } finally {
    for (const server of servers) await server.stop();
    for (const dataDir of dataDirs) rmSync(dataDir, { recursive: true, force: true });
  }
}

/** What a server holds after a million requests of all kinds, beside what it held after the first of them. */
async function benchMemory(load: LoadProcess): Promise<string[][]> {
  const server = await startVestibule({ observed: true });
  try {
    const authorization = `Bearer ${await fetchToken(server.port)}`;
    const whoami = { path: "/vestibule.v1.AuthService/GetCurrentUser", body: "{}" };
    await prepareHttp(load, "m token", server.port, {
      path: "/oauth2/token",
      headers: form,
      body: tokenForm,
    });
    await prepareHttp(load, "m whoami", server.port, { ...whoami, headers: { ...json, authorization } });
    await prepareHttp(load, "m jwks", server.port, { method: "GET", path: "/.well-known/jwks.json" });
    let [requests, failures] = [0, 0];
    const drive = async (until: number) => {
      while (requests < until) {
        for (const name of ["m token", "m whoami", "m jwks"]) {
          const window = await load.run(name, 2);
          requests += window.requests;
          failures += window.failures;
        }
      }
      // Resident first: the question for the heap collects it.
      return { resident: residentMib(server.pid), heap: (await server.ask("memory")) / 2 ** 20 };
    };
    const early = await drive(firstRequests);
    const late = await drive(allRequests);
    const row = (what: string, key: "resident" | "heap", aim: string) => [
      what,
      `${late[key].toFixed(0)} MiB`,
      `${early[key].toFixed(0)} MiB after 10⁵`,
      (late[key] / early[key]).toFixed(2),
      aim,
      String(failures),
    ];
    return [
      row("resident after 10⁶ requests", "resident", "≤ 200 MB"),
      row("heap and external memory then", "heap", "flat"),
    ];
  } finally {
    await server.stop();
  }
}

function toRow(what: string, ours: Result, other: Result, against: string, aim: string): string[] {
  const ratio = ours.perSecond / other.perSecond;
  const failures = ours.failures + other.failures;
  const perSecond = (result: Result) => `${(result.perSecond / 1000).toFixed(2)} k/s`;
  return [what, perSecond(ours), `${perSecond(other)} ${against}`, ratio.toFixed(2), aim, String(failures)];
}

/** The empty call at half of what each manages, and beside the bare handler at as many calls a second as ours. */
function toHalfLoadRows({ ours, bare, bareAsOurs }: HalfLoads): string[][] {
  const toCell = ({ p99, perSecond }: HalfLoad) =>
    `${p99.toFixed(2)} ms at ${(perSecond / 1000).toFixed(1)} k/s`;
  return [[bare, "half of its own", "≤ 1 ms more"] as const, [bareAsOurs, "half of ours", ""] as const].map(
    ([other, half, aim], index) => [
      index === 0 ? "99th percentile of an empty call at half load" : "",
      toCell(ours),
      `${toCell(other)}, ${half}, bare node:http`,
      `${other.oursMore.toFixed(2)} ms more`,
      aim,
      "0",
    ],
  );
}

/** The hot paths, each beside its limit, among many rows, and what they leave in memory. */
export async function benchMachines(): Promise<Section> {
  const bareH2Port = await findFreePort();
  const servers: Servers = {
    ours: await startVestibule(),
    bareHttp: await startContender("bare-http"),
    bareConnect: await startContender("bare-connect", { BENCH_H2_PORT: String(bareH2Port) }),
    bareH2Port,
    oidcProvider: await startContender("oidc-provider"),
  };
  const load = new LoadProcess();
  try {
    await prepareAll(load, servers);
    const rows: string[][] = [];
    const { calls, halfLoads } = await compareCalls(load, servers.ours);
    for (const { what, ours, others } of calls) {
      for (const [index, [name, other, aim]] of others.entries())
        rows.push(toRow(index === 0 ? what : "", ours, other, name, aim));
    }
    rows.push(...toHalfLoadRows(halfLoads));
    const names = ["token ours", "token bare", "token peer", "rpc ours"];
    const [token, tokenBare, tokenPeer, rpc] = await compare(load, names);
    if (!token || !tokenBare || !tokenPeer || !rpc) throw new Error("nothing measured");
    rows.push(toRow("POST /oauth2/token", token, tokenBare, "bare node:http", "≥ 0.75"));
    rows.push(toRow("", token, tokenPeer, "oidc-provider", "≥ 3"));
    rows.push(toRow("AuthToken, Connect JSON", rpc, tokenBare, "the same bare node:http", "≥ 0.75"));
    rows.push(toRow("", rpc, tokenPeer, "the same oidc-provider", "≥ 3"));
    for (const [what, name, aim] of [
      ["", "rpc", "≥ 0.85"],
      ["AuthToken, gRPC", "grpc", "≥ 0.85"],
      ["GetCurrentUser, bearer", "whoami", "≥ 4"],
      ["GET /.well-known/jwks.json", "jwks", "≥ 0.80"],
    ] as const) {
      const [ours, bare] = await compare(load, [`${name} ours`, `${name} bare`]);
      if (ours === undefined || bare === undefined) continue;
      const against = name === "jwks" ? "bare node:http" : "bare connect-node";
      rows.push(toRow(what, ours, bare, against, aim));
    }
    rows.push(...(await benchAmongMany(load)), ...(await benchMemory(load)));
    const failed = rows.find((row) => Number(row.at(-1)) > 0);
    if (failed !== undefined) throw new Error(`requests failed: ${failed.join(" | ")}`);
    return {
      title: "Machines",
      columns: ["what", "Vestibule", "against", "ratio", "aim", "failures"],
      rows,
      note: `Server on one core, load from another process on the second; ${connections} connections (gRPC: 4 × 16 streams); medians of nine alternating windows of a second. Audit, limits, revocation and the access log (to /dev/null) are on. Among 10⁶: tokens for a thousand service users in turns, among as many others with two credentials each. Over 10⁶ requests: tokens, GetCurrentUser and the key set by turns of two seconds.`,
    };
  } finally {
    load.close();
    for (const server of [servers.ours, servers.bareHttp, servers.bareConnect, servers.oidcProvider])
      await server.stop();
  }
}
