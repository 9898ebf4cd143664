/**
 * A site that speaks plain OAuth 2 (RFC 6749 §4.1) and tells by an API of its
 * own who somebody is: no ID token says it, so what proves a person is that the
 * site answered this server, over TLS, for a code of this flow.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Egress } from "../egress/egress.ts";
import type { EgressResponse } from "../egress/exchange.ts";
import { parseArray, parseObject } from "../egress/fetch-json.ts";
import { type ClaimsMap, findAt } from "../lib/claims-map.ts";
import type { ClientAuthentication } from "../lib/client-authentication.ts";
import type { Asked } from "./failure-cause.ts";
import { asking, ProviderFailure, type Question, toRefused, toUnusable } from "./provider-failure.ts";
import type { AuthorizationAnswer, AuthorizationBegun, AuthorizationRequest } from "./relying-party.ts";
import { isSubject } from "./subject.ts";

/** The application as it is registered with the site, and where the site answers. */
export interface OAuthSiteOptions {
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  readonly userinfoUrl: string;
  /** Where it lists the addresses of an account, each with `email`, `primary` and `verified`. */
  readonly emailsUrl?: string | undefined;
  readonly claims: ClaimsMap;
  /** False for a site that refuses PKCE (RFC 7636): its codes are bound to the flow by `state` alone. */
  readonly usesPkce: boolean;
  readonly clientId: string;
  readonly clientAuthentication: ClientAuthentication;
  readonly egress: Egress;
}

/** What the site handed out. Secrets. */
export interface OAuthTokens {
  readonly accessToken: string;
  readonly refreshToken?: string;
  /** For how long the access token is good; absent for one without end. */
  readonly expiresInSeconds?: number;
}

/** A person as the site tells of them. */
export interface OAuthPerson {
  /** As text, also where the site has a number. */
  readonly subject: string;
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  readonly name: unknown;
  readonly picture: unknown;
  /** All that it tells. */
  readonly told: Readonly<Record<string, unknown>>;
}

const timeoutMs = 8_000;

/** Largest answer taken, in bytes: what a site says of a person is stored. */
const maxBytes = 128 * 1024;

/** @see the head of this file */
export class OAuthSite {
  readonly #options: OAuthSiteOptions;

  constructor(options: OAuthSiteOptions) {
    this.#options = options;
  }

  /** Asks nobody: the way there is known. */
  begin({ callbackUrl, state, parameters }: AuthorizationRequest): AuthorizationBegun {
    const { authorizationUrl, clientId, usesPkce } = this.#options;
    const verifier = usesPkce ? randomBytes(32).toString("base64url") : undefined;
    const url = new URL(authorizationUrl);
    const sent = {
      ...parameters,
      response_type: "code",
      client_id: clientId,
      redirect_uri: callbackUrl,
      state,
      ...(verifier !== undefined && {
        code_challenge: createHash("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
      }),
    };
    for (const [name, value] of Object.entries(sent)) url.searchParams.set(name, value);
    return { endpoint: url.href, secret: verifier === undefined ? {} : { verifier } };
  }

  /** Trades the code, once it is clear that it is this site's. @throws ProviderFailure */
  async finish({ code, issuer = "", callbackUrl, secret }: AuthorizationAnswer): Promise<OAuthTokens> {
    this.#checkIssuer(issuer);
    const { verifier } = secret;
    return await this.#trade({
      grant_type: "authorization_code",
      code,
      redirect_uri: callbackUrl,
      ...(typeof verifier === "string" && { code_verifier: verifier }),
    });
  }

  /** Trades a refresh token, which may be used up by that. @throws as {@link finish} */
  async refresh(refreshToken: string): Promise<OAuthTokens> {
    return await this.#trade({ grant_type: "refresh_token", refresh_token: refreshToken });
  }

  /** @throws as {@link finish} */
  async readPerson(accessToken: string): Promise<OAuthPerson> {
    const { userinfoUrl, emailsUrl, claims } = this.#options;
    const [body, listed] = await Promise.all([
      this.read("userinfo_endpoint", userinfoUrl, accessToken),
      emailsUrl === undefined ? undefined : this.read("emails_endpoint", emailsUrl, accessToken),
    ]);
    const told = parseObject(body);
    if (told === undefined) throw toUnusable("userinfo_endpoint", "no JSON object");
    const common = {
      subject: toSubject(findAt(told, claims.subject)),
      name: findAt(told, claims.name),
      picture: findAt(told, claims.picture),
      told,
    };
    if (listed !== undefined) {
      const primary = findPrimaryEmail(parseArray(listed) ?? []);
      return { ...common, email: primary, emailVerified: primary !== undefined };
    }
    const email = findAt(told, claims.email);
    const { emailVerified } = claims;
    const says = emailVerified === "always" ? true : findAt(told, emailVerified);
    return {
      ...common,
      email: typeof email === "string" ? email : undefined,
      // Some write their truth in quotes.
      emailVerified: typeof email === "string" && (says === true || says === "true"),
    };
  }

  /** What an API of the site answers for a token. @throws as {@link finish} */
  async read(at: Asked, url: string, accessToken: string): Promise<Buffer> {
    const question = { at, secrets: [accessToken] };
    const answer = await asking(question, () =>
      this.#options.egress.fetch(url, {
        timeoutMs,
        maxBytes,
        headers: { accept: "application/json", authorization: `Bearer ${accessToken}` },
      }),
    );
    if (answer.status !== 200) throw toFailure(question, answer);
    return answer.body;
  }

  /** A site need not name itself (RFC 9207), but an answer that names another is not its own. */
  #checkIssuer(issuer: string): void {
    const { origin } = new URL(this.#options.authorizationUrl);
    if (issuer === "" || (URL.canParse(issuer) && new URL(issuer).origin === origin)) return;
    throw toUnusable("authorization_endpoint", `iss is not of ${origin}`);
  }

  async #trade(parameters: Readonly<Record<string, string>>): Promise<OAuthTokens> {
    const { egress, tokenUrl, clientId, clientAuthentication } = this.#options;
    const { code, code_verifier, refresh_token } = parameters;
    const secret = "secret" in clientAuthentication ? clientAuthentication.secret : undefined;
    const question: Question = {
      at: "token_endpoint",
      secrets: [secret, code, code_verifier, refresh_token],
    };
    const { headers, form } = toClientProof(clientId, clientAuthentication);
    const answer = await asking(question, () =>
      egress.fetch(tokenUrl, {
        method: "POST",
        timeoutMs,
        maxBytes,
        headers: {
          accept: "application/json",
          "content-type": "application/x-www-form-urlencoded",
          ...headers,
        },
        body: new URLSearchParams({ ...form, ...parameters }).toString(),
      }),
    );
    const told = parseObject(answer.body) ?? {};
    // A refusal may come with status 200.
    if (answer.status !== 200 || "error" in told) throw toFailure(question, answer);
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn } = told;
    if (typeof accessToken !== "string") throw toUnusable("token_endpoint", "no access_token");
    return {
      accessToken,
      ...(typeof refreshToken === "string" && { refreshToken }),
      ...(typeof expiresIn === "number" && { expiresInSeconds: expiresIn }),
    };
  }
}

