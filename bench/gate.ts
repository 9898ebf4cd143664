/** What proxies ask of the gate: directly, through each of them, for the first time, among many, and over a million visitors. */
import { rmSync } from "node:fs";
import { compare, type Result } from "./parts/compare.ts";
import { quantile } from "./parts/distribution.ts";
import { type Asking, type BenchGate, makeToken, startBareGate, startGate, toAsk } from "./parts/gate.ts";
import { compareCheck } from "./parts/gate-check.ts";
import { compareThroughProxies } from "./parts/gate-proxies.ts";
import { beginSession } from "./parts/gate-session.ts";
import { LoadProcess, residentMib } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { seedGate, toSeededHost } from "./parts/seed-gate.ts";
import { type BenchServer, makeDataDir, startVestibule } from "./parts/servers.ts";

const connections = 32;
const [few, many] = [10, 100_000];
/** How many tokens memory is watched over, and after how many it is first looked at. */
const [allTokens, firstTokens] = [1_000_000, 100_000];

/** A row of the table, without its failures. */
type Row = readonly [what: string, ours: string, against: string, ratio: string, aim: string];

/** Refuses to say how fast what was answered wrongly. */
function requireGood(results: readonly Result[]): void {
  const bad = results.find(({ failures }) => failures > 0);
  if (bad !== undefined) throw new Error(`${bad.name}: ${bad.failures} requests failed`);
}

function toRow(what: string, ours: Result, other: Result, against: string, aim: string): Row {
  requireGood([ours, other]);
  const perSecond = (result: Result) => `${(result.perSecond / 1000).toFixed(2)} k/s`;
  const ratio = (ours.perSecond / other.perSecond).toFixed(2);
  return [what, perSecond(ours), `${perSecond(other)} ${against}`, ratio, aim];
}

/** Has a gate asked, and its limit. */
async function compareDirect(
  load: LoadProcess,
  { gate, bare }: { readonly gate: BenchGate; readonly bare: BenchServer },
  asking: Asking,
  credential: Readonly<Record<string, string>>,
  barePath: string,
): Promise<[Result, Result]> {
  const ask = { ...toAsk(gate, asking, credential), body: "", connections, tokens: gate.issuer.tokens };
  const name = `${asking} ${Object.keys(credential)} ${barePath}`;
  await load.prepare({ kind: "http1", name: `${name} ours`, load: { ...ask, port: gate.server.port } });
  await load.prepare({
    kind: "http1",
    name: `${name} bare`,
    load: { ...ask, port: bare.port, path: barePath },
  });
  return (await compare(load, [`${name} ours`, `${name} bare`])) as [Result, Result];
}

/** How long asks wait while half of what can be done is to be done. */
async function benchLatency(load: LoadProcess, gate: BenchGate, perSecond: number): Promise<Row> {
  const ask = toAsk(gate, "nginx", { Authorization: `Bearer ${makeToken(gate.issuer)}` });
  const paced = { ...ask, port: gate.server.port, connections, perSecond: Math.round(perSecond) };
  await load.prepare({ kind: "paced", name: "paced", load: paced });
  await load.sample("paced", 2);
  const { answer = [] } = await load.sample("paced", 10);
  const ms = (q: number) => `${quantile(answer, q).toFixed(2)} ms`;
  const what = `99th percentile at half load (${(perSecond / 1000).toFixed(1)} k/s)`;
  return [what, ms(0.99), `${ms(0.5)} median`, "", "< 5 ms"];
}

/** Servers that differ in how much is in their databases. */
async function benchAmongMany(load: LoadProcess): Promise<Row[]> {
  const dataDirs: string[] = [];
  const servers: BenchServer[] = [];
  try {
    for (const [name, count] of [
      ["few", few],
      ["many", many],
    ] as const) {
      const dataDir = makeDataDir();
      dataDirs.push(dataDir);
      const gate = await startGate({ dataDir });
      await gate.server.stop();
      seedGate(dataDir, gate, count, Date.now());
      const server = await startVestibule({ dataDir });
      servers.push(server);
      const credential = { Authorization: `Bearer ${makeToken(gate.issuer)}` };
      const known = toAsk(gate, "nginx", credential, { host: toSeededHost(count - 1) });
      const first = toAsk(gate, "nginx", {}, { host: "h{number}.apps.example.com", target: "/public/x" });
      for (const [kind, ask] of Object.entries({ known, first })) {
        const plain = { ...ask, port: server.port, body: "", connections };
        await load.prepare({ kind: "http1", name: `${kind} ${name}`, load: plain });
      }
    }
    const rows: Row[] = [];
    for (const [kind, what] of [
      ["known", "a check, among 10⁵ frontdoors, frontends and providers"],
      ["first", "first sight of a host, among as many"],
    ] as const) {
      const [amongFew, amongMany] = (await compare(load, [`${kind} few`, `${kind} many`])) as [
        Result,
        Result,
      ];
      requireGood([amongFew, amongMany]);
      const cost = ({ perSecond }: Result) => `${(1000 / perSecond).toFixed(3)} ms`;
      const ratio = (amongFew.perSecond / amongMany.perSecond).toFixed(2);
      rows.push([what, cost(amongMany), `${cost(amongFew)} among 10`, ratio, "≤ 1.2"]);
    }
    return rows;
  } finally {
    for (const server of servers) await server.stop();
    for (const dataDir of dataDirs) rmSync(dataDir, { recursive: true, force: true });
  }
}

