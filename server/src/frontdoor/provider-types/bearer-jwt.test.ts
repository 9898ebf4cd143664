import { createHmac, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { signatureAlgorithms } from "../../signatures/algorithms.ts";
import { createFixedKeys } from "../../signatures/key-set.ts";
import { type BearerRules, verifyBearerJwt } from "./bearer-jwt.ts";
import { Refused } from "./refused.ts";
import { makeKey, start, startSeconds, type TestKey } from "./test-support.ts";

const issuer = "https://idp.test";
const key = makeKey("k1");
const rsaKey = makeKey("r1", "RS256");

const goodClaims = { iss: issuer, aud: "api", sub: "u1", exp: startSeconds + 600 };

function rulesFor(keys: readonly TestKey[], rules: Partial<BearerRules> = {}): BearerRules {
  return {
    issuers: [issuer],
    audiences: ["api"],
    authorizedParty: undefined,
    algorithms: signatureAlgorithms,
    requiredClaims: {},
    keys: createFixedKeys({ keys: keys.map(({ jwk }) => jwk) }),
    ...rules,
  };
}

const clock = { clock: { now: () => start }, clockSkewSeconds: 60 };

/** `accepted`, or the reason of the refusal. */
async function decideOn(token: string, rules = rulesFor([key, rsaKey])): Promise<string> {
  try {
    await verifyBearerJwt(token, rules, clock);
    return "accepted";
  } catch (error) {
    if (error instanceof Refused) return error.reason;
    throw error;
  }
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("the token itself", () => {
  test.each([
    ["ES256", key.sign(goodClaims)],
    ["RS256", rsaKey.sign(goodClaims)],
    ["no typ", key.sign(goodClaims, { typ: undefined })],
    ["an access token", key.sign(goodClaims, { typ: "at+jwt" })],
    ["an access token, in full", key.sign(goodClaims, { typ: "application/AT+JWT" })],
  ])("accepts %s", async (_, token) => {
    expect(await decideOn(token)).toBe("accepted");
  });

  test.each([
    ["nothing", "", "malformed"],
    ["two parts", "a.b", "malformed"],
    ["five parts (encrypted)", "a.b.c.d.e", "malformed"],
    ["what is not base64url", key.sign(goodClaims).replace(".", "=."), "malformed"],
    ["a payload that is no object", `${encode({ alg: "ES256" })}.${encode([])}.AA`, "malformed"],
    ["too long a token", `${"a".repeat(16_384)}.b.c`, "malformed"],
    ["an embedded jwk", key.sign(goodClaims, { jwk: key.jwk }), "malformed"],
    ["a jku", key.sign(goodClaims, { jku: "https://evil.test/jwks" }), "malformed"],
    ["an x5u", key.sign(goodClaims, { x5u: "https://evil.test/x" }), "malformed"],
    ["an x5c", key.sign(goodClaims, { x5c: ["AA"] }), "malformed"],
    ["crit", key.sign(goodClaims, { crit: ["exp"] }), "malformed"],
    ["our gate's own assertion", key.sign(goodClaims, { typ: "vestibule-gate+jwt" }), "wrong_token_type"],
    ["a logout token", key.sign(goodClaims, { typ: "logout+jwt" }), "wrong_token_type"],
    ["a typ that is no text", key.sign(goodClaims, { typ: 1 }), "wrong_token_type"],
  ])("refuses %s", async (_, token, reason) => {
    expect(await decideOn(token)).toBe(reason);
  });
});

describe("the signature", () => {
  const unsigned = (header: object) => `${encode(header)}.${encode(goodClaims)}.`;
  const hmacWith = (secret: string | Buffer, alg = "HS256") => {
    const signed = `${encode({ alg, kid: "r1" })}.${encode(goodClaims)}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  };

  test.each([
    ["none", unsigned({ alg: "none" }), "wrong_algorithm"],
    ["None", unsigned({ alg: "None", kid: "k1" }), "wrong_algorithm"],
    ["no alg", unsigned({ kid: "k1" }), "wrong_algorithm"],
    ["a name every object has", unsigned({ alg: "constructor", kid: "k1" }), "wrong_algorithm"],
    [
      "HS256 with the public key as PEM",
      hmacWith(rsaKey.publicKey.export({ type: "spki", format: "pem" })),
      "wrong_algorithm",
    ],
    ["HS256 with the public key as JWK", hmacWith(JSON.stringify(rsaKey.jwk)), "wrong_algorithm"],
    ["HMAC under the name of an allowed algorithm", hmacWith("x", "RS256"), "bad_signature"],
    ["an empty signature", unsigned({ alg: "ES256", kid: "k1" }), "bad_signature"],
    ["a key of another kind", key.sign(goodClaims, { kid: "r1" }), "unknown_key"],
    ["an unknown key", key.sign(goodClaims, { kid: "k2" }), "unknown_key"],
    ["a kid that is no text", key.sign(goodClaims, { kid: 1 }), "unknown_key"],
    ["another's signature", makeKey("k1").sign(goodClaims), "bad_signature"],
  ])("refuses %s", async (_, token, reason) => {
    expect(await decideOn(token)).toBe(reason);
  });

  test("refuses changed claims", async () => {
    const [header, , signature] = key.sign(goodClaims).split(".");
    const changed = `${header}.${encode({ ...goodClaims, sub: "admin" })}.${signature}`;
    expect(await decideOn(changed)).toBe("bad_signature");
  });

  test("refuses a signature in another encoding (DER)", async () => {
    const signed = `${encode({ alg: "ES256", kid: "k1" })}.${encode(goodClaims)}`;
    const signature = sign("sha256", Buffer.from(signed), key.privateKey).toString("base64url");
    expect(await decideOn(`${signed}.${signature}`)).toBe("bad_signature");
  });

  test("takes only allowed algorithms", async () => {
    const rules = rulesFor([key, rsaKey], { algorithms: ["RS256"] });
    expect(await decideOn(rsaKey.sign(goodClaims), rules)).toBe("accepted");
    expect(await decideOn(key.sign(goodClaims), rules)).toBe("wrong_algorithm");
  });

  test("takes a key for the algorithm that its set names, and no other", async () => {
    const pinned = { ...rsaKey, jwk: { ...rsaKey.jwk, alg: "PS256" } };
    expect(await decideOn(rsaKey.sign(goodClaims), rulesFor([pinned]))).toBe("unknown_key");
  });

  test.each([
    ["for encryption", { use: "enc" }],
    ["for signing only", { use: undefined, key_ops: ["sign"] }],
    ["of an algorithm unknown here", { alg: "ES256K" }],
    ["of a symmetric kind", { kty: "oct", k: "AAAA" }],
    ["that is malformed", { x: "AA" }],
    ["that is nothing", undefined],
  ])("passes over a key %s", async (_, change) => {
    const changed = { ...key, jwk: change === undefined ? (null as never) : { ...key.jwk, ...change } };
    expect(await decideOn(key.sign(goodClaims), rulesFor([changed]))).toBe("unknown_key");
    expect(await decideOn(rsaKey.sign(goodClaims), rulesFor([changed, rsaKey]))).toBe("accepted");
  });

  test("passes over RSA keys that are too short", async () => {
    const weak = makeKey("w", "RS256", 1024);
    expect(await decideOn(weak.sign(goodClaims), rulesFor([weak]))).toBe("unknown_key");
  });

  test("without a kid takes the only fitting key, never one of several", async () => {
    const token = key.sign(goodClaims, { kid: undefined });
    expect(await decideOn(token, rulesFor([key, rsaKey]))).toBe("accepted");
    expect(await decideOn(token, rulesFor([key, makeKey("k2")]))).toBe("unknown_key");
  });

  test("asks for newer keys once when one is missing", async () => {
    let refreshed = 0;
    const old = await createFixedKeys({ keys: [] }).get();
    const newer = await createFixedKeys({ keys: [key.jwk] }).get();
    const refresh = async () => {
      refreshed += 1;
      return newer;
    };
    const keys = { get: async () => old, refresh };
    expect(await decideOn(key.sign(goodClaims), rulesFor([], { keys }))).toBe("accepted");
    expect(await decideOn(rsaKey.sign(goodClaims), rulesFor([], { keys }))).toBe("unknown_key");
    expect(refreshed).toBe(2);
  });
});

describe("the claims", () => {
  const now = startSeconds;
  test.each<[string, object, string]>([
    ["exp a second before its end", { exp: now - 59 }, "accepted"],
    ["exp over", { exp: now - 60 }, "expired"],
    ["no exp", { exp: undefined }, "expired"],
    ["exp as text", { exp: "2099" }, "malformed"],
    ["exp without end", { exp: 1e300 }, "malformed"],
    ["nbf within the skew", { nbf: now + 60 }, "accepted"],
    ["nbf ahead", { nbf: now + 61 }, "not_yet_valid"],
    ["iat ahead", { iat: now + 61 }, "not_yet_valid"],
    ["iat as text", { iat: "now" }, "malformed"],
    ["another issuer", { iss: "https://evil.test" }, "wrong_issuer"],
    ["a slash more", { iss: `${issuer}/` }, "wrong_issuer"],
    ["issuers in a list", { iss: [issuer] }, "wrong_issuer"],
    ["no issuer", { iss: undefined }, "wrong_issuer"],
    ["one audience of several", { aud: ["other", "api"] }, "accepted"],
    ["another audience", { aud: "other" }, "wrong_audience"],
    ["part of an audience", { aud: "apis" }, "wrong_audience"],
    ["no audience", { aud: undefined }, "wrong_audience"],
    ["an empty list", { aud: [] }, "wrong_audience"],
    ["a list in a list", { aud: [["api"]] }, "wrong_audience"],
    ["no subject", { sub: undefined }, "claim_mismatch"],
    ["an empty subject", { sub: "" }, "claim_mismatch"],
    ["a number as subject", { sub: 1 }, "claim_mismatch"],
  ])("%s", async (_, change, outcome) => {
    expect(await decideOn(key.sign({ ...goodClaims, ...change }))).toBe(outcome);
  });

  test.each<[string, object, string]>([
    ["no azp", {}, "accepted"],
    ["azp of the client", { azp: "api" }, "accepted"],
    ["azp of another", { azp: "other" }, "wrong_audience"],
    ["several audiences with azp", { aud: ["api", "b"], azp: "api" }, "accepted"],
    ["several audiences without azp", { aud: ["api", "b"] }, "wrong_audience"],
  ])("made for a client: %s", async (_, change, outcome) => {
    const rules = rulesFor([key], { authorizedParty: "api" });
    expect(await decideOn(key.sign({ ...goodClaims, ...change }), rules)).toBe(outcome);
  });

  test.each<[string, BearerRules["requiredClaims"], object, string]>([
    ["an equal text", { team: "a" }, { team: "a" }, "accepted"],
    ["an equal boolean", { email_verified: true }, { email_verified: true }, "accepted"],
    ["a boolean as text", { email_verified: true }, { email_verified: "true" }, "claim_mismatch"],
    ["contained in a list", { groups: "a" }, { groups: ["b", "a"] }, "accepted"],
    ["not in the list", { groups: "a" }, { groups: ["b"] }, "claim_mismatch"],
    ["part of a text", { team: "a" }, { team: "ab" }, "claim_mismatch"],
    ["all of several", { groups: ["a", "b"] }, { groups: ["b", "a", "c"] }, "accepted"],
    ["one of several", { groups: ["a", "b"] }, { groups: ["a"] }, "claim_mismatch"],
    ["a scope among others", { scope: "read" }, { scope: "write read" }, "accepted"],
    ["part of a scope", { scope: "read" }, { scope: "readonly" }, "claim_mismatch"],
    ["a missing claim", { team: "a" }, {}, "claim_mismatch"],
    ["a claim every object has", { constructor: "a" }, {}, "claim_mismatch"],
  ])("required: %s", async (_, requiredClaims, change, outcome) => {
    expect(await decideOn(key.sign({ ...goodClaims, ...change }), rulesFor([key], { requiredClaims }))).toBe(
      outcome,
    );
  });
});

test("an expired token's detail states both clocks", async () => {
  const token = key.sign({ ...goodClaims, exp: startSeconds - 3600 });
  await expect(verifyBearerJwt(token, rulesFor([key]), clock)).rejects.toThrow(
    /expired at 2026-11-22T11:00:00Z, this server's clock says 2026-11-22T12:00:00Z: get a new one.*set the clocks/,
  );
});

test("a detail never repeats a long value whole", async () => {
  const token = key.sign({ ...goodClaims, iss: "x".repeat(5000) });
  await expect(verifyBearerJwt(token, rulesFor([key]), clock)).rejects.toThrow(/^.{0,500}$/);
});
