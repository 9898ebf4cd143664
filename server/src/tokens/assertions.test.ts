import { createHmac, generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DomainError } from "../lib/errors.ts";
import type { AssertionRules } from "../principals/presented.ts";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { createAssertionAuthenticator } from "./assertions.ts";
import {
  credentialId,
  encodeParts,
  newAssertionKey,
  orgId,
  serviceUserId,
  signAssertion,
  signOddly,
  type TestKey,
  toServiceUser,
} from "./test-support.ts";

const issuer = "https://id.example.org";
const tokenEndpoint = `${issuer}/oauth2/token`;
const now = new Date("2026-01-01T00:00:00Z");
const seconds = now.getTime() / 1000;
const day = 24 * 3600;
const strict: AssertionRules = { relaxed: false };
const relaxed: AssertionRules = { relaxed: true };

function authenticatorOver(key: TestKey) {
  const used = new Map<string, Date>();
  const authenticator = createAssertionAuthenticator({
    keys: {
      findAssertionKey: async (kid) => (kid === key.credentialId ? key : undefined),
      authenticateKey: async (_key, authVia) => toServiceUser({ authVia, credentialKind: "key_pair" }),
    },
    clock: { now: () => now },
    audiences: [issuer, tokenEndpoint],
    clockSkewSeconds: 60,
    consume: async (id, expiresAt) => {
      if (used.has(id)) return false;
      used.set(id, expiresAt);
      return true;
    },
  });
  return { authenticator, used };
}

const key = newAssertionKey();
const { authenticator, used } = authenticatorOver(key);
const refusal = { reason: "NOT_AUTHENTICATED", message: "not authenticated" };

function toText(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toISOString().replace(".000Z", "Z");
}

/** What becomes of an assertion: `ok`, or the detail of its refusal. */
async function judge(assertion: string, rules = strict): Promise<string> {
  try {
    await authenticator.authenticate(assertion, "jwt_bearer", rules);
    return "ok";
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    expect(error).toMatchObject(refusal);
    return (error.detail ?? "").replace(` by key ${credentialId}`, "");
  }
}

