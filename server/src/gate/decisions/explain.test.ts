import { beforeEach, describe, expect, it } from "vitest";
import { silentLog } from "../../lib/log.ts";
import type { GateAsk } from "../asks/ask.ts";
import { bearer, makeToken, refuseSession, TestGate, toAsk } from "../test-support.ts";
import { createAskProviders } from "./ask-providers.ts";
import { createExplain, type Explanation } from "./explain.ts";

let gate: TestGate;
beforeEach(() => {
  gate = new TestGate();
});

const token = (claims: object = {}) => makeToken(gate.context, claims);

async function explain(ask: GateAsk): Promise<Explanation> {
  const explainAt = createExplain({
    askProviders: createAskProviders(silentLog, refuseSession),
    makeUnsignedHeaders: gate.makeHeaders,
  });
  return await explainAt(ask, gate.findFrontend(ask.frontdoorId, ask.host));
}

/** Names of the steps, one that was not passed with `!` before it. */
function outline({ steps }: Explanation): string {
  return steps.map(({ name, isPassed }) => (isPassed ? name : `!${name}`)).join(" ");
}

const asks: readonly (readonly [
  what: string,
  steps: string,
  serve: () => unknown,
  ask: () => Parameters<typeof toAsk>,
])[] = [
  [
    "somebody who comes in",
    "request frontend path credential provider email claims identity",
    () => gate.serve(["jwt"]),
    () => [bearer(token())],
  ],
  [
    "by the second provider",
    "request frontend path credential !provider provider email claims identity",
    () => gate.serve(["jwtElsewhere", "jwt"]),
    () => [bearer(token())],
  ],
  ["nobody", "request frontend path !credential", () => gate.serve(["jwt"]), () => [{}]],
  [
    "two tokens",
    "request frontend path !credential",
    () => gate.serve(["jwt"]),
    () => [{ authorization: ["a", "b"] }],
  ],
  [
    "a session that has ended",
    "request frontend path credential !provider",
    () => gate.serve(["jwt"]),
    () => [{ cookie: "__Host-vestibule=x" }],
  ],
  [
    "what cannot be read",
    "request frontend path !credential",
    () => gate.serve(["own"]),
    () => [{ authorization: "Basic ***" }],
  ],
  [
    "an expired token",
    "request frontend path credential !provider",
    () => gate.serve(["jwt"]),
    () => [bearer(token({ exp: 1 }))],
  ],
  [
    "a token that is nobody's",
    "request frontend path credential !provider",
    () => gate.serve(["keys"]),
    () => [bearer(token())],
  ],
  [
    "another address",
    "request frontend path credential provider !email",
    () => gate.serve(["jwt"], { emailPatterns: ["*@example.com"] }),
    () => [bearer(token({ email: "a@other.example", email_verified: true }))],
  ],
  [
    "a claim that is missing",
    "request frontend path credential provider email !claims",
    () => gate.serve(["jwt"], { requiredClaims: { tier: 1 } }),
    () => [bearer(token())],
  ],
  [
    "a public path",
    "request frontend path identity",
    () => gate.serve(["jwt"], { publicPaths: ["/health"] }),
    () => [{}, { target: "/health" }],
  ],
  [
    "a path that may be another",
    "request frontend !path",
    () => gate.serve(["jwt"], { publicPaths: ["/public/*"] }),
    () => [bearer(token()), { target: "/public/../x" }],
  ],
  [
    "a preflight",
    "request frontend path identity",
    () => gate.serve(["jwt"], { corsPreflight: true }),
    () => [{ origin: "x", "access-control-request-method": "PUT" }, { method: "OPTIONS" }],
  ],
  ["an unknown host", "request !frontend", () => gate.serve(["jwt"]), () => [{}, { host: "other.example" }]],
  [
    "a disabled organization",
    "request !frontend",
    () => gate.serve(["jwt"], {}, { isOpen: false }),
    () => [bearer(token())],
  ],
];

it.each(asks)("explains %s: %s, and decides alike", async (_what, steps, serve, ask) => {
  serve();
  const asked = toAsk(...ask());
  const explanation = await explain(asked);
  expect(outline(explanation)).toBe(steps);
  const { reason, isAllowed } = await gate.decider.decide(asked);
  expect(explanation).toMatchObject({ reason, isAllowed });
  expect(explanation.identity.length > 0).toBe(reason === "IDENTIFIED");
  // What is shown to managers is no credential, nor makes one.
  for (const [, value] of Object.entries(ask()[0] ?? {})) {
    if (String(value).length > 20)
      expect(JSON.stringify(explanation)).not.toContain(String(value).slice(-20));
  }
});

describe("an explanation", () => {
  it("names the providers, what they said, and what the app would be told", async () => {
    gate.serve(["jwtElsewhere", "jwt"]);
    const { steps, identity } = await explain(toAsk(bearer(token({ groups: ["a"] }))));
    expect(steps.filter(({ name }) => name === "provider")).toEqual([
      {
        name: "provider",
        isPassed: false,
        providerId: "provider-jwtElsewhere",
        detail: expect.stringMatching(/^wrong_audience: /),
      },
      { name: "provider", isPassed: true, providerId: "provider-jwt", detail: "vouches for alice" },
    ]);
    expect(identity).toEqual([
      ["X-Vestibule-Subject", "provider-jwt:alice"],
      ["X-Vestibule-Groups", "a"],
    ]);
  });

  it("says what would be accepted where nothing is there", async () => {
    gate.serve(["jwt", "keys", "own"]);
    const { steps } = await explain(toAsk({}));
    expect(steps.at(-1)?.detail).toBe(
      "there is none; accepted is a JWT of https://issuer.example.com, a JWT of https://auth.example.com, a credential of this service, an API key in x-api-key",
    );
    gate.serve([]);
    expect((await explain(toAsk({}))).steps.at(-1)?.detail).toMatch(/accepts no credential/);
  });

  it("uses nothing up: no key, no rate, no failure, no record", async () => {
    gate.serve(["keys"], { apiKeyRate: { requests: 1, perSeconds: 60 } });
    const key = gate.makeApiKey();
    for (let times = 0; times < 200; times += 1) {
      expect(await explain(toAsk({ "x-api-key": key }))).toMatchObject({ reason: "IDENTIFIED" });
      expect(await explain(toAsk({ "x-api-key": "vstk_x" }))).toMatchObject({ reason: "BAD_CREDENTIAL" });
    }
    expect(gate.context.usedKeys).toEqual([]);
    expect(gate.refusals).toEqual([]);
    expect(await gate.reason({ "x-api-key": key })).toBe("IDENTIFIED");
    expect(await gate.reason({ "x-api-key": "vstk_x" }, { requestId: "r" })).toBe("BAD_CREDENTIAL");
  });

  it("tells of an ask that is none", async () => {
    const explainAt = createExplain({
      askProviders: createAskProviders(silentLog, refuseSession),
      makeUnsignedHeaders: gate.makeHeaders,
    });
    const explanation = await explainAt("FORGED_IDENTITY", undefined);
    expect([explanation.reason, outline(explanation)]).toEqual(["FORGED_IDENTITY", "!request"]);
  });
});
