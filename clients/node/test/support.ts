/** An issuer whose keys, tokens and failures are in the test's hand. */
import type { webcrypto } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { Clock } from "../src/clock.ts";

/** A clock that stands still until it is told otherwise. */
export interface TestClock extends Clock {
  advance(seconds: number): void;
  /** Sets the wall clock alone, as an administrator or NTP does. */
  setWall(at: Date): void;
}

export function createTestClock(): TestClock {
  let wallMs = Date.parse("2026-11-22T12:00:00Z");
  let monotonicMs = 1_000;
  return {
    now: () => new Date(wallMs),
    monotonicMs: () => monotonicMs,
    advance(seconds) {
      wallMs += seconds * 1000;
      monotonicMs += seconds * 1000;
    },
    setWall(at) {
      wallMs = at.getTime();
    },
  };
}

/** A server on a free port. */
export interface Listening extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
}

export async function listen(listener: RequestListener): Promise<Listening> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A key of the issuer. */
export interface IssuerKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly jwk: JWK;
  readonly privateKey: webcrypto.CryptoKey;
}

export async function createIssuerKey(kid: string, algorithm = "ES256"): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: "sig" };
  return { kid, algorithm, jwk, privateKey };
}

/** What differs from a good token; an undefined claim is left out. */
export interface TokenChanges {
  readonly key?: IssuerKey;
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
}

export const audience = "https://api.example";

/** An issuer that serves its keys and counts who asks for them. */
export interface TestIssuer extends AsyncDisposable {
  readonly url: string;
  readonly clock: TestClock;
  /** How often the keys were asked for. */
  readonly fetches: number;
  /** What is served. */
  keys: IssuerKey[];
  /** Answers instead of the keys while it is set. */
  fault: RequestListener | undefined;
  headers: Record<string, string>;
  sign(changes?: TokenChanges): Promise<string>;
}

export async function createTestIssuer(clock = createTestClock()): Promise<TestIssuer> {
  const keys = [await createIssuerKey("first")];
  let fetches = 0;
  const serving = await listen((request, response) => {
    fetches += 1;
    if (issuer.fault) return issuer.fault(request, response);
    response.writeHead(200, issuer.headers);
    response.end(JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
  });
  const issuer: TestIssuer = {
    url: serving.url,
    clock,
    get fetches() {
      return fetches;
    },
    keys,
    fault: undefined,
    headers: { "cache-control": "public, max-age=300" },
    sign: (changes = {}) => signToken(issuer, changes),
    [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose](),
  };
  return issuer;
}

async function signToken(issuer: TestIssuer, changes: TokenChanges): Promise<string> {
  const key = changes.key ?? (issuer.keys[0] as IssuerKey);
  const iat = Math.floor(issuer.clock.now().getTime() / 1000);
  const claims: Record<string, unknown> = {
    iss: issuer.url,
    aud: audience,
    sub: "018f0000-0000-7000-8000-000000000001",
    client_id: "018f0000-0000-7000-8000-000000000002",
    iat,
    nbf: iat,
    exp: iat + 3600,
    jti: crypto.randomUUID(),
    gen: "system",
    sub_type: "app/serviceuser",
    auth_via: "client_credentials",
    org_ids: "org-1,org-2",
    ...changes.claims,
  };
  const header = { alg: key.algorithm, kid: key.kid, typ: "at+jwt", ...changes.header };
  return await new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey);
}

/** What a promise was rejected with. @throws Error when it was not. */
export async function rejectionOf(work: Promise<unknown>): Promise<Error> {
  return await work.then(
    () => {
      throw new Error("it was not rejected");
    },
    (error: Error) => error,
  );
}
