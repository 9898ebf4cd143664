/**
 * Targets, hosts, methods, cookies and credentials that nobody should send, by
 * every dialect, to the gate itself: nobody comes in who is not on a public
 * path, however often an app decodes what it gets.
 */
import { expect, it } from "vitest";
import { bearer, frontdoorId, host, makeToken, TestGate } from "../test-support.ts";
import { createTestDialects, findInHead, type SentAsk } from "./test-support.ts";

const runs = 100_000;
const seed = 20_260_101;

/** Numbers that look random and are the same each time (Lehmer). */
class Numbers {
  #state = seed;

  below(limit: number): number {
    this.#state = (this.#state * 48_271) % 0x7fff_ffff;
    return this.#state % limit;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** Up to `most` of them, one after another. */
  join(items: readonly string[], most: number): string {
    return Array.from({ length: this.below(most + 1) }, () => this.pick(items)).join("");
  }
}

const pathPieces = [
  "/",
  "/public/",
  "/public",
  "/health",
  "/admin",
  "/x",
  "x",
  "..",
  "/..",
  "/../",
  ".",
  "/./",
  "//",
  "\\",
  ";",
  ";a=b",
  "?",
  "?x=/public/",
  "#",
  "%",
  "%zz",
  "%2e",
  "%2E%2e",
  "%2f",
  "%2F..",
  "%5c",
  "%3b",
  "%23",
  "%3f",
  "%00",
  "%0a",
  "%25",
  "%252e%252e",
  "%c0%ae",
  "\u00e9",
  " ",
  "\t",
  "\u0000",
  "*",
  "@",
  ":",
  "http://app.example.com",
  "&",
  "~",
];
const hosts = [
  host,
  host,
  host,
  host,
  host.toUpperCase(),
  `${host}:443`,
  `${host}:80`,
  `${host}.`,
  `a@${host}`,
  `${host}, evil.test`,
  `evil.test ${host}`,
  `${host}/x`,
  `${host}\\`,
  `${host}#`,
  "",
  "*",
  "other.example.com",
  `${host}\u00a0`,
];
const methods = [
  "GET",
  "GET",
  "GET",
  "POST",
  "HEAD",
  "OPTIONS",
  "get",
  "TRACE",
  "CONNECT",
  "",
  "G T",
  "GET, POST",
  "\u00e9",
];
const schemes = ["https", "https", "https", "http", "wss", "", "HTTPS", "ftp", "https, http"];
const cookieNames = [
  "__Host-vestibule",
  "vestibule_gate",
  "sid",
  "a",
  " __Host-vestibule",
  "\u00a0__Host-vestibule",
  "__host-vestibule",
  "__Host-vestibule-flow",
  "",
  "__Host-vestibule ",
  "__Secure-vestibule",
  "__Host-vestibule-bind",
];
const junk = [
  "",
  "=",
  ";",
  ",",
  '"',
  "%",
  "%3d",
  "\\",
  " ",
  "\t",
  "ours",
  "x".repeat(300),
  "\u0080",
  "{}",
  "[]",
  "null",
  ".",
];

/** A header line of a visitor's, or of nobody's. */
function makeLine(numbers: Numbers, tokens: readonly string[]): string[] {
  switch (numbers.below(8)) {
    case 0:
    case 1:
      return ["Cookie", numbers.join([...cookieNames, "=", "; ", ";", ...junk], 8)];
    case 2:
      return [
        "Authorization",
        numbers.pick(["", "Bearer ", "bearer  ", "Basic ", "Bearer\t", "Digest ", "Token "]) +
          numbers.pick([...tokens, numbers.join(junk, 4)]),
      ];
    case 3:
      return ["X-API-Key", numbers.pick(["vstk_", ""]) + numbers.join(junk, 3)];
    case 4:
      return [
        numbers.pick(["Upgrade", "Origin", "Accept", "Sec-Fetch-Mode", "User-Agent", "Expect"]),
        numbers.pick([
          "websocket",
          "h2c",
          "null",
          "text/html",
          "navigate",
          "kube-probe/1.29",
          "GoogleHC/1.0",
          ...junk,
        ]),
      ];
    case 5:
      return [
        numbers.pick([
          "X-Original-URL",
          "X-Original-Method",
          "X-Original-URI",
          "X-Forwarded-Uri",
          "X-Forwarded-Host",
          "X-Forwarded-Method",
          "X-Forwarded-Prefix",
          "X-Rewrite-URL",
          "X-HTTP-Method-Override",
        ]),
        numbers.pick(["/public/", `https://${host}/public/`, host, "OPTIONS", ...junk]),
      ];
    case 6:
      return [
        numbers.pick([
          "X-Vestibule-Subject",
          "x_vestibule_email",
          "X.Vestibule.Groups",
          "X-Vestibule-Reason",
        ]),
        "evil",
      ];
    default:
      return ["Access-Control-Request-Method", "GET"];
  }
}

/** A request by one of the dialects, and the target that its app would get. */
function makeAsk(numbers: Numbers, tokens: readonly string[]): SentAsk & { visited: string } {
  const visited = numbers.pick(["/public/", "/health", "/", "/admin", ""]) + numbers.join(pathPieces, 5);
  // Half of them are about the target and the headers alone: else few would come as far as a decision.
  const isTame = numbers.below(2) === 0;
  const at = isTame ? host : numbers.pick(hosts);
  const method = isTame ? "GET" : numbers.pick(methods);
  const scheme = isTame ? "https" : numbers.pick(schemes);
  const others = Array.from({ length: numbers.below(4) }, () => makeLine(numbers, tokens)).flat();
  const lines = ["X-Vestibule-Proxy-Token", "vstp_good", ...others];
  const gate = `/frontdoor/${frontdoorId}/gate`;
  switch (numbers.below(4)) {
    case 0:
    case 1: {
      const path = numbers.pick(["/nginx", "/nginx/refusal"]);
      lines.push("X-Original-URL", `${scheme}://${at}${visited}`, "X-Original-Method", method);
      return { method: "GET", target: gate + path, lines, visited };
    }
    case 2:
      lines.push(
        "X-Forwarded-Method",
        method,
        "X-Forwarded-Proto",
        scheme,
        "X-Forwarded-Host",
        at,
        "X-Forwarded-Uri",
        visited,
      );
      return { method: "GET", target: `${gate}/forward-auth`, lines, visited };
    default:
      lines.push("Host", at, "X-Forwarded-Proto", scheme);
      return {
        method,
        target: `${gate}/envoy${visited.startsWith("/") ? "" : "/"}${visited}`,
        lines,
        visited: visited.startsWith("/") ? visited : `/${visited}`,
      };
  }
}

/** Whether a target is below a public path to an app that decodes it so often, and resolves it as browsers do. */
function isPublicTo(target: string, decodings: number): boolean {
  let path = target.split("?")[0] ?? "";
  try {
    for (let i = 0; i < decodings; i++) path = decodeURIComponent(path);
  } catch {
    // What is no escape, or not UTF-8, stands as it is.
  }
  // A question mark that was an escape is part of the name.
  const resolved = new URL(`http://app.test${path.replaceAll("?", "%3F")}`).pathname;
  return resolved === "/health" || resolved.startsWith("/public/");
}

const statuses = new Map([
  ["/nginx", [200, 401, 403, 429, 503]],
  ["/nginx/refusal", [302, 401, 403, 429, 503]],
]);

it("lets nobody in who is not on a public path", async () => {
  const gate = new TestGate();
  gate.serve(["jwt", "keys", "own"], { publicPaths: ["/public/*", "/health"] });
  const good = makeToken(gate.context);
  const tokens = [
    `${good.slice(0, -2)}AA`,
    makeToken(gate.context, { exp: 1 }),
    makeToken(gate.context, { aud: "elsewhere" }),
    makeToken(gate.context, {}, { typ: "vestibule-gate+jwt" }),
    good.split(".").slice(0, 2).join("."),
    `${good}, ${good}`,
    "..",
    "a.b.c",
  ];
  const dialects = createTestDialects(gate.decider.decide);
  const numbers = new Numbers();
  const counts = new Map<number, number>();
  for (let i = 0; i < runs; i++) {
    const { visited, ...ask } = makeAsk(numbers, tokens);
    const answer = await dialects.send(ask);
    const { status, head } = answer;
    counts.set(status, (counts.get(status) ?? 0) + 1);
    const dialect = ask.target.slice(ask.target.indexOf("/gate") + 5);
    const isFault =
      !(statuses.get(dialect) ?? [200, 302, 401, 403, 429, 503]).includes(status) ||
      findInHead(head, "set-cookie") !== undefined ||
      (status === 200 && findInHead(head, "x-vestibule-subject") !== "") ||
      (status === 200 && ![0, 1, 2, 3].every((decodings) => isPublicTo(visited, decodings)));
    // An assertion for each would take most of the time.
    if (isFault) expect.fail(`run ${i}: ${JSON.stringify({ ...ask, status })}`);
  }
  // Those that are let in and those that are judged show that the others were not all refused for one reason.
  expect(counts.get(200)).toBeGreaterThan(runs / 200);
  expect(counts.get(401)).toBeGreaterThan(runs / 50);
  expect(gate.logged).toEqual([]);
  const { authorization } = bearer(good);
  const proven = ["X-Vestibule-Proxy-Token", "vstp_good", "Host", host, "Authorization", authorization];
  const target = `/frontdoor/${frontdoorId}/gate/envoy/admin`;
  expect((await dialects.send({ method: "GET", target, lines: proven })).status).toBe(200);
}, 120_000);
