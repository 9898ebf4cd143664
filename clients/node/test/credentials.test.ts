import { generateKeyPairSync, type KeyObject, type webcrypto } from "node:crypto";
import { inspect } from "node:util";
import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { accessToken } from "../src/credentials/access-token.ts";
import { clientSecret } from "../src/credentials/client-secret.ts";
import type { TokenEndpoint } from "../src/credentials/credential.ts";
import { type KeyPairOptions, keyPair } from "../src/credentials/key-pair.ts";
import { opaqueToken } from "../src/credentials/opaque-token.ts";

/** An endpoint that remembers what it was sent. */
function recordingEndpoint(): TokenEndpoint & { readonly sent: Record<string, string>[] } {
  const sent: Record<string, string>[] = [];
  return {
    sent,
    issuer: "https://auth.example",
    async exchange(request, headers = {}) {
      sent.push({ ...(request as Record<string, string>), ...headers });
      return { accessToken: "granted", expiresInSeconds: 60 };
    },
  };
}

const pairs = {
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  EdDSA: generateKeyPairSync("ed25519"),
};
const identity = { serviceUserId: "user-1", keyId: "key-1" };

function pemOf(key: KeyObject, type: "pkcs8" | "pkcs1" | "sec1" = "pkcs8"): string {
  return key.export({ type, format: "pem" }) as string;
}

describe("a key pair", () => {
  it.each(["ES256", "RS256", "EdDSA"] as const)("signs by %s", async (algorithm) => {
    const endpoint = recordingEndpoint();
    const { privateKey, publicKey } = pairs[algorithm];
    const credential = keyPair({ ...identity, privateKey: pemOf(privateKey) });
    expect(await credential.fetchToken(endpoint)).toEqual({ accessToken: "granted", expiresInSeconds: 60 });
    const [{ grantType, assertion = "" } = {}] = endpoint.sent;
    expect(grantType).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer");
    const { payload, protectedHeader } = await jwtVerify(assertion, publicKey, { algorithms: [algorithm] });
    expect(protectedHeader).toEqual({ alg: algorithm, kid: "key-1", typ: "JWT" });
    expect(payload).toEqual({
      iss: "user-1",
      sub: "user-1",
      aud: "https://auth.example",
      jti: expect.stringMatching(/^[\w-]{36}$/),
      exp: expect.closeTo(Date.now() / 1000 + 300, -1),
    });
  });

  it("signs anew each time", async () => {
    const endpoint = recordingEndpoint();
    const credential = keyPair({ ...identity, privateKey: pairs.ES256.privateKey });
    await Promise.all([credential.fetchToken(endpoint), credential.fetchToken(endpoint)]);
    expect(new Set(endpoint.sent.map(({ assertion = "" }) => decodeJwt(assertion).jti)).size).toBe(2);
  });

  it("is made out to whom it is told", async () => {
    const endpoint = recordingEndpoint();
    const audience = "https://auth.example/oauth2/token";
    await keyPair({ ...identity, audience, privateKey: pairs.ES256.privateKey }).fetchToken(endpoint);
    expect(decodeJwt(endpoint.sent[0]?.assertion ?? "").aud).toBe(audience);
  });

  const webRsa = {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  };

  it("is read from older PEM forms, a KeyObject and a CryptoKey alike", async () => {
    const { subtle } = crypto;
    const ecdsa = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    const ed25519 = await subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    const rsa = await subtle.generateKey(webRsa, false, ["sign", "verify"]);
    const keys = [
      pemOf(pairs.RS256.privateKey, "pkcs1"),
      pemOf(pairs.ES256.privateKey, "sec1"),
      pairs.EdDSA.privateKey,
      ecdsa.privateKey,
      (ed25519 as webcrypto.CryptoKeyPair).privateKey,
      rsa.privateKey,
    ];
    const endpoint = recordingEndpoint();
    for (const privateKey of keys) await keyPair({ ...identity, privateKey }).fetchToken(endpoint);
    const algorithms = endpoint.sent.map(({ assertion = "" }) => decodeProtectedHeader(assertion).alg);
    expect(algorithms).toEqual(["RS256", "ES256", "EdDSA", "ES256", "EdDSA", "RS256"]);
  });

  const encrypted = pairs.ES256.privateKey.export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "canary-passphrase",
  }) as string;

  it.each<[string, Partial<KeyPairOptions>]>([
    ["text that is no key", { privateKey: "canary-key" }],
    ["a broken key", { privateKey: pemOf(pairs.ES256.privateKey).replace(/[A-Z]{4}/, "canary") }],
    ["an encrypted key", { privateKey: encrypted }],
    ["a public key", { privateKey: pairs.ES256.publicKey }],
    [
      "a curve of another size",
      { privateKey: generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey },
    ],
    ["a key for exchange", { privateKey: generateKeyPairSync("x25519").privateKey }],
    ["another algorithm than the key's", { algorithm: "RS256" }],
    ["no service user", { serviceUserId: "" }],
    ["no key id", { keyId: "" }],
  ])("cannot be made of %s, and the error does not show it", (_, changes) => {
    const make = () => keyPair({ ...identity, privateKey: pairs.ES256.privateKey, ...changes });
    expect(make).toThrow(TypeError);
    expect(make).toThrow(expect.not.objectContaining({ message: expect.stringMatching(/canary/) }));
  });
});

it("a client secret is sent in the message", async () => {
  const endpoint = recordingEndpoint();
  await clientSecret({ clientId: "id-1", clientSecret: "secret-1" }).fetchToken(endpoint);
  const grant = { grantType: "client_credentials", clientId: "id-1", clientSecret: "secret-1" };
  expect(endpoint.sent).toEqual([grant]);
});

it("an opaque token is sent in the header alone", async () => {
  const endpoint = recordingEndpoint();
  await opaqueToken("vstt_abc").fetchToken(endpoint);
  expect(endpoint.sent).toEqual([{ authorization: "Bearer vstt_abc" }]);
});

it("a supplied token is taken as it comes", async () => {
  const endpoint = recordingEndpoint();
  expect(await accessToken(() => "plain").fetchToken(endpoint)).toEqual({ accessToken: "plain" });
  const whole = { accessToken: "whole", expiresInSeconds: 5 };
  expect(await accessToken(async () => whole).fetchToken(endpoint)).toEqual(whole);
  expect(endpoint.sent).toEqual([]);
});

it.each([
  ["no client id", () => clientSecret({ clientId: "", clientSecret: "x" })],
  ["no secret", () => clientSecret({ clientId: "x", clientSecret: "" })],
  ["no opaque token", () => opaqueToken("")],
  ["a JWT as an opaque token", () => opaqueToken("a.b.c")],
  ["a header in an opaque token", () => opaqueToken("a\r\nX-Evil: b")],
])("there is no credential with %s", (_, make) => {
  expect(make).toThrow(TypeError);
});

it("credentials in a log or in JSON show their kind alone", () => {
  const credentials = [
    clientSecret({ clientId: "id", clientSecret: "canary-secret" }),
    opaqueToken("canary-token"),
    keyPair({ ...identity, privateKey: pairs.RS256.privateKey }),
    accessToken(() => "canary-access"),
  ];
  const kinds = ["client_secret", "opaque_token", "key_pair", "access_token"];
  expect(JSON.parse(JSON.stringify(credentials))).toEqual(kinds.map((kind) => ({ kind })));
  expect(inspect(credentials, { depth: 9, showHidden: true })).not.toMatch(/canary|PRIVATE/);
});
