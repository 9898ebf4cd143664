/**
 * What visitors of every kind send through a proxy to an app behind the gate,
 * byte for byte, and what holds for each of them whatever it is: the app never
 * sees an identity that the gate has not given, the text of a placeholder, a
 * proxy token or a credential that was judged; the visitor never sees an
 * identity; and no success comes from anywhere but the app.
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { GatedApp, Reached, Seen } from "./gate.ts";

/** Paths as a visitor may spell them; \`#\` and raw bytes too. */
const targets = [
  "/",
  "/app",
  "/app?next=/public/x",
  "/app?",
  "/health",
  "/health?x=1",
  "/healthz",
  "/HEALTH",
  "/public/x",
  "/public/x?y",
  "/public",
  "/public/",
  "/public//x",
  "/public/./x",
  "/public/../app",
  "/public/%2e%2e/app",
  "/public/%2E%2E/app",
  "/public/..%2fapp",
  "/public/%252e%252e/app",
  "/public/..;/app",
  "/public/x;y",
  "/public/x%3by",
  "/public/x%00",
  "/public/x%0d%0aX-Vestibule-Subject:%20evil",
  "/public/%5c..%5capp",
  "/public/\\..\\app",
  "/public#/app",
  "/public/x#/../app",
  "/public/%23/app",
  "/public/%3fx",
  "/public/\xc3\xbc",
  "/public/%C3%BC",
  "/public/x%",
  "/public/x%zz",
  "/./public/x",
  "/../public/x",
  "/%2e%2e/public/x",
  "//public/x",
  "//other.test/public/x",
  "/public/x?/../app",
  "/app?/public/x",
  "/app#/public/x",
  "/app/..%2f..%2fhealth",
  "/%70ublic/x",
  "/a%20b",
  "/a%2Fb",
  "/a//b",
  "/a/../b",
  "/.vestibule/x",
  "/.vestibule/../app",
  "/.vestibule/jwks.json/../../app",
  "/.vestibule/%2e%2e/app",
  "/-vestibule-ask",
  "/frontdoor/x/gate/nginx",
  "*",
  "app",
  "http://other.test/app",
  "http://ada@localhost/app",
  "",
  `/${"x".repeat(9_000)}`,
];

/** In normal form, so that a policy by paths has nothing against them. */
const plainTargets = new Set([
  "/",
  "/app",
  "/app?next=/public/x",
  "/health",
  "/health?x=1",
  "/public/x",
  "/a%20b",
]);

const forged = (host: string) => [
  "X-Vestibule-Subject: evil",
  "x-vestibule-email: evil@example.com",
  "X_Vestibule_Subject: evil",
  "X-Vestibule_Groups: evil",
  "X.Vestibule.Groups: evil",
  "X-VESTIBULE-Assertion: evil",
  "X-Vestibule-New: evil",
  "X-Vestibule-Proxy-Token: vstp_evil",
  "X-Forwarded-Uri: /public/x",
  "X-Forwarded-Method: GET",
  "X-Forwarded-For: 10.9.9.9",
  "X-Forwarded-Host: other.test",
  `X-Original-URL: http://${host}/public/x`,
  "X-Original-Method: GET",
  "Forwarded: for=10.9.9.9;host=other.test",
];