describe("assertions", () => {
  it.each<SigningAlgorithm>(["ES256", "RS256", "EdDSA"])(
    "prove the owner of a key of %s",
    async (algorithm) => {
      const own = newAssertionKey(algorithm);
      const principal = await authenticatorOver(own).authenticator.authenticate(
        signAssertion(own, now),
        "private_key_jwt",
        strict,
      );
      expect(principal).toMatchObject({
        id: serviceUserId,
        authVia: "private_key_jwt",
        credentialKind: "key_pair",
      });
    },
  );

  it("may call EdDSA by its newer name, and no other algorithm", async () => {
    const header = { alg: "Ed25519" };
    const own = newAssertionKey("EdDSA");
    const newer = signAssertion(own, now, { header });
    const { authenticator: judge2 } = authenticatorOver(own);
    expect(await judge2.authenticate(newer, "jwt_bearer", strict)).toMatchObject({ id: serviceUserId });
    expect(await judge(signAssertion(key, now, { header }))).toBe("assertion: alg is not its key's");
  });

  it.each<[string, { header?: object; claims?: object }, string]>([
    ["for the token endpoint", { claims: { aud: tokenEndpoint } }, "ok"],
    ["for a list of one", { claims: { aud: [issuer] } }, "ok"],
    ["for two audiences", { claims: { aud: [issuer, tokenEndpoint] } }, "assertion: not exactly one aud"],
    ["for the same audience twice", { claims: { aud: [issuer, issuer] } }, "assertion: not exactly one aud"],
    ["for nobody", { claims: { aud: [] } }, "assertion: not exactly one aud"],
    ["without aud", { claims: { aud: undefined } }, "assertion: not exactly one aud"],
    ["with an aud that is no text", { claims: { aud: 7 } }, "assertion: not exactly one aud"],
    [
      "for somebody else",
      { claims: { aud: "https://other.example.org" } },
      "assertion: for another audience",
    ],
    ["for the issuer and a slash", { claims: { aud: `${issuer}/` } }, "assertion: for another audience"],
    ["with the kid in the payload", { header: { kid: undefined }, claims: { kid: credentialId } }, "ok"],
    ["with the kid in both", { claims: { kid: credentialId } }, "ok"],
    ["with two kids", { claims: { kid: "other" } }, "assertion: no kid, or two"],
    ["without kid", { header: { kid: undefined } }, "assertion: no kid, or two"],
    ["with a kid that is no text", { header: { kid: { $ne: "" } } }, "assertion: no kid, or two"],
    ["with an unknown kid", { header: { kid: "nobody" } }, "assertion: unknown kid"],
    ["of another subject", { claims: { sub: "other" } }, "assertion: sub is not the key's service user"],
    ["without subject", { claims: { sub: undefined } }, "assertion: sub is not the key's service user"],
    ["of another issuer", { claims: { iss: "//frontier-go-sdk" } }, "assertion: iss is not sub"],
    ["without issuer", { claims: { iss: undefined } }, "assertion: iss is not sub"],
    ["without jti", { claims: { jti: undefined } }, "assertion: no jti"],
    ["with an empty jti", { claims: { jti: "" } }, "assertion: no jti"],
    ["with a jti that is no text", { claims: { jti: 7 } }, "assertion: no jti"],
    ["with a jti without end", { claims: { jti: "j".repeat(513) } }, "assertion: no jti"],
    ["without exp", { claims: { exp: undefined } }, "assertion: no exp"],
    ["with an exp that is no number", { claims: { exp: "soon" } }, "assertion: exp is not a number"],
    ["with no typ", { header: { typ: undefined } }, "ok"],
    ["with the typ of RFC 7523bis", { header: { typ: "client-authentication+jwt" } }, "ok"],
    ["with the typ of an access token", { header: { typ: "at+jwt" } }, expect.stringContaining("typ")],
    [
      "with the typ of the gate",
      { header: { typ: "vestibule-gate+jwt" } },
      expect.stringContaining("typ") as unknown as string,
    ],
    ["with an embedded key", { header: { jwk: {} } }, expect.stringContaining("carries a key")],
    ["with a jku", { header: { jku: "https://evil.example" } }, expect.stringContaining("carries a key")],
    ["with an x5c", { header: { x5c: [] } }, expect.stringContaining("carries a key")],
    ["with crit", { header: { crit: ["exp"] } }, expect.stringContaining("critical")],
    ["that names another algorithm", { header: { alg: "ES384" } }, "assertion: alg is not its key's"],
  ])("%s", async (_name, change, expected) => {
    expect(await judge(signAssertion(key, now, change))).toEqual(expected);
  });

  it.each<[string, object, string]>([
    ["expired less than the skew ago", { exp: seconds - 59 }, "ok"],
    ["expired as long ago as the skew", { exp: seconds - 60 }, expect.stringContaining("expired at")],
    ["expired a second longer ago", { exp: seconds - 61 }, expect.stringContaining("expired at")],
    ["24 hours away", { exp: seconds + day }, "ok"],
    ["a second further away", { exp: seconds + day + 1 }, expect.stringContaining("over 24 h away")],
    ["without end", { exp: Number.MAX_SAFE_INTEGER }, expect.stringContaining("over 24 h away")],
    ["not before the skew from now", { nbf: seconds + 60 }, "ok"],
    ["not before a second later", { nbf: seconds + 61 }, expect.stringContaining("nbf is")],
    ["made the skew from now", { iat: seconds + 60 }, "ok"],
    ["made a second later", { iat: seconds + 61 }, expect.stringContaining("iat is")],
    ["made at no time", { iat: "now" }, "assertion: iat is not a number"],
  ])("%s", async (_name, claims, expected) => {
    expect(await judge(signAssertion(key, now, { claims }))).toEqual(expected);
  });

  it.each<[string, object, Record<string, string>]>([
    ["expired", { exp: seconds - 60 }, { assertion_expires_at: toText(seconds - 60) }],
    ["far away", { exp: seconds + day + 1.5 }, { assertion_expires_at: toText(seconds + day + 1.5) }],
    ["beyond the calendar", { exp: 1e300 }, { assertion_expires_at: "1e+300" }],
    ["not valid yet", { nbf: seconds + 61 }, { assertion_valid_from: toText(seconds + 61) }],
    ["made later", { iat: seconds + 61 }, { assertion_valid_from: toText(seconds + 61) }],
    ["for somebody else", { aud: "https://other.example.org" }, {}],
  ])("%s: its maker alone is told of both clocks", async (_name, claims, said) => {
    const metadata = Object.keys(said).length === 0 ? {} : { ...said, server_time: toText(seconds) };
    const assertion = signAssertion(key, now, { claims });
    await expect(authenticator.authenticate(assertion, "jwt_bearer", strict)).rejects.toMatchObject({
      ...refusal,
      metadata,
    });
    const other = { ...newAssertionKey(), credentialId: key.credentialId };
    const forged = signAssertion(other, now, { claims });
    await expect(authenticator.authenticate(forged, "jwt_bearer", strict)).rejects.toMatchObject({
      ...refusal,
      metadata: {},
    });
  });

  it("refuse none, HS256 with the public key, another's signature and another hash", async () => {
    const claims = { iss: serviceUserId, sub: serviceUserId, aud: issuer, exp: seconds + 60, jti: "j" };
    const header = { typ: "JWT", kid: credentialId };
    expect(await judge(`${encodeParts({ ...header, alg: "none" }, claims)}.`)).toContain("alg");
    const signed = encodeParts({ ...header, alg: "HS256" }, claims);
    const pem = key.publicKey.export({ type: "spki", format: "pem" });
    const mac = createHmac("sha256", pem).update(signed).digest("base64url");
    expect(await judge(`${signed}.${mac}`)).toContain("alg");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(await judge(signAssertion({ ...key, privateKey }, now))).toBe("assertion: bad signature");
    const good = encodeParts({ ...header, alg: "ES256" }, claims);
    expect(await judge(`${good}.${signOddly(key, good)}`)).toBe("assertion: bad signature");
  });

  it.each(["", "..", "a.b", "a.b.c.d", "e30.e30.e30=", "e30.W10.e30", `e30.${"a".repeat(16_400)}.e30`])(
    "refuse garbage like %.12j",
    async (text) => {
      expect(await judge(text)).toMatch(/^assertion: /);
    },
  );

  it("are good once, and remembered until they are refused as expired", async () => {
    const assertion = signAssertion(key, now, { claims: { jti: "once", exp: seconds + 100 } });
    expect(await judge(assertion)).toBe("ok");
    expect([...used.values()].at(-1)).toEqual(new Date((seconds + 100 + 60) * 1000));
    expect(await judge(assertion)).toBe("assertion: its jti was used before");
    const again = signAssertion(key, now, { claims: { jti: "once", exp: seconds + 200 } });
    expect(await judge(again)).toBe("assertion: its jti was used before");
  });

  it("whose signature is good name their owner when they are refused", async () => {
    const owner = { type: "serviceuser", id: serviceUserId, orgId, credentialId };
    const expired = signAssertion(key, now, { claims: { exp: seconds - 60 } });
    await expect(authenticator.authenticate(expired, "jwt_bearer", strict)).rejects.toMatchObject({ owner });
    const forged = signAssertion(newAssertionKey(), now);
    await expect(authenticator.authenticate(forged, "jwt_bearer", strict)).rejects.toMatchObject({
      owner: undefined,
    });
  });

  it("are not used up by a refusal", async () => {
    const claims = { jti: "later" };
    expect(await judge(signAssertion(key, now, { claims: { ...claims, aud: "x" } }))).not.toBe("ok");
    expect(await judge(signAssertion(key, now, { claims }))).toBe("ok");
  });

  it("of a principal that cannot act are refused as it is", async () => {
    const disabled = createAssertionAuthenticator({
      keys: {
        findAssertionKey: async () => key,
        authenticateKey: async () => {
          throw new DomainError("PRINCIPAL_DISABLED");
        },
      },
      clock: { now: () => now },
      audiences: [issuer],
      clockSkewSeconds: 60,
      consume: async () => true,
    });
    const judged = disabled.authenticate(signAssertion(key, now), "jwt_bearer", strict);
    await expect(judged).rejects.toMatchObject({ reason: "PRINCIPAL_DISABLED" });
  });
});

