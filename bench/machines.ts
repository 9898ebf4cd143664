/** What machines ask all day: tokens, who they are, the key set; each beside the bare limit of its transport. */
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { AuthTokenRequestSchema } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { compare, type Result } from "./parts/compare.ts";
import { LoadProcess, residentMib } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import {
  type BenchServer,
  clientId,
  clientSecret,
  findFreePort,
  startContender,
  startVestibule,
} from "./parts/servers.ts";

const connections = 32;
const json = { "content-type": "application/json" };
const form = { "content-type": "application/x-www-form-urlencoded" };
const tokenRequest = create(AuthTokenRequestSchema, {
  grantType: "client_credentials",
  clientId,
  clientSecret,
});
const tokenForm = new URLSearchParams({
  grant_type: "client_credentials",
  client_id: clientId,
  client_secret: clientSecret,
}).toString();
const authTokenPath = "/vestibule.v1.AuthService/AuthToken";

interface Servers {
  readonly ours: BenchServer;
  readonly bareHttp: BenchServer;
  readonly bareConnect: BenchServer;
  readonly bareH2Port: number;
  readonly oidcProvider: BenchServer;
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
  request: { method?: string; path: string; headers?: Record<string, string>; body?: string },
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

function toRow(what: string, ours: Result, other: Result, against: string, aim: string): string[] {
  const ratio = ours.perSecond / other.perSecond;
  const failures = ours.failures + other.failures;
  const perSecond = (result: Result) => `${(result.perSecond / 1000).toFixed(2)} k/s`;
  return [what, perSecond(ours), `${perSecond(other)} ${against}`, ratio.toFixed(2), aim, String(failures)];
}

/** Issue by issue of the hot paths. */
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
    const [token, tokenBare, tokenPeer] = await compareThree(load);
    rows.push(toRow("POST /oauth2/token", token, tokenBare, "bare node:http", "≥ 0.70"));
    rows.push(toRow("", token, tokenPeer, "oidc-provider", "≥ 2.5"));
    for (const [what, name, aim] of [
      ["AuthToken, Connect JSON", "rpc", "≥ 0.85"],
      ["AuthToken, gRPC", "grpc", "≥ 0.85"],
      ["GetCurrentUser, bearer", "whoami", "≥ 0.80"],
      ["GET /.well-known/jwks.json", "jwks", "≥ 0.80"],
    ] as const) {
      const [ours, bare] = await compare(load, [`${name} ours`, `${name} bare`]);
      if (ours === undefined || bare === undefined) continue;
      const against = name === "jwks" ? "bare node:http" : "bare connect-node";
      rows.push(toRow(what, ours, bare, against, aim));
    }
    const failed = rows.find((row) => Number(row.at(-1)) > 0);
    if (failed !== undefined) throw new Error(`requests failed: ${failed.join(" | ")}`);
    rows.push([
      "resident after the load",
      `${residentMib(servers.ours.pid).toFixed(0)} MiB`,
      "",
      "",
      "≤ 200 MB",
      "",
    ]);
    return {
      title: "Machines",
      columns: ["what", "Vestibule", "against", "ratio", "aim", "failures"],
      rows,
      note: `Server on one core, load from another process on the second; ${connections} connections (gRPC: 4 × 16 streams); medians of nine alternating windows of a second. Audit, limits, revocation and the access log (to /dev/null) are on.`,
    };
  } finally {
    load.close();
    for (const server of [servers.ours, servers.bareHttp, servers.bareConnect, servers.oidcProvider])
      await server.stop();
  }
}

async function compareThree(load: LoadProcess): Promise<[Result, Result, Result]> {
  return (await compare(load, ["token ours", "token bare", "token peer"])) as [Result, Result, Result];
}