/** How the client proves itself (RFC 6749 §2.3.1). */
function toClientProof(
  clientId: string,
  authentication: ClientAuthentication,
): { readonly headers: Readonly<Record<string, string>>; readonly form: Readonly<Record<string, string>> } {
  if (!("secret" in authentication)) return { headers: {}, form: { client_id: clientId } };
  const { method, secret } = authentication;
  if (method === "client_secret_post") {
    return { headers: {}, form: { client_id: clientId, client_secret: secret } };
  }
  const pair = [clientId, secret].map((text) => new URLSearchParams({ "": text }).toString().slice(1));
  return {
    headers: { authorization: `Basic ${Buffer.from(pair.join(":")).toString("base64")}` },
    form: {},
  };
}

/** What an answer that says no means; one for having asked too often may come as 403. */
function toFailure(question: Question, { status, headers, body }: EgressResponse): ProviderFailure {
  const isTooOften = headers.get("x-ratelimit-remaining") === "0" || headers.has("retry-after");
  const meant = status === 403 && isTooOften ? 429 : status;
  const said = readError(parseObject(body) ?? {});
  if (said === undefined) return new ProviderFailure({ kind: "status", at: question.at, status: meant });
  return toRefused(question, { ...said, ...(meant !== 200 && { status: meant }) });
}

/** An error as RFC 6749 §5.2 has it, or in an object of its own, as Facebook has it. */
function readError(
  told: Readonly<Record<string, unknown>>,
): { readonly error: string; readonly description?: unknown } | undefined {
  const { error, error_description: description } = told;
  if (typeof error === "string") return { error, description };
  if (typeof error !== "object" || error === null) return undefined;
  const { type, code, message } = error as Readonly<Record<string, unknown>>;
  return { error: typeof type === "string" ? type : `error ${String(code)}`, description: message };
}

/**
 * An id as text. A number that JSON cannot hold exactly could be several
 * people's. Unlike a `sub` of OpenID Connect, which is text by its
 * specification, a number is no mistake here.
 */
function toSubject(value: unknown): string {
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  if (typeof value === "string" && isSubject(value)) return value;
  throw toUnusable(
    "userinfo_endpoint",
    "the subject is neither a text of 1 to 255 characters nor a whole number",
  );
}

/** The primary address, if it is verified. */
function findPrimaryEmail(addresses: readonly unknown[]): string | undefined {
  const primary = addresses.find((one) => {
    const { primary, verified } = (one ?? {}) as { primary?: unknown; verified?: unknown };
    return primary === true && verified === true;
  });
  const { email } = (primary ?? {}) as { email?: unknown };
  return typeof email === "string" ? email : undefined;
}
