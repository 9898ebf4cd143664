import { createHmac, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { createSealer } from "../encryption/sealer.ts";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { toPublicJwk, toThumbprint } from "../signatures/public-jwk.ts";
import { generateSigningKeyPair } from "../signatures/signing.ts";
import { type AccessTokens, createAccessTokens } from "./access-token.ts";
import { signingKeyPlace } from "./key-rotation.ts";
import { createTokenSigner, toSnapshot } from "./keyring.ts";
import type { SigningKey } from "./signing-key.ts";

const sealer = createSealer([randomBytes(32)]);
const startedAt = new Date("2026-01-01T00:00:00Z");
let now = startedAt;
const clock = { now: () => now };
const issuer = "https://auth.example.org";
const audience = "https://api.example.org";
const revoked = new Set<string>();
const subject = {
  sub: "s1",
  client_id: "c1",
  sub_type: "app/serviceuser",
  auth_via: "client_credentials",
  credential_id: "c1",
  org_ids: "o1",
} as const;

async function newKey(
  algorithm: SigningAlgorithm,
): Promise<{ key: SigningKey; privateKey: KeyObject; publicKey: KeyObject }> {
  const { privateKey, publicKey } = await generateSigningKeyPair(algorithm);
  const publicJwk = toPublicJwk(publicKey, await toThumbprint(publicKey));
  const sealedPrivateKey = sealer.seal(
    signingKeyPlace(publicJwk.kid),
    privateKey.export({ type: "pkcs8", format: "der" }),
  );
  const key = {
    kid: publicJwk.kid,
    algorithm,
    publicJwk,
    sealedPrivateKey,
    createdAt: now,
    signsFromAt: now,
  };
  return { key, privateKey, publicKey };
}

function tokensOver(keys: SigningKey[]): AccessTokens {
  const snapshot = toSnapshot(keys, sealer, now);
  const keyring = { get: async () => snapshot, peek: () => snapshot };
  return createAccessTokens({
    keyring,
    sign: createTokenSigner(keyring),
    clock,
    issuer,
    audience,
    validitySeconds: 3600,
    clockSkewSeconds: 60,
    isRevoked: (jti) => revoked.has(jti),
  });
}

describe.each<SigningAlgorithm>(["ES256", "RS256", "EdDSA"])("access tokens, %s", (algorithm) => {
  it("are verified where they were issued, first time and from the cache", async () => {
    const { key } = await newKey(algorithm);
    const tokens = tokensOver([key]);
    const { token, jti, expiresInSeconds } = await tokens.issue(subject);
    expect(expiresInSeconds).toBe(3600);
    for (let round = 0; round < 2; round++) {
      expect(await tokens.verify(token)).toMatchObject({
        ...subject,
        iss: issuer,
        aud: audience,
        jti,
        gen: "system",
      });
    }
    expect(JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())).toEqual({
      alg: algorithm,
      typ: "at+jwt",
      kid: key.kid,
    });
  });
});

