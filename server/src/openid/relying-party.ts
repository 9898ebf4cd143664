/**
 * The relying party of an OpenID provider (OpenID Connect Core 1.0 §3.1): sends
 * a browser there, and makes of the answer what is proven.
 *
 * Whoever lets people in by another's word asks here: signing in to this
 * service, and the gate. The room answers claims that were verified; it knows
 * no account, keeps nothing, and never says whether somebody may come in.
 * `openid-client` speaks the protocol, every request passes the egress guard,
 * and documents come from a cache that outlives an outage.
 */
import type { Configuration, CustomFetch, ServerMetadata } from "openid-client";
import type { Egress } from "../egress/egress.ts";
import { parseObject } from "../egress/fetch-json.ts";
import type { ClientAuthentication } from "../lib/client-authentication.ts";
import type { Clock } from "../lib/clock.ts";
import { isUuid } from "../lib/ids.ts";
import type { Metadata } from "../lib/metadata.ts";
import { isIssuerOfSome, isTenantIssuer } from "../lib/tenant-issuer.ts";
import { type SignatureAlgorithm, signatureAlgorithms } from "../signatures/algorithms.ts";
import { createRemoteKeys, type DocumentSource } from "../signatures/key-set.ts";
import { toClientAuth } from "./client-authentication.ts";
import { toDiscoveryUrl } from "./discovery.ts";
import { verifyIdToken } from "./id-token.ts";
import { readPersonClaims } from "./person-claims.ts";
import { asking, ProviderFailure, toUnusable } from "./provider-failure.ts";
import { toShownText } from "./shown-text.ts";
import { isSubject } from "./subject.ts";

/** The client as it is registered with the provider, and the way there. */
export interface RelyingPartyOptions {
  /** With `{tenantid}` for an issuer of many tenants, each of whose tokens name its own. */
  readonly issuerUrl: string;
  /** Of those, whose tokens are taken, by their ids; absent, those of all. */
  readonly tenants?: readonly string[] | undefined;
  /** Where the provider's document is, if not where OpenID Connect Discovery 1.0 §4 says. */
  readonly discoveryUrl?: string | undefined;
  readonly clientId: string;
  readonly clientAuthentication: ClientAuthentication;
  /** How the browser is to bring the answer; absent, in the URL. */
  readonly responseMode?: "query" | "form_post";
  /** False for a provider that answers without a nonce: its codes are bound to the flow by PKCE alone. */
  readonly usesNonce?: boolean;
  /** False for a provider that refuses PKCE (RFC 7636): its codes are bound to the flow by the nonce alone. */
  readonly usesPkce?: boolean;
  /** Of ID tokens. Absent, every one that is spoken here. */
  readonly algorithms?: readonly SignatureAlgorithm[];
  readonly clockSkewSeconds: number;
  readonly clock: Clock;
  readonly egress: Egress;
  /** Discovery documents and key sets. */
  readonly documents: DocumentSource;
}

/** A browser to be sent to the provider. */
export interface AuthorizationRequest {
  readonly callbackUrl: string;
  readonly state: string;
  /** Beside those that are always sent. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Where to send the browser, and what has to be kept until it comes back. */
export interface AuthorizationBegun {
  readonly endpoint: string;
  /** Verifier and nonce. Secrets. */
  readonly secret: Metadata;
}

/** What the browser came back with. */
export interface AuthorizationAnswer {
  readonly code: string;
  /** `iss` of the callback's query (RFC 9207), empty if it had none; absent where the query is not known. */
  readonly issuer?: string;
  readonly callbackUrl: string;
  /** What {@link RelyingParty.begin} wanted kept. */
  readonly secret: Metadata;
}

/** The claims of an ID token that was verified. */
export interface IdTokenClaims {
  readonly iss: string;
  /** At most 255 characters, none of which a database would keep in another form. */
  readonly sub: string;
  readonly exp: number;
  readonly [name: string]: unknown;
}

/** What a provider handed out, verified. */
export interface ProvenTokens {
  readonly claims: IdTokenClaims;
  readonly accessToken: string;
  readonly refreshToken?: string;
  /** For how long the access token is good, as the provider said. */
  readonly expiresInSeconds?: number;
}

/** A refreshed grant: whether there is a new ID token is the provider's choice (OpenID Connect Core §12.2). */
export type RefreshedTokens = Omit<ProvenTokens, "claims"> & { readonly claims?: IdTokenClaims };

/** How long one request to the provider may take, in seconds. */
const timeoutSeconds = 8;

/** Largest answer taken, in bytes: what a provider says of a person is stored. */
const maxBytes = 128 * 1024;

type Library = typeof import("openid-client");

/** Where the library takes `{tenantid}` in an issuer for the `tid` of each token, whatever the document is. */
const entraUrl = "https://login.microsoftonline.com/common/v2.0";

interface Ready {
  readonly client: Library;
  readonly configuration: Configuration;
}

/** @see the head of this file */
export class RelyingParty {
  readonly #options: RelyingPartyOptions;

