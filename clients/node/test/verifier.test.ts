import { createHmac } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isInOrganization } from "../src/verify/claims.ts";
import { KeySetUnavailableError, TokenError } from "../src/verify/token-error.ts";
import { createVerifier, type Verifier, type VerifierOptions } from "../src/verify/verifier.ts";
import {
  audience,
  createIssuerKey,
  createTestIssuer,
  rejectionOf,
  type TestIssuer,
  type TokenChanges,
} from "./support.ts";

let issuer: TestIssuer;
let verifier: Verifier;

function makeVerifier(options: Partial<VerifierOptions> = {}): Verifier {
  return createVerifier({ issuer: issuer.url, audience, clock: issuer.clock, ...options });
}

beforeEach(async () => {
  issuer = await createTestIssuer();
  verifier = makeVerifier();
});
afterEach(() => issuer[Symbol.asyncDispose]());

/** The reason a token is refused for, or what else went wrong. */
async function problemOf(token: string, by = verifier): Promise<unknown> {
  const error = await rejectionOf(by.verifyAccessToken(token));
  return error instanceof TokenError ? error.reason : error;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

describe("a token", () => {
  it.each(["ES256", "RS256", "EdDSA"])("signed by %s is good", async (algorithm) => {
    issuer.keys = [await createIssuerKey("one", algorithm)];
    const claims = await verifier.verifyAccessToken(await issuer.sign());
    expect(claims).toMatchObject({ iss: issuer.url, aud: audience, sub_type: "app/serviceuser" });
  });

  it.each<[string, TokenChanges]>([
    ["one of several audiences is ours", { claims: { aud: ["https://other.example", audience] } }],
    ["no nbf", { claims: { nbf: undefined } }],
    ["no organizations", { claims: { org_ids: undefined } }],
    ["an address that nobody has proven", { claims: { email: "a@example.org", email_verified: false } }],
    ["the type with its prefix (RFC 9068 §4)", { header: { typ: "application/at+jwt" } }],
  ])("is good with %s", async (_, changes) => {
    await expect(verifier.verifyAccessToken(await issuer.sign(changes))).resolves.toBeDefined();
  });

  it("is good for any of the verifier's audiences", async () => {
    const several = makeVerifier({ audience: ["https://old.example", audience] });
    await expect(several.verifyAccessToken(await issuer.sign())).resolves.toBeDefined();
  });

  it.each<[string, TokenChanges, string]>([
    ["another type", { header: { typ: "JWT" } }, "TOKEN_TYPE"],
    ["the gate's type", { header: { typ: "vestibule-gate+jwt" } }, "TOKEN_TYPE"],
    ["no type", { header: { typ: undefined } }, "TOKEN_TYPE"],
    ["no key id", { header: { kid: undefined } }, "TOKEN_MALFORMED"],
    ["an unknown key id", { header: { kid: "second" } }, "TOKEN_KEY_UNKNOWN"],
    ["another issuer", { claims: { iss: "https://other.example" } }, "TOKEN_ISSUER"],
    ["a slash after the issuer", { claims: { iss: "http://127.0.0.1/" } }, "TOKEN_ISSUER"],
    ["another audience", { claims: { aud: "https://other.example" } }, "TOKEN_AUDIENCE"],
    ["an audience that only begins like ours", { claims: { aud: `${audience}.evil` } }, "TOKEN_AUDIENCE"],
    ["no audience", { claims: { aud: undefined } }, "TOKEN_CLAIMS"],
    ["an empty list of audiences", { claims: { aud: [] } }, "TOKEN_AUDIENCE"],
    ["no end", { claims: { exp: undefined } }, "TOKEN_CLAIMS"],
    ["an end that is a text", { claims: { exp: "9999999999" } }, "TOKEN_CLAIMS"],
    ["an end beyond all dates", { claims: { exp: 1e300 } }, "TOKEN_CLAIMS"],
    ["no subject", { claims: { sub: undefined } }, "TOKEN_CLAIMS"],
    ["no jti", { claims: { jti: "" } }, "TOKEN_CLAIMS"],
    ["another gen", { claims: { gen: "user" } }, "TOKEN_CLAIMS"],
    ["no gen", { claims: { gen: undefined } }, "TOKEN_CLAIMS"],
    ["organizations that are no text", { claims: { org_ids: ["org-1"] } }, "TOKEN_CLAIMS"],
    ["a proof that is no yes or no", { claims: { email_verified: "true" } }, "TOKEN_CLAIMS"],
    ["an extension nobody knows", { header: { crit: ["x"], x: 1 } }, "TOKEN_MALFORMED"],
  ])("is refused with %s", async (_, changes, reason) => {
    const token = await issuer.sign(changes).catch(() => signWithUnknownExtension());
    expect(await problemOf(token)).toBe(reason);
  });

  // The library does not sign what it would not verify, so the header is exchanged afterwards.
  async function signWithUnknownExtension(): Promise<string> {
    const [, payload, signature] = (await issuer.sign()).split(".");
    const header = { alg: "ES256", kid: "first", typ: "at+jwt", crit: ["x"], x: 1 };
    return `${encode(header)}.${payload}.${signature}`;
  }

  it("is refused when another key with the same id signed it", async () => {
    const forged = await createIssuerKey("first");
    expect(await problemOf(await issuer.sign({ key: forged }))).toBe("TOKEN_SIGNATURE");
  });

  it.each(["none", "HS256", "ES384", "RS256", "PS256"])(
    "is refused with alg %s for an ES256 key",
    async (alg) => {
      const [, payload, signature] = (await issuer.sign()).split(".");
      const signed = `${encode({ alg, kid: "first", typ: "at+jwt" })}.${payload}`;
      const mac = createHmac("sha256", JSON.stringify(issuer.keys[0]?.jwk))
        .update(signed)
        .digest("base64url");
      for (const end of ["", mac, signature])
        expect(await problemOf(`${signed}.${end}`)).toBe("TOKEN_ALGORITHM");
    },
  );

  it("is not verified by a key that it brings itself", async () => {
    const own = await createIssuerKey("own");
    const token = await issuer.sign({ key: own, header: { jwk: own.jwk, jku: `${issuer.url}/evil` } });
    expect(await problemOf(token)).toBe("TOKEN_MALFORMED");
    expect(issuer.fetches).toBe(0);
  });

  it.each(["", "x", "a.b", "a.b.c", "a.b.c.d.e", "…", ".", "x".repeat(20_000)])(
    "that is none is refused: %.20s",
    async (token) => {
      expect(await problemOf(token)).toBe("TOKEN_MALFORMED");
      expect(issuer.fetches).toBe(0);
    },
  );

  it("is refused with one changed character", async () => {
    const token = await issuer.sign();
    const at = token.lastIndexOf(".") + 5;
    const changed = `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
    expect(await problemOf(changed)).toBe("TOKEN_SIGNATURE");
  });
});

describe("time", () => {
  it("is tolerated up to the tolerance and refused from there, with both clocks in the error", async () => {
    const token = await issuer.sign();
    issuer.clock.advance(3600 + 59);
    await expect(verifier.verifyAccessToken(token)).resolves.toBeDefined();
    issuer.clock.advance(1);
    const error = await rejectionOf(verifier.verifyAccessToken(token));
    expect(error).toMatchObject({ reason: "TOKEN_EXPIRED" });
    expect(error.message).toBe(
      "the token expired at 2026-11-22T13:00:00.000Z; the clock here says 2026-11-22T13:01:00.000Z",
    );
  });

  it("before nbf is the same the other way round", async () => {
    const nbf = issuer.clock.now().getTime() / 1000 + 60;
    await expect(verifier.verifyAccessToken(await issuer.sign({ claims: { nbf } }))).resolves.toBeDefined();
    const early = await rejectionOf(
      verifier.verifyAccessToken(await issuer.sign({ claims: { nbf: nbf + 1 } })),
    );
    expect(early).toMatchObject({ reason: "TOKEN_NOT_YET_VALID" });
    expect(early.message).toBe(
      "the token is not valid before 2026-11-22T12:01:01.000Z; the clock here says 2026-11-22T12:00:00.000Z",
    );
  });

  it("has the tolerance it is given", async () => {
    const strict = makeVerifier({ clockToleranceSeconds: 0 });
    const token = await issuer.sign();
    issuer.clock.advance(3599);
    await expect(strict.verifyAccessToken(token)).resolves.toBeDefined();
    issuer.clock.advance(1);
    expect(await problemOf(token, strict)).toBe("TOKEN_EXPIRED");
  });
});

describe("remembered tokens", () => {
  it("come with the same frozen claims", async () => {
    const token = await issuer.sign({ claims: { extra: { deep: [1] } } });
    const claims = await verifier.verifyAccessToken(token);
    expect(await verifier.verifyAccessToken(token)).toBe(claims);
    expect(() => Object.assign(claims, { sub: "someone else" })).toThrow(TypeError);
    expect(Object.isFrozen((claims as unknown as { extra: { deep: object } }).extra.deep)).toBe(true);
  });

  it("are refused once their key is gone", async () => {
    const token = await issuer.sign();
    await verifier.verifyAccessToken(token);
    issuer.keys = [await createIssuerKey("second")];
    issuer.clock.advance(301);
    expect(await problemOf(token)).toBe("TOKEN_KEY_UNKNOWN");
  });

  it("are verified again when their key was replaced under its id", async () => {
    const token = await issuer.sign();
    await verifier.verifyAccessToken(token);
    issuer.keys = [await createIssuerKey("first")];
    issuer.clock.advance(301);
    expect(await problemOf(token)).toBe("TOKEN_SIGNATURE");
  });

  it("are as many as asked for, the last used ones", async () => {
    const small = makeVerifier({ cacheSize: 1 });
    const [one, two] = [await issuer.sign(), await issuer.sign()];
    const claims = await small.verifyAccessToken(one);
    expect(await small.verifyAccessToken(one)).toBe(claims);
    await small.verifyAccessToken(two);
    const again = await small.verifyAccessToken(one);
    expect(again).not.toBe(claims);
    expect(again).toEqual(claims);
  });

  it("are none if so wished", async () => {
    const forgetful = makeVerifier({ cacheSize: 0 });
    const token = await issuer.sign();
    const claims = await forgetful.verifyAccessToken(token);
    expect(await forgetful.verifyAccessToken(token)).not.toBe(claims);
  });
});

describe("the keys", () => {
  it("are fetched once for a thousand tokens at a time", async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, () => issuer.sign()));
    await Promise.all(
      Array.from({ length: 1000 }, (_, i) => verifier.verifyAccessToken(tokens[i % 20] ?? "")),
    );
    expect(issuer.fetches).toBe(1);
  });

  it("are refreshed behind a request before their time is over", async () => {
    await verifier.verifyAccessToken(await issuer.sign());
    issuer.clock.advance(239);
    await verifier.verifyAccessToken(await issuer.sign());
    expect(issuer.fetches).toBe(1);
    issuer.clock.advance(1);
    await verifier.verifyAccessToken(await issuer.sign());
    await expect.poll(() => issuer.fetches).toBe(2);
  });

  it("past their time are waited for", async () => {
    const token = await issuer.sign();
    await verifier.verifyAccessToken(token);
    issuer.clock.advance(300);
    await verifier.verifyAccessToken(token);
    expect(issuer.fetches).toBe(2);
  });

  it.each([
    ["no-store", 30],
    ["max-age=0", 30],
    ["max-age=1", 30],
    ["public, MAX-AGE=90", 90],
    ["max-age=999999", 3600],
    ["", 300],
    ["max-age=soon", 300],
  ])("with cache-control %j are kept for %i seconds", async (cacheControl, seconds) => {
    issuer.headers = { "cache-control": cacheControl };
    const token = await issuer.sign({ claims: { exp: 4_000_000_000 } });
    await verifier.verifyAccessToken(token);
    issuer.clock.advance(seconds * 0.8 - 0.001);
    await verifier.verifyAccessToken(token);
    expect(issuer.fetches).toBe(1);
    issuer.clock.advance(seconds * 0.2 + 0.001);
    await verifier.verifyAccessToken(token);
    expect(issuer.fetches).toBe(2);
  });

  it("are fetched again for an unknown id, once in thirty seconds", async () => {
    await verifier.verifyAccessToken(await issuer.sign());
    const second = await createIssuerKey("second");
    issuer.keys = [...issuer.keys, second];
    const token = await issuer.sign({ key: second });
    issuer.clock.advance(29);
    expect(await problemOf(token)).toBe("TOKEN_KEY_UNKNOWN");
    expect(issuer.fetches).toBe(1);
    issuer.clock.advance(1);
    await expect(verifier.verifyAccessToken(token)).resolves.toBeDefined();
    expect(issuer.fetches).toBe(2);
  });

  it.each([
    ["with keys", false],
    ["with an empty set", true],
  ])("are not fetched by a thousand invented ids, %s", async (_, isEmpty) => {
    const token = await issuer.sign();
    if (isEmpty) issuer.keys = [];
    const [, payload, signature] = token.split(".");
    const inventing = (): string =>
      `${encode({ alg: "ES256", typ: "at+jwt", kid: crypto.randomUUID() })}.${payload}.${signature}`;
    for (let period = 1; period <= 3; period++) {
      const one = Array.from({ length: 500 }, () => problemOf(inventing()));
      expect(new Set(await Promise.all(one))).toEqual(new Set(["TOKEN_KEY_UNKNOWN"]));
      for (let i = 0; i < 500; i++) expect(await problemOf(inventing())).toBe("TOKEN_KEY_UNKNOWN");
      expect(issuer.fetches).toBe(period);
      issuer.clock.advance(30);
    }
  });

  it.each<[string, TestIssuer["fault"]]>([
    ["an error", (_, response) => response.writeHead(500).end("no")],
    ["a broken connection", (request) => request.socket.destroy()],
    ["no key set", (_, response) => response.end('{"keys":{}}')],
    ["no JSON", (_, response) => response.end("<html>")],
    ["a redirect", (_, response) => response.writeHead(302, { location: "/elsewhere" }).end()],
    ["too much", (_, response) => response.end(JSON.stringify({ keys: [], x: "x".repeat(300_000) }))],
  ])("answered with %s are unavailable, not the token's fault", async (_, fault) => {
    issuer.fault = fault;
    const error = await rejectionOf(verifier.verifyAccessToken(await issuer.sign()));
    expect(error).toBeInstanceOf(KeySetUnavailableError);
    expect(error).toMatchObject({ retryAfterSeconds: 30, cause: expect.any(Error) });
    issuer.fault = undefined;
    issuer.clock.advance(29);
    await expect(verifier.verifyAccessToken(await issuer.sign())).rejects.toMatchObject({
      retryAfterSeconds: 1,
    });
    expect(issuer.fetches).toBe(1);
    issuer.clock.advance(1);
    await expect(verifier.verifyAccessToken(await issuer.sign())).resolves.toBeDefined();
  });

  it.each<[string, TestIssuer["fault"]]>([
    ["the answer", () => {}],
    ["the rest of the body", (_, response) => response.writeHead(200).write('{"keys":[')],
  ])("are given up when %s does not come", async (_, fault) => {
    issuer.fault = fault;
    const hasty = makeVerifier({ timeoutSeconds: 0.05 });
    await expect(hasty.verifyAccessToken(await issuer.sign())).rejects.toBeInstanceOf(KeySetUnavailableError);
  });

  it("are given up even when the given fetch does not look at the time", async () => {
    const stubborn = makeVerifier({ timeoutSeconds: 0.05, fetch: () => new Promise(() => {}) });
    const refused = stubborn.verifyAccessToken(await issuer.sign());
    await expect(refused).rejects.toMatchObject({ cause: { name: "TimeoutError" } });
  });

  it("are used for an hour past their time while they cannot be had, and no longer", async () => {
    const token = await issuer.sign({ claims: { exp: 4_000_000_000 } });
    await verifier.verifyAccessToken(token);
    issuer.fault = (_, response) => response.writeHead(503).end();
    issuer.clock.advance(300);
    await verifier.verifyAccessToken(token);
    expect(issuer.fetches).toBe(2);
    issuer.clock.advance(3599);
    await verifier.verifyAccessToken(token);
    await expect.poll(() => issuer.fetches).toBe(3);
    issuer.clock.advance(1);
    await expect(verifier.verifyAccessToken(token)).rejects.toBeInstanceOf(KeySetUnavailableError);
    issuer.fault = undefined;
    issuer.clock.advance(30);
    await expect(verifier.verifyAccessToken(token)).resolves.toBeDefined();
  });

  it("do not let anyone wait while they cannot be had", async () => {
    const token = await issuer.sign();
    await verifier.verifyAccessToken(token);
    issuer.fault = (_, response) => response.writeHead(503).end();
    issuer.clock.advance(300);
    await verifier.verifyAccessToken(token);
    issuer.fault = () => {};
    issuer.clock.advance(30);
    await verifier.verifyAccessToken(token);
    await expect.poll(() => issuer.fetches).toBe(3);
  });

  it("being unavailable, an unknown id is not the token's fault", async () => {
    await verifier.verifyAccessToken(await issuer.sign());
    issuer.fault = (_, response) => response.writeHead(503).end();
    issuer.clock.advance(31);
    const unknown = await issuer.sign({ key: await createIssuerKey("second") });
    await expect(verifier.verifyAccessToken(unknown)).rejects.toBeInstanceOf(KeySetUnavailableError);
    await expect(verifier.verifyAccessToken(await issuer.sign())).resolves.toBeDefined();
  });

  it("do not depend on the wall clock", async () => {
    const token = await issuer.sign({ claims: { exp: 4_000_000_000, nbf: 0 } });
    await verifier.verifyAccessToken(token);
    issuer.clock.setWall(new Date("2080-01-01T00:00:00Z"));
    await verifier.verifyAccessToken(token);
    issuer.clock.setWall(new Date("1999-01-01T00:00:00Z"));
    await verifier.verifyAccessToken(token);
    expect(issuer.fetches).toBe(1);
  });

  it("of no use are passed over, and the first of an id counts", async () => {
    const [good] = issuer.keys;
    const token = await issuer.sign();
    const strange = [
      null,
      7,
      {},
      { kty: "oct", k: "c2VjcmV0", kid: "first" },
      { ...good?.jwk, d: "c2VjcmV0" },
      { ...good?.jwk, use: "enc" },
      { ...good?.jwk, alg: "ES512" },
      { ...good?.jwk, x: "AAAA" },
      { ...good?.jwk, alg: undefined },
      { ...(await createIssuerKey("first")).jwk },
    ];
    issuer.fault = (_, response) => response.end(JSON.stringify({ keys: strange }));
    await expect(verifier.verifyAccessToken(token)).resolves.toBeDefined();
  });

  it("come from the address and the fetch they are said to come from", async () => {
    const asked: string[] = [];
    const token = await issuer.sign();
    const given = makeVerifier({
      jwksUri: "https://keys.example/set",
      fetch: async (input) => {
        asked.push(String(input));
        return Response.json({ keys: issuer.keys.map(({ jwk }) => jwk) });
      },
    });
    await expect(given.verifyAccessToken(token)).resolves.toBeDefined();
    expect(asked).toEqual(["https://keys.example/set"]);
  });
});

it.each([
  [{ issuer: "" }],
  [{ issuer: "not an address" }],
  [{ audience: "" }],
  [{ audience: [] }],
  [{ audience: undefined as unknown as string }],
  [{ jwksUri: "file:///etc/keys" }],
])("a verifier cannot be made with %j", (options) => {
  expect(() => makeVerifier(options)).toThrow(TypeError);
});

it("organizations are compared whole", async () => {
  const claims = await verifier.verifyAccessToken(await issuer.sign());
  expect(["org-1", "org-2"].map((id) => isInOrganization(claims, id))).toEqual([true, true]);
  expect(["org", "org-1,org-2", "org-3", ""].map((id) => isInOrganization(claims, id))).not.toContain(true);
});
