import { beforeEach, describe, expect, it } from "vitest";
import type { ProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { createTestContext, makeKey } from "../../frontdoor/provider-types/test-support.ts";
import { DomainError } from "../../lib/errors.ts";
import { hashSecret, newSecret } from "../../lib/secrets.ts";
import {
  bearer,
  frontdoorId,
  host,
  issuer,
  issuerKey,
  makeToken,
  orgId,
  TestGate,
  toAsk,
  toldOf,
} from "../test-support.ts";

let gate: TestGate;
beforeEach(() => {
  gate = new TestGate();
});

const token = (claims: object = {}, header: object = {}) => makeToken(gate.context, claims, header);

/** What the decider says without waiting; undefined when it has to. */
function decideAtOnce(headers: Parameters<typeof toAsk>[0], rest = {}) {
  const decision = gate.decider.decide(toAsk(headers, rest));
  return decision instanceof Promise ? undefined : decision;
}

describe("who comes in", () => {
  it("by a JWT: whom its provider vouches for, under the provider's id", async () => {
    const [id] = gate.serve(["jwt"]);
    const claims = { name: "Alice", email: "a@example.com", email_verified: true, groups: ["x", "y"] };
    const decision = await gate.ask(bearer(token(claims)));
    expect(decision).toMatchObject({ isAllowed: true, reason: "IDENTIFIED", consumed: "authorization" });
    expect(toldOf(decision)).toEqual({
      Subject: `${id}:alice`,
      Email: "a@example.com",
      Name: "Alice",
      Groups: "x,y",
    });
  });

  it("by an address that nobody vouched for: without it", async () => {
    gate.serve(["jwt"]);
    const decision = await gate.ask(bearer(token({ email: "a@example.com" })));
    expect(toldOf(decision)).toEqual({ Subject: "provider-jwt:alice" });
  });

  it("by an API key in its provider's header, whose use is noted every time", async () => {
    gate.serve(["keys"]);
    const key = gate.makeApiKey();
    const decision = await gate.ask({ "x-api-key": key });
    expect(decision).toMatchObject({ isAllowed: true, consumed: "x-api-key" });
    expect(toldOf(decision)).toEqual({ Subject: "provider-keys:key-1", Name: "ci" });
    await gate.ask({ "x-api-key": key });
    expect(gate.context.usedKeys).toEqual(["key-1", "key-1"]);
  });

  it("by what this service hands out: under the principal's own id", async () => {
    gate.serve(["own"]);
    const own = {
      memberships: [{ orgId, orgName: "acme", role: "viewer" }],
      emailVerified: true,
      dependsOn: [],
    } as const;
    gate.context.principals.set("vstt_x", { ...own, type: "serviceuser", id: "m1" });
    gate.context.principals.set("secret", { ...own, type: "serviceuser", id: "m2" });
    const iss = gate.context.own.issuer;
    const accessToken = issuerKey.sign({ iss, sub: "whatever it says" });
    gate.context.principals.set(accessToken, { ...own, type: "user", id: "u1", email: "u@example.com" });
    expect(toldOf(await gate.ask(bearer("vstt_x")))).toEqual({
      Subject: "m1",
      Organizations: orgId,
      Groups: "acme,acme:viewer",
    });
    expect(toldOf(await gate.ask(bearer(accessToken)))).toMatchObject({
      Subject: "u1",
      Email: "u@example.com",
    });
    const basic = `Basic ${Buffer.from("id:secret").toString("base64")}`;
    gate.context.own.identify = async () => ({ ...own, type: "serviceuser", id: "m2" });
    expect(toldOf(await gate.ask({ authorization: basic }))).toMatchObject({ Subject: "m2" });
  });

  it("by the first provider that vouches, where several have one issuer", async () => {
    gate.serve(["jwtElsewhere", "jwt"]);
    expect(toldOf(await gate.ask(bearer(token())))).toEqual({ Subject: "provider-jwt:alice" });
    expect(toldOf(await gate.ask(bearer(token({ aud: "elsewhere" }))))).toEqual({
      Subject: "provider-jwtElsewhere:alice",
    });
    expect(await gate.reason(bearer(token({ aud: "nowhere" })))).toBe("BAD_CREDENTIAL");
  });

  it("nobody, at a frontend whose providers are all disabled", async () => {
    gate.serve([]);
    expect(await gate.reason(bearer(token()))).toBe("BAD_CREDENTIAL");
    expect(await gate.reason()).toBe("NO_CREDENTIAL");
  });
});

describe("a credential that nobody vouches for", () => {
  beforeEach(() => void gate.serve(["jwt", "keys", "own"]));

  it.each([
    ["an expired token", () => bearer(token({ exp: 1 }))],
    ["another key's", () => bearer(makeKey("k1").sign({ iss: issuer, aud: "app", sub: "a", exp: 9e9 }))],
    ["another issuer's", () => bearer(token({ iss: "https://other.example.com" }))],
    ["a token without issuer", () => bearer(token({ iss: undefined }))],
    ["a token whose issuer is no text", () => bearer(token({ iss: [issuer] }))],
    ["a token of no kind", () => bearer("a.b.c")],
    ["an endless token", () => bearer(`a.${"b".repeat(20_000)}.c`)],
    ["a signed assertion of the gate's own kind", () => bearer(token({}, { typ: "vestibule-gate+jwt" }))],
    ["an opaque token of nobody", () => bearer("nobody")],
    ["an empty bearer token", () => ({ authorization: "Bearer " })],
    ["an empty Authorization", () => ({ authorization: "" })],
    ["a scheme that nobody knows", () => ({ authorization: "Digest x" })],
    ["Basic that is no base64", () => ({ authorization: "Basic ***" })],
    ["two bearer tokens on a line", () => ({ authorization: `Bearer ${token()}, Bearer ${token()}` })],
    ["a key as bearer token", () => bearer(gate.makeApiKey())],
    ["a token as key", () => ({ "x-api-key": token() })],
    ["an empty key", () => ({ "x-api-key": "" })],
    ["another provider's key", () => ({ "x-api-key": gate.makeApiKey("k", "provider-otherKeys") })],
    ["a proxy's token", () => bearer("vstp_x")],
  ])("is a denial: %s", async (_what, headers) => {
    const decision = await gate.ask(headers());
    expect(decision).toMatchObject({ isAllowed: false, reason: "BAD_CREDENTIAL" });
    expect(decision).toMatchObject({ challenges: ['Bearer error="invalid_token"'] });
  });

  it("says to operators which provider found what, and never quotes the credential", async () => {
    const bad = token({ exp: 1 });
    const decision = await gate.ask(bearer(bad));
    expect(decision).toMatchObject({ detail: expect.stringMatching(/^provider-jwt \(expired\): /) });
    expect(JSON.stringify(decision)).not.toContain(bad.split(".")[2]);
  });

  it("is not made good by another that is", async () => {
    const key = gate.makeApiKey();
    expect(await gate.reason({ ...bearer("a.b.c"), "x-api-key": key })).toBe("BAD_CREDENTIAL");
    expect(await gate.reason({ "x-api-key": key, cookie: "__Host-vestibule=x" })).toBe("IDENTIFIED");
    expect(await gate.reason({ "x-api-key": "vstk_x", cookie: "__Host-vestibule=x" })).toBe("BAD_CREDENTIAL");
    expect(await gate.reason({ cookie: "__Host-vestibule=x" })).toBe("SESSION_ENDED");
    expect(await gate.reason({ cookie: "sid=x; vestibule_gate=y" })).toBe("NO_CREDENTIAL");
  });
});

describe("which credential decides", () => {
  beforeEach(() => void gate.serve(["jwt", "keys"]));

  it("Authorization before a key, and what does not decide goes on", async () => {
    const decision = await gate.ask({ "x-api-key": gate.makeApiKey(), ...bearer(token()) });
    expect(decision).toMatchObject({ isAllowed: true, consumed: "authorization" });
  });

  it.each([
    ["Authorization", () => ({ authorization: [`Bearer ${token()}`, `Bearer ${token()}`] })],
    ["Authorization, one of them bad", () => ({ authorization: [`Bearer ${token()}`, "Bearer x"] })],
    ["a key header", () => ({ "x-api-key": [gate.makeApiKey(), gate.makeApiKey("key-2")] })],
    ["a key header beside a token", () => ({ ...bearer(token()), "x-api-key": ["a", "b"] })],
    ["a session, on one line", () => ({ cookie: "__Host-vestibule=a; __Host-vestibule=a" })],
    ["a session, on two", () => ({ cookie: ["__Host-vestibule=a", "b=1; __Host-vestibule=a"] })],
    [
      "a session beside a token",
      () => ({ ...bearer(token()), cookie: ["__Host-vestibule=a; __Host-vestibule=b"] }),
    ],
  ])("none of two of one kind: %s", async (_what, headers) => {
    expect(await gate.reason(headers())).toBe("AMBIGUOUS_CREDENTIAL");
  });

  it("none of two keys for different providers", async () => {
    gate.serve(["keys", "otherKeys"]);
    const both = {
      "x-api-key": gate.makeApiKey(),
      "x-other-key": gate.makeApiKey("k2", "provider-otherKeys"),
    };
    expect(await gate.reason(both)).toBe("AMBIGUOUS_CREDENTIAL");
    expect(await gate.reason({ "x-other-key": both["x-other-key"] })).toBe("IDENTIFIED");
  });

  it("a header of keys is an app's own where no provider reads it", async () => {
    gate.serve(["jwt"]);
    expect(await gate.reason({ "x-api-key": ["a", "b"] })).toBe("NO_CREDENTIAL");
    expect(await gate.reason({ "x-api-key": "a", ...bearer(token()) })).toBe("IDENTIFIED");
  });

  it("where Authorization is the app's, it proves nothing, and a key does", async () => {
    gate.serve(["jwt", "keys"], {}, { authorization: "PASS" });
    expect(await gate.reason(bearer(token()))).toBe("NO_CREDENTIAL");
    expect(await gate.reason({ authorization: ["a", "b"] })).toBe("NO_CREDENTIAL");
    const decision = await gate.ask({ ...bearer("x"), "x-api-key": gate.makeApiKey() });
    expect(decision).toMatchObject({ isAllowed: true, consumed: "x-api-key" });
  });
});

describe("paths", () => {
  it("that are public need no credential, and none there is judged, taken or counted", async () => {
    gate.serve(["jwt", "keys"], { publicPaths: ["/health"] });
    for (const headers of [
      {},
      bearer("a.b.c"),
      bearer(token()),
      { authorization: ["a", "b"] },
      { "x-api-key": gate.makeApiKey() },
    ]) {
      const decision = await gate.ask(headers, { target: "/health" });
      expect(decision).toMatchObject({ isAllowed: true, reason: "PUBLIC_PATH" });
      expect(decision).not.toHaveProperty("consumed");
      expect(toldOf(decision)).toEqual({});
      expect(decision).toMatchObject({ identity: expect.arrayContaining([["X-Vestibule-Subject", ""]]) });
    }
    expect(gate.context.usedKeys).toEqual([]);
    const withSession = await gate.ask({ cookie: "a=1; sid=ours" }, { target: "/health" });
    expect(withSession).toMatchObject({ isAllowed: true, cookie: "a=1" });
  });

  it.each(["/x?/public/a", "/x?path=/health", "/admin?/../public/", "/health/../x"])(
    "are decided without the query: %s",
    async (target) => {
      gate.serve(["jwt"], { publicPaths: ["/health", "/public/*"] });
      expect((await gate.ask({}, { target })).isAllowed).toBe(false);
    },
  );

  it("that may be read as others are refused where a prefix decides, whoever asks", async () => {
    gate.serve(["jwt"], { publicPaths: ["/public/*"] });
    expect(await gate.reason(bearer(token()), { target: "/public/../admin" })).toBe("ABNORMAL_PATH");
    gate.serve(["jwt"], { publicPaths: ["/health"] });
    expect(await gate.reason(bearer(token()), { target: "/api/a%2Fb" })).toBe("IDENTIFIED");
    expect(await gate.reason({}, { target: "/%2e/health" })).toBe("NO_CREDENTIAL");
  });
});

describe("the assertion's second header", () => {
  it("comes from nobody in a spelling that an app may take for it", async () => {
    gate.serve(["jwt"], { publicPaths: ["/health"] }, { assertionHeader: "X-JWT-Assertion" });
    for (const name of ["x_jwt_assertion", "x-jwt_assertion", "x.jwt.assertion", "x~jwt-assertion"]) {
      expect([name, await gate.reason({ [name]: "x", ...bearer(token()) })]).toEqual([
        name,
        "FORGED_IDENTITY",
      ]);
      expect(await gate.reason({ [name]: "x" }, { target: "/health" })).toBe("FORGED_IDENTITY");
    }
    // Its own name is overwritten, as every proxy is told.
    expect(await gate.reason({ "x-jwt-assertion": "x", ...bearer(token()) })).toBe("IDENTIFIED");
    expect(await gate.reason({ "x-jwt-assertions": "x", ...bearer(token()) })).toBe("IDENTIFIED");
  });

  it("may be anything where the frontend names none", async () => {
    gate.serve(["jwt"]);
    expect(await gate.reason({ x_jwt_assertion: "x", ...bearer(token()) })).toBe("IDENTIFIED");
  });
});

describe("preflights of CORS", () => {
  const preflight = { origin: "https://other.example", "access-control-request-method": "PUT" };

  it("go through without an identity where the policy says so", async () => {
    gate.serve(["jwt"], { corsPreflight: true });
    const decision = await gate.ask(preflight, { method: "OPTIONS" });
    expect(decision).toMatchObject({ isAllowed: true, reason: "CORS_PREFLIGHT" });
    expect(toldOf(decision)).toEqual({});
    expect(await gate.reason(preflight, { method: "GET" })).toBe("NO_CREDENTIAL");
    expect(await gate.reason(preflight, { method: "options" })).toBe("NO_CREDENTIAL");
    expect(await gate.reason({ origin: "x" }, { method: "OPTIONS" })).toBe("NO_CREDENTIAL");
  });

  it("do not by default", async () => {
    gate.serve(["jwt"]);
    expect(await gate.reason(preflight, { method: "OPTIONS" })).toBe("NO_CREDENTIAL");
  });
});

describe("the policy", () => {
  it("lets in verified addresses that fit, and nobody without one", async () => {
    gate.serve(["jwt", "keys"], { emailPatterns: ["*@example.com"] });
    const reason = (email: unknown, verified: unknown) =>
      gate.reason(bearer(token({ email, email_verified: verified })));
    expect(await reason("a@example.com", true)).toBe("IDENTIFIED");
    expect(await reason("A@EXAMPLE.com", true)).toBe("IDENTIFIED");
    expect(await reason("a@example.com", false)).toBe("EMAIL_NOT_ALLOWED");
    // Some providers send it as text.
    expect(await reason("a@example.com", "true")).toBe("IDENTIFIED");
    expect(await reason("a@example.com", "false")).toBe("EMAIL_NOT_ALLOWED");
    expect(await reason("a@example.com", "yes")).toBe("EMAIL_NOT_ALLOWED");
    expect(await reason("a@evil.com@example.com", true)).toBe("EMAIL_NOT_ALLOWED");
    expect(await reason(undefined, true)).toBe("EMAIL_NOT_ALLOWED");
    expect(await gate.reason({ "x-api-key": gate.makeApiKey() })).toBe("EMAIL_NOT_ALLOWED");
    expect(gate.context.usedKeys).toEqual([]);
  });

  it("asks for claims: a value, one of a list, all of several", async () => {
    gate.serve(["jwt"], { requiredClaims: { groups: ["staff", "dev"], tier: 1 } });
    const reason = (claims: object) => gate.reason(bearer(token(claims)));
    expect(await reason({ groups: ["dev", "x", "staff"], tier: 1 })).toBe("IDENTIFIED");
    expect(await reason({ groups: ["staff"], tier: 1 })).toBe("CLAIM_MISSING");
    expect(await reason({ groups: ["dev", "staff"], tier: "1" })).toBe("CLAIM_MISSING");
    expect(await reason({ groups: ["dev", "staff"] })).toBe("CLAIM_MISSING");
  });

  it("gives the first identity that is vouched for no second chance with another provider", async () => {
    const ids = gate.serve(["jwt", "jwt"], { requiredClaims: { tier: 1 } });
    const decision = await gate.ask(bearer(token()));
    expect(ids).toHaveLength(2);
    expect(decision).toEqual({
      isAllowed: false,
      reason: "CLAIM_MISSING",
      detail: 'the claim "tier" is missing or another',
    });
  });
});

describe("a host", () => {
  it("that no frontend of the frontdoor has is a denial, whatever is presented", async () => {
    gate.serve(["jwt"]);
    for (const at of ["other.example.com", `${host}:8443`, ""]) {
      expect(await gate.reason(bearer(token()), { host: at })).toBe("UNKNOWN_HOST");
    }
    const elsewhere = { frontdoorId: "0199c9a0-0000-7000-8000-00000000beef" };
    expect(await gate.reason(bearer(token()), elsewhere)).toBe("UNKNOWN_HOST");
  });

  it("of a disabled organization is closed, its public paths too", async () => {
    gate.serve(["jwt"], { publicPaths: ["/health"] }, { isOpen: false });
    expect(await gate.reason(bearer(token()))).toBe("FRONTDOOR_CLOSED");
    expect(await gate.reason({}, { target: "/health" })).toBe("FRONTDOOR_CLOSED");
  });
});

describe("what is remembered", () => {
  it("decides at once, with headers that were made once", async () => {
    gate.serve(["jwt"], { publicPaths: ["/health"] });
    const asked = bearer(token());
    expect(decideAtOnce(asked)).toBeUndefined();
    const first = await gate.ask(asked);
    expect(decideAtOnce(asked)).toBe(first);
    expect(gate.made).toBe(1);
    await gate.ask({}, { target: "/health" });
    expect(decideAtOnce({}, { target: "/health" })).toMatchObject({ reason: "PUBLIC_PATH" });
    expect(gate.made).toBe(2);
  });

  it("is one for all who ask at the same time", async () => {
    gate.serve(["jwt"]);
    const asked = bearer(token());
    await Promise.all([gate.ask(asked), gate.ask(asked), gate.ask(asked)]);
    expect(gate.made).toBe(1);
  });

  it("is nobody else's: by frontdoor, host, header, frontend and providers", async () => {
    gate.serve(["jwt"]);
    const asked = bearer(token());
    await gate.ask(asked);
    gate.serve(["jwt"], {}, { at: "b.example.com" });
    expect(decideAtOnce(asked, { host: "b.example.com" })).toBeUndefined();
    gate.serve(["jwt"], {}, { frontdoorId: "another" });
    expect(decideAtOnce(asked, { frontdoorId: "another" })).toBeUndefined();
    gate.serve(["jwt"], { requiredClaims: { tier: 1 } });
    expect(await gate.reason(asked)).toBe("CLAIM_MISSING");
    gate.serve(["jwtElsewhere"]);
    expect(await gate.reason(asked)).toBe("BAD_CREDENTIAL");
    gate.serve(["jwt"]);
    expect(decideAtOnce(asked)).toMatchObject({ isAllowed: true });
  });

  it("is by what a connection brings, not by what it brought before", async () => {
    gate.serve(["jwt", "keys"]);
    gate.serve(["jwt"], {}, { at: "b.example.com" });
    const connection = {};
    const told = async (headers: Parameters<typeof toAsk>[0], rest = {}) =>
      toldOf(await gate.ask(headers, { connection, ...rest }));
    const [alice, bob] = [bearer(token()), bearer(token({ sub: "bob" }))];
    for (let round = 0; round < 2; round++) {
      expect(await told(alice)).toMatchObject({ Subject: "provider-jwt:alice" });
      expect(decideAtOnce(alice, { connection })).toMatchObject({ isAllowed: true });
      expect(await told(bob)).toMatchObject({ Subject: "provider-jwt:bob" });
      expect(await gate.reason({ authorization: `${bob.authorization}x` }, { connection })).toBe(
        "BAD_CREDENTIAL",
      );
      expect(await gate.reason({ "x-api-key": bob.authorization }, { connection })).toBe("BAD_CREDENTIAL");
      expect(await gate.reason({}, { connection })).toBe("NO_CREDENTIAL");
      expect(await told(bob)).toMatchObject({ Subject: "provider-jwt:bob" });
    }
    expect(decideAtOnce(bob, { connection, host: "b.example.com" })).toBeUndefined();
    gate.serve(["jwt"], { requiredClaims: { tier: 1 } });
    expect(await gate.reason(bob, { connection })).toBe("CLAIM_MISSING");
  });

  it("ends with the credential, and with half the life of the assertion", async () => {
    gate.serve(["jwt"]);
    const asked = bearer(token({ exp: Math.floor(gate.context.clock.now().getTime() / 1000) + 10 }));
    await gate.ask(asked);
    gate.context.pass(9.999);
    expect(decideAtOnce(asked)).toMatchObject({ isAllowed: true });
    gate.context.pass(0.001);
    expect(decideAtOnce(asked)).toBeUndefined();
    // The clocks may be a minute apart: it is judged each time.
    expect(await gate.reason(asked)).toBe("IDENTIFIED");
    expect(decideAtOnce(asked)).toBeUndefined();
    gate.context.pass(60);
    expect(await gate.reason(asked)).toBe("BAD_CREDENTIAL");

    const lasting = bearer(token());
    await gate.ask(lasting);
    gate.context.pass(29.999);
    expect(decideAtOnce(lasting)).toMatchObject({ isAllowed: true });
    gate.context.pass(0.001);
    expect(decideAtOnce(lasting)).toBeUndefined();
  });

  it("lets nobody in after a credential's end, however many ask across it", async () => {
    gate.serve(["jwt"]);
    const asked = bearer(token({ exp: Math.floor(gate.context.clock.now().getTime() / 1000) - 59 }));
    const before = await Promise.all(Array.from({ length: 50 }, () => gate.reason(asked)));
    gate.context.pass(1);
    const after = await Promise.all(Array.from({ length: 50 }, () => gate.reason(asked)));
    expect(new Set(before)).toEqual(new Set(["IDENTIFIED"]));
    expect(new Set(after)).toEqual(new Set(["BAD_CREDENTIAL"]));
  });

  it("does not hold for longer because the clock is set back", async () => {
    gate.serve(["jwt"]);
    const asked = bearer(token());
    await gate.ask(asked);
    gate.context.pass(-3600);
    expect(decideAtOnce(asked)).toBeUndefined();
  });

  it("is forgotten when something it was read from changes", async () => {
    gate.serve(["keys"]);
    const key = gate.makeApiKey();
    await gate.ask({ "x-api-key": key });
    gate.feed.change("credential", "another key");
    expect(decideAtOnce({ "x-api-key": key })).toMatchObject({ isAllowed: true });
    gate.context.storedKeys.clear();
    gate.feed.change("credential", "key-1");
    expect(await gate.reason({ "x-api-key": key })).toBe("BAD_CREDENTIAL");
  });

  it("is forgotten when signing keys change, for its assertions are theirs", async () => {
    gate.serve(["jwt"]);
    const asked = bearer(token());
    await gate.ask(asked);
    gate.feed.change("signing-keys", "all");
    expect(decideAtOnce(asked)).toBeUndefined();
  });

  it("is not asked while this process may have missed a change", async () => {
    gate.serve(["keys"]);
    const key = gate.makeApiKey();
    await gate.ask({ "x-api-key": key });
    gate.feed.confirmed = false;
    expect(decideAtOnce({ "x-api-key": key })).toBeUndefined();
    gate.context.storedKeys.clear();
    expect(await gate.reason({ "x-api-key": key })).toBe("BAD_CREDENTIAL");
  });

  it("of a denial holds for the second ask of a request, until anything changes", async () => {
    gate.serve(["keys"]);
    const { findApiKey } = gate.context.apiKeys;
    let lookedUp = 0;
    gate.context.apiKeys.findApiKey = async (...asked) => {
      lookedUp += 1;
      return await findApiKey(...asked);
    };
    const key = newSecret("vstk");
    const reason = () => gate.reason({ "x-api-key": key });
    expect([await reason(), await reason(), lookedUp]).toEqual(["BAD_CREDENTIAL", "BAD_CREDENTIAL", 1]);
    gate.context.pass(2);
    expect([await reason(), lookedUp]).toEqual(["BAD_CREDENTIAL", 2]);
    gate.context.storedKeys.set(hashSecret(key), { id: "key-2", title: "", providerId: "provider-keys" });
    gate.feed.change("credential", "key-2");
    expect(await reason()).toBe("IDENTIFIED");
  });

  it("of a denial is not asked while this process may have missed a change", async () => {
    gate.serve(["keys"]);
    const key = newSecret("vstk");
    await gate.ask({ "x-api-key": key });
    gate.context.storedKeys.set(hashSecret(key), { id: "key-2", title: "", providerId: "provider-keys" });
    gate.feed.confirmed = false;
    expect(await gate.reason({ "x-api-key": key })).toBe("IDENTIFIED");
  });
});

describe("failures", () => {
  /** Presents so many bad credentials, each in a request of its own. */
  async function fail(times: number, make: (index: number) => Record<string, string>, from = "192.0.2.1") {
    let last = "";
    for (let index = 0; index < times; index += 1) {
      const rest = { clientAddress: from, requestId: `${from} ${index}` };
      last = await gate.reason(make(index), rest);
    }
    return last;
  }
  const basic = (secret: string, id = "019a0000-0000-7000-8000-000000000003") => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`,
  });

  beforeEach(() => void gate.serve(["jwt", "own"]));

  it("count against the visitor's address, with those of its block, and no other", async () => {
    expect(await fail(100, (index) => bearer(`nobody-${index}`), "2001:db8::1")).toBe("BAD_CREDENTIAL");
    const elsewhere = { clientAddress: "2001:db8:0:1::1", requestId: "x" };
    const refused = await gate.ask(bearer("nobody"), { ...elsewhere, clientAddress: "2001:db8::2" });
    expect(refused).toMatchObject({ reason: "TOO_MANY_FAILURES", retryAfterSeconds: expect.any(Number) });
    expect(await gate.reason(bearer("nobody"), elsewhere)).toBe("BAD_CREDENTIAL");
    // What cannot be guessed is judged all the same.
    expect(await gate.reason(bearer(token()), { clientAddress: "2001:db8::1" })).toBe("IDENTIFIED");
  });

  it("count once for a request, however often a proxy asks", async () => {
    const asked = { requestId: "one" };
    for (let index = 0; index < 300; index += 1) {
      expect(await gate.reason(bearer("nobody"), asked)).toBe("BAD_CREDENTIAL");
    }
    // But each guess by itself, whatever id a visitor gives its requests.
    for (let index = 0; index < 99; index += 1) await gate.reason(bearer(`nobody-${index}`), asked);
    expect(await gate.reason(bearer("nobody-99"), asked)).toBe("TOO_MANY_FAILURES");
  });

  it("of a secret that could be guessed end with its judging, but not for who was good before", async () => {
    const admitted = {
      memberships: [{ orgId, orgName: "acme", role: "viewer" }],
      emailVerified: false,
      dependsOn: [],
    } as const;
    let judged = 0;
    gate.context.own.identify = async (credential) => {
      judged += 1;
      const isGood = credential.kind === "basic" && credential.secret === "good";
      if (!isGood) throw new DomainError("NOT_AUTHENTICATED");
      return { ...admitted, type: "serviceuser", id: "m1" };
    };
    expect(await gate.reason(basic("good"))).toBe("IDENTIFIED");
    expect(await fail(20, (index) => basic(`wrong-${index}`), "192.0.2.9")).toBe("BAD_CREDENTIAL");
    judged = 0;
    const there = { clientAddress: "192.0.2.9" };
    expect(await gate.reason({ ...basic("good"), cookie: "a=1" }, { ...there, host })).toBe("IDENTIFIED");
    expect(await gate.reason(basic("other"), { ...there, requestId: "y" })).toBe("TOO_MANY_FAILURES");
    expect(judged).toBe(0);
  });

  it("are not those who are missing, unclear, refused by the policy, or cannot be told", async () => {
    gate.serve(["jwt"], { requiredClaims: { tier: 1 } });
    for (let index = 0; index < 150; index += 1) {
      const rest = { requestId: `${index}` };
      await gate.ask({}, rest);
      await gate.ask({ authorization: ["a", "b"] }, rest);
      await gate.ask(bearer(token({ sub: `s${index}` })), rest);
    }
    expect(await gate.reason(bearer("nobody"), { requestId: "last" })).toBe("BAD_CREDENTIAL");
  });
});

describe("an API key's rate", () => {
  it("is that of the key, at this frontend, in a rolling minute", async () => {
    gate.serve(["keys"], { apiKeyRate: { requests: 3, perSeconds: 60 } });
    const key = gate.makeApiKey();
    for (let use = 0; use < 3; use += 1) expect(await gate.reason({ "x-api-key": key })).toBe("IDENTIFIED");
    const refused = await gate.ask({ "x-api-key": key });
    expect(refused).toMatchObject({
      isAllowed: false,
      reason: "KEY_RATE",
      retryAfterSeconds: expect.any(Number),
    });
    expect(gate.context.usedKeys).toHaveLength(3);
    expect(await gate.reason({ "x-api-key": gate.makeApiKey("key-2") })).toBe("IDENTIFIED");
    gate.context.pass(81);
    expect(await gate.reason({ "x-api-key": key })).toBe("IDENTIFIED");
  });

  it("counts all who use it at the same time", async () => {
    gate.serve(["keys"], { apiKeyRate: { requests: 5, perSeconds: 60 } });
    const key = gate.makeApiKey();
    const reasons = await Promise.all(Array.from({ length: 20 }, () => gate.reason({ "x-api-key": key })));
    expect(reasons.filter((reason) => reason === "IDENTIFIED")).toHaveLength(5);
  });
});

describe("what is changed while somebody is judged", () => {
  it.each<[string, () => void, string]>([
    ["the provider is gone", () => gate.serve([]), "BAD_CREDENTIAL"],
    [
      "the policy is stricter",
      () => gate.serve(["jwt"], { emailPatterns: ["*@b.example"] }),
      "EMAIL_NOT_ALLOWED",
    ],
    ["the frontdoor is closed", () => gate.serve(["jwt"], {}, { isOpen: false }), "FRONTDOOR_CLOSED"],
    ["another frontend has the host", () => gate.serve(["jwt"], {}, { id: "frontend-2" }), "IDENTIFIED"],
  ])("counts, however slow the issuer is: %s", async (_what, change, reason) => {
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const types = (all: ProviderTypes): ProviderTypes => ({
      ...all,
      get: (name) => ({
        ...all.get(name),
        async authenticate(...judged) {
          const decision = await all.get(name).authenticate(...judged);
          asked.resolve();
          await answered.promise;
          return decision;
        },
      }),
    });
    gate = new TestGate(createTestContext(), types);
    gate.serve(["jwt"]);
    const asking = gate.reason(bearer(token()));
    await asked.promise;
    change();
    answered.resolve();
    expect(await asking).toBe(reason);
  });

  it("counts on public paths too, however slow the signing is", async () => {
    gate.serve(["jwt"], { publicPaths: ["/health"] });
    const asking = gate.reason({}, { target: "/health" });
    gate.serve(["jwt"]);
    expect(await asking).toBe("NO_CREDENTIAL");
  });
});

describe("when something is away or broken, nobody comes in", () => {
  it("the database: it cannot be told", async () => {
    gate.serve(["keys"]);
    const key = gate.makeApiKey();
    gate.context.apiKeys.findApiKey = async () => {
      throw new DomainError("UNAVAILABLE");
    };
    expect(await gate.ask({ "x-api-key": key })).toMatchObject({
      isAllowed: false,
      reason: "UNAVAILABLE",
      retryAfterSeconds: expect.any(Number),
    });
    expect(gate.logged).toEqual([]);
  });

  it("one of two providers of an issuer: it cannot be told, unless the other vouches", async () => {
    const types = (all: ProviderTypes): ProviderTypes => ({
      ...all,
      get: (name) => {
        const type = all.get(name);
        return {
          ...type,
          authenticate: async (provider, credential) =>
            provider.id === "provider-jwtElsewhere"
              ? { allowed: false, reason: "unavailable", detail: "down" }
              : await type.authenticate(provider, credential),
        };
      },
    });
    gate = new TestGate(createTestContext(), types);
    gate.serve(["jwtElsewhere", "jwt"]);
    expect(await gate.reason(bearer(token()))).toBe("IDENTIFIED");
    expect(await gate.reason(bearer(token({ aud: "elsewhere" })))).toBe("UNAVAILABLE");
    // It is asked again as soon as it is back.
    expect(decideAtOnce(bearer(token({ aud: "elsewhere" })))).toBeUndefined();
  });

  it("a type of provider that throws: a denial, and the log knows", async () => {
    const types = (all: ProviderTypes): ProviderTypes => ({
      ...all,
      get: (name) => ({ ...all.get(name), authenticate: () => Promise.reject(new TypeError("a defect")) }),
    });
    gate = new TestGate(createTestContext(), types);
    gate.serve(["jwt"]);
    expect(await gate.reason(bearer(token()))).toBe("UNAVAILABLE");
    expect(gate.logged).toMatchObject([{ provider: "provider-jwt" }]);
  });

  it("the signing of assertions: a denial, on public paths too", async () => {
    gate.serve(["jwt"], { publicPaths: ["/health"] });
    gate.signingFails = new DomainError("UNAVAILABLE");
    expect(await gate.reason(bearer(token()))).toBe("UNAVAILABLE");
    expect(await gate.reason({}, { target: "/health" })).toBe("UNAVAILABLE");
    gate.signingFails = new Error("a defect");
    expect(await gate.reason(bearer(token()))).toBe("UNAVAILABLE");
    expect(gate.logged).toHaveLength(1);
    gate.signingFails = undefined;
    expect(await gate.reason(bearer(token()))).toBe("IDENTIFIED");
  });

  it("a rule that throws: a denial, at once", () => {
    const paths = () => {
      throw new Error("a defect");
    };
    gate.serve(["jwt"], {}, { paths });
    expect(decideAtOnce({})).toMatchObject({ isAllowed: false, reason: "UNAVAILABLE" });
  });

  it("an identity that fits into no answer: a denial", async () => {
    gate.serve(["jwt"]);
    gate.assertion = "a".repeat(11_000);
    expect(await gate.reason(bearer(token()))).toBe("IDENTIFIED");
    gate.assertion = "a".repeat(12_300);
    expect(await gate.reason(bearer(token({ sub: "bob" })))).toBe("HEAD_TOO_LARGE");
  });
});

describe("what is kept of decisions", () => {
  it("a count of each reason, and a record of denials", async () => {
    gate.serve(["jwt"], { publicPaths: ["/health"] });
    const asked = bearer(token());
    await gate.ask(asked);
    await gate.ask(asked);
    await gate.ask();
    await gate.ask({}, { target: "/health" });
    await gate.ask(bearer("a.b.c"));
    await gate.ask({}, { host: "other.example.com" });
    expect(gate.recorder.read()).toMatchObject({
      IDENTIFIED: 2,
      NO_CREDENTIAL: 1,
      PUBLIC_PATH: 1,
      BAD_CREDENTIAL: 1,
      UNKNOWN_HOST: 1,
      UNAVAILABLE: 0,
    });
    expect(gate.refusals).toMatchObject([
      {
        action: "gate.deny",
        reason: "BAD_CREDENTIAL",
        orgId,
        target: "frontend-1",
        details: { frontdoor: frontdoorId, host },
      },
      { action: "gate.deny", reason: "UNKNOWN_HOST", details: { host: "other.example.com" } },
    ]);
  });
});