describe("access tokens", () => {
  let key: SigningKey;
  let privateKey: KeyObject;
  let publicKey: KeyObject;
  let tokens: AccessTokens;
  const refusal = { reason: "NOT_AUTHENTICATED", message: "not authenticated" };

  beforeAll(async () => {
    ({ key, privateKey, publicKey } = await newKey("ES256"));
    tokens = tokensOver([key]);
  });

  /** A token of our own making, good unless changed. */
  async function forge(
    change: { header?: object; claims?: object; key?: KeyObject | Uint8Array } = {},
  ): Promise<string> {
    const iat = Math.floor(now.getTime() / 1000);
    const claims = {
      iss: issuer,
      aud: audience,
      iat,
      nbf: iat,
      exp: iat + 60,
      jti: "j1",
      gen: "system",
      ...subject,
    };
    const header = { alg: "ES256", typ: "at+jwt", kid: key.kid, ...change.header };
    const signing = new SignJWT({ ...claims, ...change.claims }).setProtectedHeader(header);
    return await signing.sign(change.key ?? privateKey, { crit: { x: true } });
  }

  it("accept what another library signed with the same key", async () => {
    expect((await tokens.verify(await forge())).sub).toBe("s1");
  });

  it.each<[string, object]>([
    ["another issuer", { iss: "https://evil.example.org" }],
    ["another audience", { aud: "https://other.example.org" }],
    ["a list of audiences", { aud: [audience] }],
    ["no audience", { aud: undefined }],
    ["another gen", { gen: "other" }],
    ["no subject", { sub: undefined }],
    ["no expiry", { exp: undefined }],
    ["an expiry that is no number", { exp: "never" }],
    ["no jti", { jti: undefined }],
  ])("refuse %s", async (_name, claims) => {
    await expect(tokens.verify(await forge({ claims }))).rejects.toMatchObject(refusal);
  });

  it.each<[string, object]>([
    ["typ JWT", { typ: "JWT" }],
    ["typ of the gate", { typ: "vestibule-gate+jwt" }],
    ["no typ", { typ: undefined }],
    ["an unknown kid", { kid: "nobody" }],
    ["no kid", { kid: undefined }],
    ["a jku", { jku: "https://evil.example.org/jwks" }],
  ])("refuse %s", async (_name, header) => {
    await expect(tokens.verify(await forge({ header }))).rejects.toMatchObject(refusal);
  });

  it("refuse an embedded key", async () => {
    const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = own.publicKey.export({ format: "jwk" });
    const token = await forge({ header: { jwk }, key: own.privateKey });
    await expect(tokens.verify(token)).rejects.toMatchObject(refusal);
  });

  it("refuse another key under our kid", async () => {
    const { privateKey: foreign } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    await expect(tokens.verify(await forge({ key: foreign }))).rejects.toMatchObject(refusal);
  });

  it("refuse alg none, and HS256 with the public key", async () => {
    const [, payload] = (await forge()).split(".");
    const encode = (header: object) => Buffer.from(JSON.stringify(header)).toString("base64url");
    const none = `${encode({ alg: "none", typ: "at+jwt", kid: key.kid })}.${payload}.`;
    await expect(tokens.verify(none)).rejects.toMatchObject(refusal);
    const signed = `${encode({ alg: "HS256", typ: "at+jwt", kid: key.kid })}.${payload}`;
    const pem = publicKey.export({ type: "spki", format: "pem" });
    const mac = createHmac("sha256", pem).update(signed).digest("base64url");
    await expect(tokens.verify(`${signed}.${mac}`)).rejects.toMatchObject(refusal);
  });

  it("refuse a second spelling of a good token, and garbage", async () => {
    const token = await forge();
    const [header, payload, signature] = token.split(".");
    const texts = [
      `${token}=`,
      `${header}.${payload}.${signature}A`,
      `${token}.x`,
      "a.b.c",
      "..",
      "",
      "x".repeat(9000),
    ];
    for (const text of texts) await expect(tokens.verify(text)).rejects.toMatchObject(refusal);
  });

  it("live to their expiry and the skew, and not a second longer", async () => {
    const { token } = await tokens.issue(subject);
    now = new Date(startedAt.getTime() + (3600 + 59) * 1000);
    expect((await tokens.verify(token)).sub).toBe("s1");
    now = new Date(startedAt.getTime() + (3600 + 60) * 1000);
    const metadata = {
      token_expired_at: new Date(startedAt.getTime() + 3600 * 1000).toISOString().replace(".000Z", "Z"),
      server_time: now.toISOString().replace(".000Z", "Z"),
    };
    await expect(tokens.verify(token)).rejects.toMatchObject({ ...refusal, metadata });
    now = startedAt;
  });

  it("are not valid more than the skew before their time", async () => {
    const { token } = await tokens.issue(subject);
    now = new Date(startedAt.getTime() - 60_000);
    expect((await tokens.verify(token)).sub).toBe("s1");
    now = new Date(startedAt.getTime() - 61_000);
    const metadata = { token_valid_from: expect.any(String), server_time: expect.any(String) };
    await expect(tokens.verify(token)).rejects.toMatchObject({ ...refusal, metadata });
    // The clocks are for whom the token was made, not for who made it up.
    const { privateKey: foreign } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    await expect(tokens.verify(await forge({ key: foreign }))).rejects.toMatchObject({ metadata: {} });
    now = startedAt;
  });

  it("end when they are revoked, also where they were verified before", async () => {
    const { token, jti } = await tokens.issue(subject);
    expect((await tokens.verify(token)).jti).toBe(jti);
    revoked.add(jti);
    await expect(tokens.verify(token)).rejects.toMatchObject({ ...refusal, detail: "token: revoked" });
    const { token: other } = await tokens.issue(subject);
    expect((await tokens.verify(other)).sub).toBe("s1");
  });

  it("never outlive the credential behind them", async () => {
    const { expiresInSeconds } = await tokens.issue(subject, {
      notAfterAt: new Date(startedAt.getTime() + 90_000),
    });
    expect(expiresInSeconds).toBe(90);
  });

  it("die with their key", async () => {
    const { token } = await tokens.issue(subject);
    const { key: other } = await newKey("ES256");
    await expect(tokensOver([other]).verify(token)).rejects.toMatchObject(refusal);
  });
});
