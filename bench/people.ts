/** What people's browsers ask, what a sign-in costs among many, and what a stranger may learn from a clock. */
import { compare } from "./parts/compare.ts";
import { type Cost, compareCost } from "./parts/compare-cost.ts";
import { chanceDistance, distance, quantile } from "./parts/distribution.ts";
import { toMachineHeaders } from "./parts/frontdoor.ts";
import type { PlainRequest } from "./parts/latency-load.ts";
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { withPeople } from "./parts/seed-people.ts";
import { type BenchServer, startContender, startVestibule } from "./parts/servers.ts";
import { post, signIn, signInConfig, toAddress, toCookie } from "./parts/sign-in.ts";
import { type SmtpSink, startSmtpSink } from "./parts/smtp-sink.ts";

const connections = 32;
const few = 1_000;
const many = 1_000_000;
const service = "/vestibule.v1.AuthService";

async function fetchToken(server: BenchServer, cookie: string): Promise<string> {
  return JSON.parse((await post(server, `${service}/AuthToken`, {}, { cookie })).text).accessToken;
}

/** Whose session a cookie is, beside the bare limit, a peer, and whose a token is. */
async function benchCookie(load: LoadProcess): Promise<string[][]> {
  const [ours, bare, peer] = [
    await startVestibule({ config: signInConfig }),
    await startContender("bare-session"),
    await startContender("better-auth"),
  ];
  try {
    const account = { name: "Ada", email: "ada@example.org", password: "correct horse battery staple" };
    const cookies = {
      ours: await signIn(ours, toAddress(0)),
      bare: toCookie((await post(bare, `${service}/AuthCallback`, {})).setCookies),
      peer: toCookie((await post(peer, "/api/auth/sign-up/email", account)).setCookies),
    };
    const json = { "content-type": "application/json" };
    const rpc = { method: "POST", path: `${service}/GetCurrentUser`, body: "{}" };
    const session = { method: "GET", path: "/api/auth/get-session", body: "" };
    for (const [name, { port }, request, credential] of [
      ["ours", ours, rpc, { cookie: cookies.ours }],
      ["bare", bare, rpc, { cookie: cookies.bare }],
      ["peer", peer, session, { cookie: cookies.peer }],
      ["person", ours, rpc, { authorization: `Bearer ${await fetchToken(ours, cookies.ours)}` }],
      ["machine", ours, rpc, await toMachineHeaders(ours)],
    ] as const) {
      const headers = { ...(request === rpc && json), ...credential };
      await load.prepare({ kind: "http1", name, load: { port, connections, ...request, headers } });
    }
    const results = await compare(load, ["ours", "bare", "peer", "person", "machine"]);
    const [one, limit, other, person, machine] = results;
    if (!one || !limit || !other || !person || !machine) throw new Error("nothing measured");
    if (results.some(({ failures }) => failures > 0)) throw new Error("requests failed");
    const perSecond = (value: number) => `${(value / 1000).toFixed(2)} k/s`;
    const row = (what: string, against: typeof one, name: string, aim: string) => [
      what,
      perSecond(one.perSecond),
      `${perSecond(against.perSecond)} ${name}`,
      (one.perSecond / against.perSecond).toFixed(2),
      aim,
    ];
    return [
      row("GetCurrentUser, session cookie", limit, "bare connect-node", "≥ 4"),
      row("", other, "better-auth getSession", "≥ 4"),
      row("", person, "by bearer token, the same person", "≤ 1.2"),
      row("", machine, "by bearer token, a machine", "≤ 1.2"),
    ];
  } finally {
    for (const server of [ours, bare, peer]) await server.stop();
  }
}

/** A token of somebody who is a member of a hundred organizations, beside one of a member of one. */
async function benchRoles(load: LoadProcess): Promise<string[][]> {
  const server = await startVestibule({ config: signInConfig });
  try {
    const root = await toMachineHeaders(server);
    const manage = async (method: string, message: object) =>
      JSON.parse((await post(server, `/vestibule.v1.OrganizationService/${method}`, message, root)).text);
    const cookies = [await signIn(server, toAddress(0)), await signIn(server, toAddress(1))] as const;
    const idOf = async (cookie: string): Promise<string> =>
      JSON.parse((await post(server, `${service}/GetCurrentUser`, {}, { cookie })).text).user.id;
    const members = [await idOf(cookies[0]), await idOf(cookies[1])] as const;
    for (let index = 0; index < 100; index++) {
      const name = `organization-${index}`;
      await manage("CreateOrganization", { body: { name } });
      for (const user_id of index === 0 ? members : members.slice(1)) {
        await manage("AddMember", { org_id: name, user_id, role: "manager" });
      }
    }
    for (const [index, name] of ["of one", "of many"].entries()) {
      const headers = { "content-type": "application/json", cookie: cookies[index] ?? "" };
      const asked = { method: "POST", path: `${service}/AuthToken`, body: "{}", headers };
      await load.prepare({ kind: "http1", name, load: { port: server.port, connections, ...asked } });
    }
    const { pid } = server;
    const [one, many] = await compareCost(load, [
      { name: "of one", pid },
      { name: "of many", pid },
    ]);
    if (!one || !many) throw new Error("nothing measured");
    const cost = ({ microseconds }: Cost) => `${microseconds.toFixed(0)} µs`;
    return [
      [
        "AuthToken, member of 100 organizations",
        `${cost(many)} of processor time`,
        `${cost(one)}, member of one`,
        many.toFirst.toFixed(2),
        "≤ 1.2",
      ],
    ];
  } finally {
    await server.stop();
  }
}

