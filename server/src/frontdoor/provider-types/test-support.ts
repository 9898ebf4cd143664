import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { RequestListener, ServerResponse } from "node:http";
import { onTestFinished } from "vitest";
import { createJsonCache } from "../../egress/json-cache.ts";
import { createTestEgress, type LocalServer, startLocalServer } from "../../egress/test-support.ts";
import { DomainError } from "../../lib/errors.ts";
import { silentLog } from "../../lib/log.ts";
import type { OwnPrincipal, ProviderTypeContext, StoredApiKey } from "./context.ts";
import type {
  LoggedIn,
  LoginOutcome,
  ProviderCheck,
  ProviderInstance,
  ProviderLogin,
  ProviderSample,
  ProviderType,
} from "./provider-type.ts";

/** When tests begin. */
export const start = new Date("2026-11-22T12:00:00Z");
export const startSeconds = start.getTime() / 1000;

/** A context whose clock the test moves and whose only reachable address is 127.0.0.1. */
export interface TestContext extends ProviderTypeContext {
  pass(seconds: number): void;
  /** By key hash. */
  readonly storedKeys: Map<string, StoredApiKey & { readonly providerId: string }>;
  /** Ids of the keys that let somebody in, in that order. */
  readonly usedKeys: string[];
  /** By token, cookie, secret or id of a session. */
  readonly principals: Map<string, OwnPrincipal | DomainError>;
}

/** @param names what host names resolve to; any other is unknown. */
export function createTestContext(
  options: { readonly names?: Readonly<Record<string, readonly string[]>>; readonly now?: Date } = {},
): TestContext {
  let nowMs = (options.now ?? start).getTime();
  const clock = { now: () => new Date(nowMs) };
  const egress = createTestEgress(options.names);
  const storedKeys: TestContext["storedKeys"] = new Map();
  const usedKeys: string[] = [];
  const principals: TestContext["principals"] = new Map();
  const getPrincipal = (presented: string) => {
    const found = principals.get(presented) ?? new DomainError("NOT_AUTHENTICATED", { detail: "unknown" });
    if (found instanceof DomainError) throw found;
    return found;
  };
  return {
    publicUrl: "https://auth.example.com",
    egress,
    documents: createJsonCache({ egress, clock, log: silentLog }),
    clock,
    clockSkewSeconds: 60,
    storedKeys,
    usedKeys,
    principals,
    pass: (seconds) => {
      nowMs += seconds * 1000;
    },
    apiKeys: {
      findApiKey: async (providerId, hash) => {
        const found = storedKeys.get(hash);
        return found?.providerId === providerId ? found : undefined;
      },
      noteUse: (id) => void usedKeys.push(id),
    },
    own: {
      issuer: "https://auth.example.com",
      identify: async (credential) =>
        getPrincipal(
          "token" in credential ? credential.token : "cookie" in credential ? credential.cookie : "",
        ),
      identifySession: async (id) => getPrincipal(id),
    },
  };
}

/** A key pair of an issuer. */
export interface TestKey {
  /** The public half, with `kid`. */
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** A JWS over the payload; the header adds to or replaces `alg`, `kid` and `typ`. */
  sign(payload: object, header?: object): string;
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Makes an ES256 or RS256 key pair. */
export function makeKey(kid: string, kind: "ES256" | "RS256" = "ES256", bits = 2048): TestKey {
  const { privateKey, publicKey } =
    kind === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: bits });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, use: "sig" };
  return {
    jwk,
    privateKey,
    publicKey,
    sign: (payload, header = {}) => {
      const signed = `${encode({ alg: kind, kid, typ: "JWT", ...header })}.${encode(payload)}`;
      const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
      return `${signed}.${signature.toString("base64url")}`;
    },
  };
}

/** An issuer with a discovery document and a key set, both of which the test may change. */
export interface TestIssuer extends LocalServer {
  readonly discovery: Record<string, unknown>;
  readonly keySet: { keys: readonly unknown[] };
  /** `Authorization` and body of each post to the token endpoint. */
  readonly posts: { authorization: string | undefined; body: string }[];
  /** What came to its authorization endpoint. */
  readonly authorizations: URLSearchParams[];
  /** What that answers; undefined for sending back whoever comes, as nobody is signed in. */
  authorization: TestAnswer | undefined;
  /** What the token endpoint answers. */
  token: TestAnswer;
  /** What the userinfo endpoint answers; its document names it only once there is something. */
  userinfo: TestAnswer | undefined;
}

/** An answer of an issuer; a text is sent as it is. */
export interface TestAnswer {
  readonly status: number;
  readonly body: object | string;
  readonly headers?: Readonly<Record<string, string>>;
}