/** What a server holds after a million tokens, each another, beside what it held after the first of them. */
async function benchMemory(load: LoadProcess): Promise<Row[]> {
  const { server, ...gate } = await startGate({ observed: true });
  try {
    const ask = toAsk(gate, "nginx", { Authorization: "Bearer {token}" });
    const { tokens } = gate.issuer;
    const plain = { ...ask, port: server.port, body: "", connections, tokens };
    await load.prepare({ kind: "http1", name: "new tokens", load: plain });
    let requests = 0;
    const drive = async (until: number) => {
      while (requests < until) {
        const window = await load.run("new tokens", 5);
        requireGood([{ ...window, name: "new tokens", perSecond: 0 }]);
        requests += window.requests;
      }
      // Resident first: the question for the heap collects it.
      return { resident: residentMib(server.pid), heap: (await server.ask("memory")) / 2 ** 20 };
    };
    const early = await drive(firstTokens);
    const late = await drive(allTokens);
    const row = (what: string, key: "resident" | "heap"): Row => {
      const mib = `${late[key].toFixed(0)} MiB`;
      const before = `${early[key].toFixed(0)} MiB after 10⁵`;
      return [what, mib, before, (late[key] / early[key]).toFixed(2), "flat"];
    };
    return [row("resident after 10⁶ tokens", "resident"), row("heap and external memory then", "heap")];
  } finally {
    await server.stop();
  }
}

/** The gate's hot path beside its limits. */
export async function benchGate(): Promise<Section> {
  const dataDir = makeDataDir();
  const gate = await startGate({ dataDir });
  const session = beginSession(dataDir, gate);
  const bare = await startBareGate(gate, session);
  const load = new LoadProcess();
  try {
    const sides = { gate, bare };
    const bearer = { Authorization: `Bearer ${makeToken(gate.issuer)}` };
    const key = { "X-API-Key": gate.apiKey };
    const against = "bare node:http with an LRU";
    const rows: Row[] = [];
    const nginx = await compareDirect(load, sides, "nginx", bearer, "/judged");
    rows.push(toRow("a JWT already judged, nginx", ...nginx, against, "≥ 0.60"));
    const forward = await compareDirect(load, sides, "forward-auth", bearer, "/judged");
    rows.push(toRow("the same, forward auth", ...forward, against, "≥ 0.60"));
    const keys = await compareDirect(load, sides, "nginx", key, "/judged");
    rows.push(toRow("an API key already judged, nginx", ...keys, against, "≥ 0.60"));
    const cookie = { Cookie: `theme=dark; lang=en; ${session}` };
    const people = await compareDirect(load, sides, "nginx", cookie, "/judged");
    rows.push(toRow("a session at the frontend, nginx", ...people, against, "≥ 0.60"));
    rows.push(await benchLatency(load, gate, nginx[0].perSecond / 2));
    const first = await compareDirect(load, sides, "nginx", { Authorization: "Bearer {token}" }, "/first");
    rows.push(toRow("first sight of a JWT, nginx", ...first, "bare node:http with jose", "≥ 0.70"));
    const aims = { nginx: "≥ 0.70", haproxy: "≥ 0.80", caddy: "≥ 0.80" };
    for (const [proxy, [ours, other]] of await compareThroughProxies(load, gate, bare.port)) {
      if (!ours || !other) throw new Error("nothing measured");
      rows.push(toRow(`through ${proxy}`, ours, other, "asking a bare 200", aims[proxy]));
    }
    const check = await compareCheck(load, gate);
    for (const [index, limit] of check.limits.entries()) {
      rows.push(toRow(index === 0 ? "Envoy's Check, gRPC" : "", check.ours, limit, limit.name, "≥ 0.60"));
    }
    await gate.server.stop();
    rows.push(...(await benchAmongMany(load)), ...(await benchMemory(load)));
    return {
      title: "Gate",
      columns: ["what", "Vestibule", "against", "ratio", "aim"],
      rows,
      note: `Server on one core, load from another process on the second; ${connections} connections; medians of nine alternating windows of a second. The bare handlers know one issuer and no proxy, frontend or policy, and answer as many headers. Through proxies: proxy and gate share the first core, app and load the second. At half load: from when a request was due. Audit, limits and the access log (to /dev/null) are on. A request that failed fails the run.`,
    };
  } finally {
    load.close();
    for (const server of [gate.server, bare]) await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}