describe("assertions of Frontier's clients", () => {
  it.each<[string, object, string]>([
    [
      "may lack aud and jti, and have any issuer",
      { aud: undefined, jti: undefined, iss: "//frontier-go-sdk" },
      "ok",
    ],
    ["may live 12 hours", { exp: seconds + day / 2 }, "ok"],
    ["still expire", { exp: undefined }, "assertion: no exp"],
    ["still need the right sub", { sub: "other" }, "assertion: sub is not the key's service user"],
    [
      "still need a matching aud, if any",
      { aud: "https://other.example.org" },
      "assertion: for another audience",
    ],
    ["still need one aud, if any", { aud: [issuer, issuer] }, "assertion: not exactly one aud"],
  ])("%s", async (_name, claims, expected) => {
    const change = { header: { kid: undefined }, claims: { kid: credentialId, ...claims } };
    expect(await judge(signAssertion(key, now, change), relaxed)).toEqual(expected);
  });

  it("may come again without jti, not with one", async () => {
    const without = signAssertion(key, now, { claims: { jti: undefined } });
    expect([await judge(without, relaxed), await judge(without, relaxed)]).toEqual(["ok", "ok"]);
    const withOne = signAssertion(key, now);
    expect(await judge(withOne, relaxed)).toBe("ok");
    expect(await judge(withOne, relaxed)).toBe("assertion: its jti was used before");
  });
});