function send(response: ServerResponse, { status, body, headers = {} }: TestAnswer): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

/** An issuer for the test that runs, which ends with it. */
export async function lendIssuer(...keys: readonly TestKey[]): Promise<TestIssuer> {
  const issuer = await startIssuer(...keys);
  onTestFinished(() => issuer.close());
  return issuer;
}

/** Starts an issuer over plain http on 127.0.0.1. */
export async function startIssuer(...keys: readonly TestKey[]): Promise<TestIssuer> {
  const state: Pick<
    TestIssuer,
    "discovery" | "keySet" | "posts" | "authorizations" | "authorization" | "token" | "userinfo"
  > = {
    discovery: {},
    keySet: { keys: keys.map(({ jwk }) => jwk) },
    posts: [],
    authorizations: [],
    authorization: undefined,
    token: { status: 400, body: { error: "invalid_grant" } },
    userinfo: undefined,
  };
  const answer: RequestListener = async (request, response) => {
    if (request.url === "/token") {
      const chunks = await request.toArray();
      state.posts.push({
        authorization: request.headers.authorization,
        body: Buffer.concat(chunks).toString(),
      });
      send(response, state.token);
    } else if (request.url?.startsWith("/authorize?")) {
      const asked = new URL(request.url, server.origin).searchParams;
      state.authorizations.push(asked);
      const location = `${asked.get("redirect_uri")}?error=login_required`;
      send(response, state.authorization ?? { status: 302, body: "", headers: { location } });
    } else if (request.url === "/userinfo" && state.userinfo !== undefined) send(response, state.userinfo);
    else if (request.url === "/jwks") response.end(JSON.stringify(state.keySet));
    else if (request.url === "/.well-known/openid-configuration") {
      const userinfo = state.userinfo && { userinfo_endpoint: `${server.origin}/userinfo` };
      response.end(JSON.stringify({ ...state.discovery, ...userinfo }));
    } else response.writeHead(404).end();
  };
  const server = await startLocalServer(answer);
  Object.assign(state.discovery, {
    issuer: server.origin,
    authorization_endpoint: `${server.origin}/authorize`,
    token_endpoint: `${server.origin}/token`,
    jwks_uri: `${server.origin}/jwks`,
    code_challenge_methods_supported: ["S256"],
  });
  return Object.assign(state, server);
}

/** All checks of a dry run by name; several of one name are refused. */
export async function runTest(
  type: ProviderType,
  provider: ProviderInstance,
  sample: ProviderSample = {},
): Promise<Record<string, ProviderCheck>> {
  const checks: Record<string, ProviderCheck> = {};
  for await (const check of type.test(provider, sample, new AbortController().signal)) {
    if (check.name in checks) throw new Error(`${check.name} was checked twice`);
    checks[check.name] = check;
  }
  return checks;
}

/** Names of the checks, a failed one with `!` before it, in order. */
export function toOutline(checks: Readonly<Record<string, ProviderCheck>>): string {
  return Object.values(checks)
    .map(({ name, ok }) => (ok ? name : `!${name}`))
    .join(" ");
}

export const callbackUrl = "https://auth.example.com/gate/callback/p";

/** The login of a type by which people are sent elsewhere. */
export function toProviderLogin({ login }: ProviderType): ProviderLogin {
  if (login?.kind !== "provider") throw new Error("people are not sent elsewhere");
  return login;
}

/** A good answer of a token endpoint. */
export function toTokenAnswer(idToken: string | undefined, rest: object = {}): TestAnswer {
  const body = { access_token: "at", token_type: "bearer", ...(idToken && { id_token: idToken }), ...rest };
  return { status: 200, body };
}

/** Begins a login, has the issuer answer by the nonce it was sent, and ends it. */
export async function logIn(
  at: { readonly issuer: TestIssuer; readonly login: ProviderLogin; readonly provider: ProviderInstance },
  answer: (nonce: unknown) => TestAnswer,
  brought: { readonly issuer?: string } = {},
): Promise<LoginOutcome> {
  const { issuer, login, provider } = at;
  const { secret } = await login.begin(provider, { callbackUrl, state: "s" });
  issuer.token = answer(secret.nonce);
  return await login.finish(provider, { code: "c", callbackUrl, secret, ...brought });
}

/** An outcome that has to be a yes. */
export function expectLoggedIn(outcome: LoginOutcome): LoggedIn {
  if (!outcome.allowed) throw new Error(`${outcome.reason}: ${outcome.detail}`);
  return outcome;
}