/** Runs every case against an app, whose frontend has the public paths `/health` and `/public/*`. */
export async function replayCorpus(
  app: GatedApp,
  check: (name: string, run: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const good = await app.frontdoor.signToken();
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const credentials = {
    nothing: [],
    "a good token": [`Authorization: Bearer ${good}`],
    "a foreign token": [`Authorization: Bearer ${await app.frontdoor.signToken({}, privateKey)}`],
    "an expired token": [`Authorization: Bearer ${await app.frontdoor.signToken({ exp: 1_000_000 })}`],
    "an API key": [`X-API-Key: ${app.frontdoor.apiKey}`],
    "two tokens": [`Authorization: Bearer ${good}`, `Authorization: Bearer ${good}`],
    "a bad token beside a key": [`Authorization: Bearer x.y.z`, `X-API-Key: ${app.frontdoor.apiKey}`],
    "a session of nobody": ["Cookie: __Host-vestibule=evil; vestibule_gate=evil; app=1"],
    "the proxy's token": [`Authorization: Bearer ${app.frontdoor.proxyToken}`],
  };
  for (const [kind, lines] of Object.entries(credentials)) {
    const isGood = kind === "a good token" || kind === "an API key";
    for (const target of isGood || kind === "nothing" ? targets : ["/app", "/health", "/public/x"]) {
      for (const extra of [[], forged(app.host)]) {
        const name = `${target.slice(0, 60) || "an empty target"} with ${kind}${extra.length > 0 ? ", forged" : ""}`;
        await check(name, async () => {
          const request = { method: "GET", target, lines: [...lines, ...extra] };
          const { seen, reached } = await exchange(app, request);
          holdInvariants(app, { target, lines: request.lines, isGood }, seen, reached);
          if (isGood && extra.length === 0 && plainTargets.has(target)) {
            assert.equal(seen.status, 200, seen.text);
            assert.equal(reached[0]?.target, target);
          }
        });
      }
    }
  }
  for (const [name, bytes] of Object.entries(oddRequests(app, good))) {
    await check(name, async () => {
      app.upstream.take();
      const seen = await app.send(bytes);
      holdInvariants(app, { target: undefined, lines: [], isGood: false }, seen, app.upstream.take());
    });
  }
}

/** Requests that are odd in more than their target. None has a good credential, but where it says so. */
function oddRequests({ host }: GatedApp, good: string): Record<string, string> {
  const get = (lines: string, method = "GET", target = "/app") =>
    `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${lines}Connection: close\r\n\r\n`;
  return {
    "the method get in small letters": get("", "get"),
    "a method of one's own": get("", "FOO"),
    TRACE: get("", "TRACE"),
    CONNECT: `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    "PRI in clear text": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.0 without a host": "GET /app HTTP/1.0\r\n\r\n",
    "two hosts": `GET /app HTTP/1.1\r\nHost: ${host}\r\nHost: other.test\r\n\r\n`,
    "a host with a user": `GET /app HTTP/1.1\r\nHost: a@${host}\r\nConnection: close\r\n\r\n`,
    "a host with a path": `GET /app HTTP/1.1\r\nHost: ${host}/health\r\nConnection: close\r\n\r\n`,
    "two hosts in one": `GET /app HTTP/1.1\r\nHost: ${host}, other.test\r\nConnection: close\r\n\r\n`,
    "an unknown host": "GET /health HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n",
    "a folded header": `GET /app HTTP/1.1\r\nHost: ${host}\r\n X-Vestibule-Subject: evil\r\nConnection: close\r\n\r\n`,
    "the gate's header named by Connection": `GET /app HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${good}\r\nConnection: close, X-Vestibule-Subject\r\n\r\n`,
    "an upgrade to h2c on a public path": get(
      "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Vestibule-Subject: evil\r\n",
      "GET",
      "/health",
    ).replace("Connection: close", "Connection: Upgrade, HTTP2-Settings"),
    Expect: get("Expect: 100-continue\r\nContent-Length: 4\r\n", "POST"),
    "a malformed cookie": get('Cookie: vestibule_gate="x\\"; =; ;;;a\r\n'),
    "a tab in the target": `GET /public/\tx HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    "no slash in front": `GET public/x HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    "a preflight": get("Origin: https://other.test\r\nAccess-Control-Request-Method: GET\r\n", "OPTIONS"),
    "the health check of a load balancer": get("User-Agent: GoogleHC/1.0\r\n"),
  };
}

/** Sends a request on its own connection, and tells what reached the app meanwhile. */
async function exchange(
  app: GatedApp,
  {
    method,
    target,
    lines,
  }: { readonly method: string; readonly target: string; readonly lines: readonly string[] },
): Promise<{ seen: Seen; reached: readonly Reached[] }> {
  app.upstream.take();
  const head = [`${method} ${target} HTTP/1.1`, `Host: ${app.host}`, ...lines, "Connection: close"];
  const seen = await app.send(`${head.join("\r\n")}\r\n\r\n`);
  return { seen, reached: app.upstream.take() };
}

/** A request as the invariants are about it; without a target when nothing is known of what is public. */
export interface CorpusCase {
  readonly target: string | undefined;
  readonly lines: readonly string[];
  readonly isGood: boolean;
}

/** @throws AssertionError for what must never be, whatever was sent */
export function holdInvariants(
  app: GatedApp,
  { target, lines, isGood }: CorpusCase,
  seen: Seen,
  reached: readonly Reached[],
): void {
  const shown = `${JSON.stringify(target)} ${JSON.stringify(lines)}\n${seen.text.slice(0, 600)}\n${JSON.stringify(reached)}`;
  for (const { rawHeaders, target: reachedTarget } of reached) {
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
      const folded = name.toLowerCase().replaceAll(/[_.]/g, "-");
      if (folded.startsWith("x-vestibule-")) {
        assert.ok(!value.includes("evil"), `a forged identity reached the app: ${shown}`);
        assert.notEqual(folded, "x-vestibule-proxy-token", `a proxy token reached the app: ${shown}`);
      }
      assert.ok(!value.includes("{http."), `a placeholder reached the app: ${shown}`);
      assert.ok(
        !value.includes(app.frontdoor.proxyToken) || lines.some((line) => line.includes(value)),
        `the proxy's token reached the app: ${shown}`,
      );
      if (isGood && (folded === "authorization" || folded === "x-api-key")) {
        // On public paths nothing is judged, and everything goes on.
        assert.ok(
          value === "" || isPublicTarget(reachedTarget),
          `a judged credential reached the app: ${shown}`,
        );
      }
      if (folded === "cookie")
        assert.ok(!/vestibule(_gate)?=/.test(value), `our cookie reached the app: ${shown}`);
    }
  }
  assert.ok(
    !/^x-vestibule-(?!reason)/im.test(seen.text.split("\r\n\r\n")[0] ?? ""),
    `the visitor saw an identity: ${shown}`,
  );
  const isSuccess = seen.status === 101 || (seen.status >= 200 && seen.status < 300);
  if (isSuccess) {
    assert.ok(/^x-upstream: here/im.test(seen.text), `a success that is not the app's: ${shown}`);
    assert.equal(reached.length, 1, shown);
  }
  if (target !== undefined && !isGood) {
    // As the app got it: Caddy spells raw bytes anew before it asks.
    for (const each of reached) assert.ok(isPublicTarget(each.target), `somebody came in: ${shown}`);
  }
  assert.ok(reached.length <= 1, shown);
}

/** Whether a target is public by the frontend's policy, as it is spelled. */
function isPublicTarget(target: string): boolean {
  const [path = ""] = target.split("?");
  if (path === "/health") return true;
  const isVisible = [...path].every((character) => character > " " && character < "\x7f");
  const isNormal = !/\/\.\.?(\/|$)|\/\/|[\\;#]|%(2[ef]|5c|3b|2[35]|[01][0-9a-f]|7f)|%(?![0-9a-f]{2})/i.test(
    path,
  );
  return path.startsWith("/public/") && isVisible && isNormal;
}
