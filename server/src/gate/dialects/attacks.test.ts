/**
 * Ways in which gates were opened or broken before, by every dialect, against
 * the gate itself: each test says what somebody once got through.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { gateReasons } from "../decisions/reasons.ts";
import { bearer, frontdoorId, host, makeToken, TestGate } from "../test-support.ts";
import { createTestDialects, findInHead, type ReceivedAnswer, type TestDialects } from "./test-support.ts";

type Line = readonly [name: string, value: string];

/** A visitor's request. */
interface Visit {
  readonly method?: string;
  readonly host?: string;
  readonly target?: string;
  readonly headers?: readonly Line[];
}

const gatePath = `/frontdoor/${frontdoorId}/gate`;

/** How each proxy asks about it. */
const proxies = {
  nginx: ({ method, at, target }: Asked) => ({
    path: "/nginx",
    method: "GET",
    lines: ["X-Original-URL", `https://${at}${target}`, "X-Original-Method", method],
  }),
  "forward auth": ({ method, at, target }: Asked) => ({
    path: "/forward-auth",
    method: "GET",
    lines: [
      ...["X-Forwarded-Method", method, "X-Forwarded-Proto", "https"],
      ...["X-Forwarded-Host", at, "X-Forwarded-Uri", target],
    ],
  }),
  Envoy: ({ method, at, target }: Asked) => ({ path: `/envoy${target}`, method, lines: ["Host", at] }),
};

interface Asked {
  readonly method: string;
  readonly at: string;
  readonly target: string;
}

let gate: TestGate;
let dialects: TestDialects;
beforeEach(() => {
  gate = new TestGate();
  gate.serve(["jwt", "keys"], { publicPaths: ["/public/*", "/health"] });
  dialects = createTestDialects(gate.decider.decide);
});

