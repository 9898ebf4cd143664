/** A server whose gate can be asked, set up over its API, and the limit beside it that answers the same credentials. */
import { generateKeyPairSync, type JsonWebKey, sign } from "node:crypto";
import { callRest, createFrontdoor, toMachineHeaders } from "./frontdoor.ts";
import type { PlainLoad, TokenLoad } from "./http1-load.ts";
import { type BenchServer, startContender, startVestibule, type VestibuleServer } from "./servers.ts";

export const hostname = "app.example.com";
/** One that fits everything a label below. */
const wildcard = "*.apps.example.com";
const issuer = "https://issuer.example.com";
const audience = `https://${hostname}`;

/** An issuer of one's own. */
export interface Issuer {
  readonly publicJwk: JsonWebKey;
  /** For tokens that are good for an hour. */
  readonly tokens: TokenLoad;
}

/** Makes an issuer whose tokens say who somebody is. */
function makeIssuer(): Issuer {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const about = { kid: "bench", alg: "ES256", use: "sig" };
  const iat = Math.floor(Date.now() / 1000);
  const who = { sub: "ada", name: "Ada", email: "ada@example.com", email_verified: true };
  const claims = { iss: issuer, aud: audience, iat, exp: iat + 3600, groups: ["dev", "ops"], ...who };
  return {
    publicJwk: { ...publicKey.export({ format: "jwk" }), ...about },
    tokens: { jwk: { ...privateKey.export({ format: "jwk" }), ...about }, claims },
  };
}

/** One token of an issuer. */
export function makeToken({ tokens: { jwk, claims } }: Issuer): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "ES256", typ: "JWT", kid: jwk.kid })}.${encode(claims)}`;
  const key = { key: jwk, format: "jwk", dsaEncoding: "ieee-p1363" } as const;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

/** A frontdoor that lets in tokens of an issuer, and API keys. */
export interface BenchGate {
  readonly server: VestibuleServer;
  readonly issuer: Issuer;
  readonly frontdoorId: string;
  readonly providerIds: readonly string[];
  readonly proxyToken: string;
  readonly apiKey: string;
  /** Whose provider lets people in by browser. */
  readonly frontendId: string;
  readonly oidcProviderId: string;
  /** Lets the same in at another host. */
  addFrontend(hostname: string, scheme: "https" | "http"): Promise<unknown>;
}

/** Starts a server and sets it up. */
export async function startGate(
  options: Parameters<typeof startVestibule>[0] = {},
  issuer = makeIssuer(),
): Promise<BenchGate> {
  const server = await startVestibule(options);
  const headers = await toMachineHeaders(server);
  const frontdoorId = await createFrontdoor(server);
  const post = async <T>(path: string, body: object) =>
    await callRest<T>(server, "POST", `/frontdoor/${frontdoorId}/${path}`, headers, body);
  const { iss, aud } = issuer.tokens.claims as { iss: string; aud: string };
  const data = { issuer: iss, audiences: [aud], jwks: { keys: [issuer.publicJwk] } };
  const jwt = await post<{ id: string }>("auth-providers", { name: "jwt", type: "JWT", data });
  const keys = await post<{ id: string }>("auth-providers", { name: "keys", type: "API_KEY", data: {} });
  const { key } = await post<{ key: string }>(`auth-providers/${keys.id}/api-keys`, { title: "bench" });
  const providerIds = [jwt.id, keys.id];
  const addFrontend = async (at: string, scheme: "https" | "http", more: readonly string[] = []) => {
    const policy = { publicPaths: ["/health", "/public/*"] };
    const authProviderIds = [...providerIds, ...more];
    return await post<{ id: string }>("custom-frontends", { hostname: at, scheme, authProviderIds, policy });
  };
  const client = { issuer: "https://id.example.com", clientId: "app", clientAuthentication: "none" };
  const oidc = { name: "people", type: "OIDC", data: client };
  const { id: oidcProviderId } = await post<{ id: string }>("auth-providers", oidc);
  const { id: frontendId } = await addFrontend(hostname, "https", [oidcProviderId]);
  await addFrontend(wildcard, "https");
  const { token } = await post<{ token: string }>("proxy-tokens", { title: "bench" });
  const own = { frontdoorId, providerIds, proxyToken: token, apiKey: key, frontendId, oidcProviderId };
  return { server, issuer, ...own, addFrontend };
}

/** Starts the limit beside it. @param session a cookie that it lets in as well */
export function startBareGate({ issuer, apiKey }: BenchGate, session = ""): Promise<BenchServer> {
  const { iss, aud } = issuer.tokens.claims as { iss: string; aud: string };
  return startContender("bare-gate", {
    BENCH_JWKS: JSON.stringify({ keys: [issuer.publicJwk] }),
    BENCH_ISSUER: iss,
    BENCH_AUDIENCE: aud,
    BENCH_API_KEY: apiKey,
    BENCH_SESSION: session,
  });
}

/** How a proxy asks. */
export type Asking = "nginx" | "forward-auth";

/** What visitors send, and proxies pass on. */
const visitor = {
  "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
  Accept: "application/json",
  "Accept-Language": "en",
  "Accept-Encoding": "gzip, deflate, br",
  Cookie: "theme=dark; lang=en",
};

/** What is asked for where nothing else is said; it needs an identity. */
export const target = "/api/items?page=2";

/** The ask of a proxy about one request, as the shipped files have it. */
export function toAsk(
  { frontdoorId, proxyToken }: Pick<BenchGate, "frontdoorId" | "proxyToken">,
  asking: Asking,
  credential: Readonly<Record<string, string>>,
  wanted: { readonly host?: string; readonly target?: string } = {},
): Pick<PlainLoad, "method" | "path" | "headers"> {
  const { host = hostname, target: uri = target } = wanted;
  const line =
    asking === "nginx"
      ? { "X-Original-URL": `https://${host}${uri}`, "X-Original-Method": "GET" }
      : {
          "X-Forwarded-Method": "GET",
          "X-Forwarded-Proto": "https",
          "X-Forwarded-Host": host,
          "X-Forwarded-Uri": uri,
        };
  return {
    method: "GET",
    path: `/frontdoor/${frontdoorId}/gate/${asking}`,
    headers: {
      "X-Vestibule-Proxy-Token": proxyToken,
      ...line,
      "X-Forwarded-For": "192.0.2.7",
      "X-Request-Id": "0f5b9c1a7d3e48f2a6c4e1b2d3f40596",
      ...visitor,
      ...credential,
    },
  };
}