  constructor(options: RelyingPartyOptions) {
    this.#options = options;
  }

  /** What the provider says of itself. @throws ProviderFailure */
  async readMetadata(): Promise<Readonly<ServerMetadata>> {
    return (await this.#getReady()).configuration.serverMetadata();
  }

  /** Asks with a nonce and by PKCE S256, as far as the provider takes them. @throws ProviderFailure */
  async begin({ callbackUrl, state, parameters }: AuthorizationRequest): Promise<AuthorizationBegun> {
    const { client, configuration } = await this.#getReady();
    const { responseMode = "query", usesNonce = true, usesPkce = true } = this.#options;
    const nonce = usesNonce ? client.randomNonce() : undefined;
    const verifier = usesPkce ? client.randomPKCECodeVerifier() : undefined;
    const challenge = verifier && {
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    };
    const sent = {
      ...parameters,
      redirect_uri: callbackUrl,
      response_mode: responseMode,
      state,
      ...(nonce && { nonce }),
      ...challenge,
    };
    // The provider's document may name no place to send anybody to.
    const url = await asking({ at: "discovery" }, async () =>
      client.buildAuthorizationUrl(configuration, sent),
    );
    return { endpoint: url.href, secret: { ...(nonce && { nonce }), ...(verifier && { verifier }) } };
  }

  /**
   * Trades the code. `iss` (RFC 9207) is checked when the browser brought it,
   * and missed when the provider promises it.
   *
   * @throws ProviderFailure
   */
  async finish(answer: AuthorizationAnswer): Promise<ProvenTokens> {
    const ready = await this.#getReady();
    const { client, configuration } = ready;
    const { verifier, nonce } = answer.secret;
    const checks = {
      ...(verifier !== undefined && { pkceCodeVerifier: String(verifier) }),
      ...(nonce !== undefined && { expectedNonce: String(nonce) }),
      idTokenExpected: true,
    };
    const brought = this.#toBroughtUrl(answer, configuration);
    const rest = { redirect_uri: answer.callbackUrl };
    const tokens = await this.#askForTokens([answer.code, checks.pkceCodeVerifier], () =>
      client.authorizationCodeGrant(configuration, brought, checks, rest),
    );
    const { claims, ...proven } = await this.#prove(ready, tokens);
    if (claims === undefined) throw toUnusable("token_endpoint", "no ID token");
    const { issuer = "" } = answer;
    if (issuer !== "" && this.#isOfTenants && issuer !== claims.iss)
      throw toUnusable("authorization_endpoint", "iss is another tenant's than the ID token's");
    return { claims, ...proven };
  }

  /** Trades a refresh token (RFC 6749 §6). @throws as {@link finish}; whose ID token it is, is the caller's to check */
  async refresh(refreshToken: string): Promise<RefreshedTokens> {
    const ready = await this.#getReady();
    const { client, configuration } = ready;
    const tokens = await this.#askForTokens([refreshToken], () =>
      client.refreshTokenGrant(configuration, refreshToken),
    );
    return await this.#prove(ready, tokens);
  }

  /** What the provider tells of the subject beside the ID token; undefined where it tells nothing. @throws as {@link finish} */
  async findUserinfo(
    accessToken: string,
    sub: string,
  ): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { client, configuration } = await this.#getReady();
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return undefined;
    return readPersonClaims(
      await asking({ at: "userinfo_endpoint", secrets: [accessToken] }, () =>
        client.fetchUserInfo(configuration, accessToken, sub),
      ),
    );
  }