/** A whole sign-in among a million people, beside one among a thousand. */
async function benchSignIn(load: LoadProcess, dataDirs: { few: string; many: string }): Promise<string[][]> {
  const config = signInConfig;
  const small = await startVestibule({ config, dataDir: dataDirs.few });
  const large = await startVestibule({ config, dataDir: dataDirs.many });
  try {
    for (const [name, { port }, people] of [
      ["few", small, few],
      ["many", large, many],
    ] as const) {
      await load.prepare({ kind: "sign-in", name, load: { port, people, browsers: 8 } });
    }
    const [amongFew, amongMany] = await compare(load, ["few", "many"], { windowSeconds: 2 });
    if (!amongFew || !amongMany) throw new Error("nothing measured");
    if (amongFew.failures + amongMany.failures > 0) throw new Error("sign-ins failed");
    const cost = (perSecond: number) => `${(1000 / perSecond).toFixed(2)} ms`;
    const ratio = amongFew.perSecond / amongMany.perSecond;
    return [
      [
        "a sign-in by code, among 10⁶",
        cost(amongMany.perSecond),
        `${cost(amongFew.perSecond)} among 10³`,
        ratio.toFixed(2),
        "≤ 1.3",
      ],
    ];
  } finally {
    await small.stop();
    await large.stop();
  }
}

function toAuthenticate(email: string): PlainRequest {
  return {
    method: "POST",
    path: `${service}/Authenticate`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ strategyName: "mailotp", email }),
  };
}

/** How long `Authenticate` takes for addresses with an account and for others, mails included. */
async function benchStrangers(load: LoadProcess, dataDir: string, sink: SmtpSink): Promise<string[][]> {
  const config = { limits: signInConfig.limits, smtp: { url: sink.url } };
  const server = await startVestibule({ config, dataDir });
  try {
    const group = (first: number) =>
      Array.from({ length: 2000 }, (_, index) => toAuthenticate(toAddress(first + index)));
    // As long and as many: they differ in nothing but whether somebody has them.
    const groups = { known: group(many / 2), unknown: group(many + many / 2) };
    await load.prepare({ kind: "latency", name: "mail", load: { port: server.port, groups, pauseMs: 4 } });
    await load.sample("mail", 3);
    const { known = [], unknown = [] } = await load.sample("mail", 40);
    if (sink.received() === 0) throw new Error("no mail came");
    const ms = (values: readonly number[], q: number) => `${quantile(values, q).toFixed(2)} ms`;
    const row = (what: string, q: number) => [
      what,
      `${ms(known, q)} known`,
      `${ms(unknown, q)} unknown`,
      (quantile(known, q) / quantile(unknown, q)).toFixed(2),
      "",
    ];
    return [
      row("Authenticate by mail, median", 0.5),
      row("95th percentile", 0.95),
      [
        "distance of the two (Kolmogorov–Smirnov)",
        distance(known, unknown).toFixed(3),
        `${chanceDistance(known, unknown).toFixed(3)} by chance, once in 100`,
        "",
        "within chance",
      ],
    ];
  } finally {
    await server.stop();
  }
}

/** What people do, issue by issue. */
export async function benchPeople(): Promise<Section> {
  const load = new LoadProcess();
  const sink = await startSmtpSink();
  try {
    const rows = [...(await benchCookie(load)), ...(await benchRoles(load))];
    await withPeople(many, async (manyDir) => {
      await withPeople(few, async (fewDir) => {
        rows.push(...(await benchSignIn(load, { few: fewDir, many: manyDir })));
      });
      rows.push(...(await benchStrangers(load, manyDir, sink)));
    });
    return {
      title: "People",
      columns: ["what", "Vestibule", "against", "ratio", "aim"],
      rows,
      note: `Server on one core, load from another process on the second; ${connections} connections for the cookie, 8 browsers for sign-ins, one for latencies; medians of nine alternating windows, of fifteen for processor time. Among 10⁶ means that many users, sessions, flows, counts of mailboxes, and twice as many audit records.`,
    };
  } finally {
    await sink.close();
    load.close();
  }
}