describe.each(Object.entries(proxies))("by %s", (_, toAsk) => {
  function visit({
    method = "GET",
    host: at = host,
    target = "/",
    headers = [],
  }: Visit): Promise<ReceivedAnswer> {
    const { path, lines, method: asked } = toAsk({ method, at, target });
    const proven = ["X-Vestibule-Proxy-Token", "vstp_good", ...lines, ...headers.flat()];
    return dialects.send({ method: asked, target: gatePath + path, lines: proven });
  }
  const statusOf = async (visited: Visit) => (await visit(visited)).status;
  const credential = () => ["Authorization", bearer(makeToken(gate.context)).authorization] as const;

  it("lets in whoever is vouched for, and who goes where all may: all else here is refused for its own sake", async () => {
    expect(await statusOf({ headers: [credential()] })).toBe(200);
    expect(await statusOf({ target: "/public/a?b=/c" })).toBe(200);
    expect(await statusOf({ target: "/health" })).toBe(200);
    expect(await statusOf({})).toBe(401);
  });

  it.each(["GoogleHC/1.0", "kube-probe/1.29", "ELB-HealthChecker/2.0"])(
    "no checker of health gets a success by its name: %s",
    async (userAgent) => {
      expect(await statusOf({ headers: [["User-Agent", userAgent]] })).toBe(401);
    },
  );

  it.each([
    "/public#/../admin",
    "/public/#/admin",
    "/public/%23/admin",
    "/x#/public/a",
    "/x?/public/a",
    "/x?path=/health",
    "/health?/../admin#",
    "/public/../admin",
    "/public/./a",
    "/./public/a",
    "/public/%2e%2e/admin",
    "/public/%2E%2E%2fadmin",
    "/public/..%2fadmin",
    "/public/%252e%252e/admin",
    "/public//admin",
    "//public/a",
    "/public\\..\\admin",
    "/public/..;/admin",
    "/public;/a",
    "/public/a;jsessionid=1",
    "/health;a",
    "/health/",
    "/HEALTH",
    "/%68ealth",
    "/public",
    "/public/\u00fc",
    "/public/a b",
    "/public/%00",
  ])("no other path becomes public: %s", async (target) => {
    expect([401, 403]).toContain(await statusOf({ target }));
  });

  it("a policy that goes by prefixes says nothing of a path that is not normal, whoever asks", async () => {
    expect(await statusOf({ target: "/./admin", headers: [credential()] })).toBe(403);
  });

  it.each(["X-Vestibule-Subject", "X_Vestibule_Subject", "x.vestibule-subject", "X-Vestibule_Groups"])(
    "nobody says who they are by %s, on a public path neither",
    async (name) => {
      expect(await statusOf({ target: "/public/a", headers: [[name, "root"]] })).toBe(403);
      expect(await statusOf({ headers: [credential(), [name, ""]] })).toBe(403);
    },
  );

  it("on a public path the app is told of nobody, header by header", async () => {
    const { head } = await visit({ target: "/public/a", headers: [credential()] });
    expect(findInHead(head, "x-vestibule-subject")).toBe("");
    expect(findInHead(head, "x-vestibule-email")).toBe("");
  });

  it("an upgrade that no proxy sees into is refused, on a public path too", async () => {
    const upgrade = (value: string) => statusOf({ target: "/health", headers: [["Upgrade", value]] });
    expect(await upgrade("h2c")).toBe(403);
    expect(await upgrade("websocket, h2c")).toBe(403);
    expect(await upgrade("websocket")).toBe(200);
  });

  it.each(["CONNECT", "TRACE", "G:T", "GET /public/a"])(
    "a method that is none is refused: %s",
    async (method) => {
      expect(await statusOf({ method, target: "/public/a", headers: [credential()] })).toBe(403);
    },
  );

  it("the host is the same in any case, and nothing but a host", async () => {
    expect(await statusOf({ host: host.toUpperCase(), headers: [credential()] })).toBe(200);
    for (const other of [
      "",
      "evil.test",
      `${host}, evil.test`,
      `a@${host}`,
      `${host}.evil.test`,
      `evil.test#${host}`,
    ])
      expect(await statusOf({ host: other, headers: [credential()] }), other).toBe(403);
  });

  it("nothing is read of an ask that lacks its line, or has it twice", async () => {
    const { path, lines } = toAsk({ method: "GET", at: host, target: "/public/a" });
    const proven = ["X-Vestibule-Proxy-Token", "vstp_good"];
    const send = async (sent: readonly string[]) =>
      (await dialects.send({ method: "GET", target: gatePath + path, lines: sent })).status;
    expect(await send([...proven, ...lines])).toBe(200);
    for (let at = 0; at < lines.length; at += 2) {
      expect(await send([...proven, ...lines.toSpliced(at, 2)]), `without ${lines[at]}`).toBe(403);
      expect(await send([...proven, ...lines, ...lines.slice(at, at + 2)]), `two of ${lines[at]}`).toBe(403);
    }
    expect(await send([...proven, ...proven, ...lines]), "two tokens").toBe(403);
  });

  it("a bad credential does not fall through to a good one of a lower rank, nor of its own", async () => {
    const good = credential();
    const key: Line = ["X-API-Key", gate.makeApiKey()];
    const bad: Line = ["authorization", "Bearer a.b.c"];
    const badKey: Line = ["x-api-key", "vstk_wrong"];
    const session: Line = ["Cookie", "__Host-vestibule=x"];
    for (const headers of [
      [bad, key],
      [key, bad],
      [badKey, session],
      [good, bad],
      [bad, good],
      [good, good],
      [key, badKey],
      [key, key],
    ])
      expect(await statusOf({ headers }), JSON.stringify(headers)).toBe(401);
    // What is of a lower rank is not looked at.
    for (const headers of [
      [good, badKey],
      [key, session],
      [good, session],
    ])
      expect(await statusOf({ headers }), JSON.stringify(headers)).toBe(200);
  });

  it("two session cookies are none, in one line or in two", async () => {
    const name = "__Host-vestibule";
    expect(await statusOf({ headers: [["Cookie", `${name}=a; ${name}=b`]] })).toBe(401);
    expect(
      await statusOf({
        headers: [
          ["Cookie", `${name}=a`],
          ["Cookie", `${name}=b`],
        ],
      }),
    ).toBe(401);
  });

  it("headers that other software believes decide nothing", async () => {
    const believed: Line[] = [
      ["X-Original-URI", "/public/a"],
      ["X-Rewrite-URL", "/public/a"],
      ["X-Forwarded-Prefix", "/public"],
      ["X-HTTP-Method-Override", "OPTIONS"],
      ["X-Forwarded-User", "root"],
      ["X-Auth-Request-Redirect", "/public/a"],
    ];
    expect(await statusOf({ target: "/admin", headers: believed })).toBe(401);
  });

  it("a credential that is an app's own goes on untouched where all may go", async () => {
    const { status, head } = await visit({
      target: "/public/a",
      headers: [["Authorization", "Bearer a.b.c"]],
    });
    expect(status).toBe(200);
    const removed = String(findInHead(head, "x-envoy-auth-headers-to-remove") ?? "");
    expect(findInHead(head, "authorization") ?? "Bearer a.b.c").toBe("Bearer a.b.c");
    expect(removed.split(",")).not.toContain("authorization");
  });

  it("what the gate itself has signed for an app is no credential", async () => {
    const assertion = makeToken(gate.context, {}, { typ: "vestibule-gate+jwt" });
    expect(await statusOf({ headers: [["Authorization", `Bearer ${assertion}`]] })).toBe(401);
  });

  it("no cookie is set with what lets through, and no page of elsewhere reads any answer", async () => {
    const origin = ["Origin", "https://evil.test"] as const;
    for (const headers of [[origin], [origin, credential()]]) {
      const { head } = await visit({ headers });
      for (const name of ["set-cookie", "access-control-allow-origin"])
        expect(findInHead(head, name)).toBeUndefined();
      expect(findInHead(head, "cache-control")).toBe("no-store");
    }
  });
});

it.each(Object.keys(gateReasons) as (keyof typeof gateReasons)[])(
  "nginx hears one of five statuses, and its visitor never of a success, for %s",
  async (reason) => {
    const { outcome } = gateReasons[reason];
    const identity = [["X-Vestibule-Subject", "ann"]] as const;
    const decide = () =>
      outcome === "allow"
        ? ({ isAllowed: true, reason, identity, keyHeaders: [] } as const)
        : ({ isAllowed: false, reason } as const);
    const all = createTestDialects(decide, { tellsReasons: true });
    const lines = [
      "X-Vestibule-Proxy-Token",
      "vstp_good",
      "X-Original-URL",
      `https://${host}/`,
      "X-Original-Method",
      "GET",
    ];
    const asked = await all.send({ method: "GET", target: `${gatePath}/nginx`, lines });
    const expected = { allow: 200, unauthenticated: 401, forbidden: 403, limited: 429, unavailable: 503 }[
      outcome
    ];
    expect(asked.status).toBe(expected);
    expect(findInHead(asked.head, "x-vestibule-reason")).toBe(reason);
    for (const accept of ["text/html", "*/*"]) {
      const refused = await all.send({
        method: "GET",
        target: `${gatePath}/nginx/refusal`,
        lines: [...lines, "Accept", accept],
      });
      expect(refused.status).toBe(outcome === "allow" ? 503 : expected);
      expect(findInHead(refused.head, "x-vestibule-subject")).toBeUndefined();
      expect(findInHead(refused.head, "retry-after") !== undefined).toBe([429, 503].includes(refused.status));
    }
  },
);