  async #askForTokens<T>(secrets: readonly (string | undefined)[], ask: () => Promise<T>): Promise<T> {
    const { clientAuthentication } = this.#options;
    const secret = "secret" in clientAuthentication ? clientAuthentication.secret : undefined;
    return await asking({ at: "token_endpoint", secrets: [secret, ...secrets] }, ask);
  }

  async #prove(
    { configuration }: Ready,
    tokens: Awaited<ReturnType<Library["refreshTokenGrant"]>>,
  ): Promise<RefreshedTokens> {
    const claims = tokens.claims();
    if (claims !== undefined) {
      await this.#verify(tokens.id_token ?? "", claims.sub, configuration);
      if (this.#isOfTenants) this.#checkTenant(claims.tid);
    }
    const { expires_in: expiresInSeconds } = tokens;
    return {
      ...(claims !== undefined && { claims: readPersonClaims(claims as IdTokenClaims) }),
      accessToken: tokens.access_token,
      ...(tokens.refresh_token !== undefined && { refreshToken: tokens.refresh_token }),
      ...(expiresInSeconds !== undefined && { expiresInSeconds }),
    };
  }

  async #verify(idToken: string, sub: string, configuration: Configuration): Promise<void> {
    const { algorithms = signatureAlgorithms, documents } = this.#options;
    const { jwks_uri: url } = configuration.serverMetadata();
    if (url === undefined) throw toUnusable("discovery", "no jwks_uri");
    await asking({ at: "jwks_uri" }, () =>
      verifyIdToken(idToken, algorithms, createRemoteKeys(documents, url)),
    );
    if (!isSubject(sub)) throw toUnusable("token_endpoint", "sub is not 1 to 255 characters of text");
  }

  get #isOfTenants(): boolean {
    return isTenantIssuer(this.#options.issuerUrl);
  }

  /** That the tenant whose id was put into the issuer has one, and may come in. */
  #checkTenant(tenant: unknown): void {
    const { tenants } = this.#options;
    if (typeof tenant !== "string" || !isUuid(tenant)) throw toWrongTenant("no tenant's id", "a tenant's id");
    if (tenants !== undefined && !tenants.includes(tenant)) throw toWrongTenant(tenant, "one of tenants");
  }

  /** The URL the browser came back to, as far as it matters: `state` was judged by whoever keeps the flow. */
  #toBroughtUrl({ code, issuer, callbackUrl }: AuthorizationAnswer, configuration: Configuration): URL {
    const url = new URL(callbackUrl);
    url.search = "";
    url.searchParams.set("code", code);
    const { issuer: own } = configuration.serverMetadata();
    const isTenants = this.#isOfTenants && issuer !== undefined && isIssuerOfSome(own, issuer);
    // Where the query is not known, the flow's own provider is meant.
    const named = isTenants ? own : (issuer ?? own);
    // A callback without one is refused by the library if the provider promises one (RFC 9207 §2.4).
    if (named !== "") url.searchParams.set("iss", named);
    return url;
  }

  /** Made anew each time: what is kept is the document. */
  async #getReady(): Promise<Ready> {
    const client = await import("openid-client");
    return {
      client,
      configuration: await asking({ at: "discovery" }, () => this.#configure(client)),
    };
  }

  async #configure(client: Library): Promise<Configuration> {
    const { issuerUrl, clientId, clientAuthentication, clock, clockSkewSeconds, egress } = this.#options;
    const { discoveryUrl = toDiscoveryUrl(issuerUrl), documents } = this.#options;
    const isHttp = new URL(issuerUrl).protocol === "http:";
    // Of a document that lists none, the library would take RS256 alone.
    const unlisted = { id_token_signing_alg_values_supported: signatureAlgorithms };
    const document: Readonly<Record<string, unknown>> = {
      ...unlisted,
      ...(await documents.get(discoveryUrl)),
    };
    checkIssuer(document.issuer, issuerUrl);
    const configuration = await client.discovery(
      new URL(this.#isOfTenants ? entraUrl : issuerUrl),
      clientId,
      {
        [client.clockTolerance]: clockSkewSeconds,
        [client.clockSkew]: Math.round((clock.now().getTime() - Date.now()) / 1000),
      },
      await toClientAuth(client, clientAuthentication, { clock }),
      {
        timeout: timeoutSeconds,
        // The library judges the document; the cache has it.
        [client.customFetch]: async () => Response.json(document),
        execute: isHttp ? [client.allowInsecureRequests] : [],
      },
    );
    configuration[client.customFetch] = toCustomFetch(egress);
    return configuration;
  }
}

/**
 * The document has to be the issuer's (OpenID Connect Discovery 1.0 §4.3). The
 * library looks too, but not where the issuer is Microsoft's.
 */
function checkIssuer(issuer: unknown, expected: string): void {
  const isSame =
    typeof issuer === "string" && URL.canParse(issuer) && new URL(issuer).href === new URL(expected).href;
  if (isSame) return;
  const found = typeof issuer === "string" ? toShownText(issuer, [], 200) : "absent";
  throw new ProviderFailure({ kind: "claim", at: "discovery", claim: "issuer", found, expected });
}

function toWrongTenant(found: string, expected: string): ProviderFailure {
  return new ProviderFailure({ kind: "claim", at: "token_endpoint", claim: "tid", found, expected });
}

/** The library's way to fetch, through the guard. */
function toCustomFetch(egress: Egress): CustomFetch {
  return async (url, options) => {
    const { method, headers, body, signal } = options;
    const answer = await egress.fetch(url, {
      method: method === "POST" ? "POST" : "GET",
      headers,
      redirects: "return",
      maxBytes,
      timeoutMs: timeoutSeconds * 1000,
      ...(body !== undefined && body !== null && { body: String(body) }),
      ...(signal && { signal }),
    });
    const isEmpty = answer.status === 204 || answer.status === 304;
    const isError = typeof parseObject(answer.body)?.error === "string";
    // Of two ways to say what is wrong, the library reads the challenge, and the body says more.
    if (isError) answer.headers.delete("www-authenticate");
    return new Response(isEmpty ? null : new Uint8Array(answer.body), {
      // Slack says no with 200, which the library takes for a yes that lacks something.
      status: isError && method === "POST" && answer.status === 200 ? 400 : answer.status,
      headers: answer.headers,
    });
  };
}
