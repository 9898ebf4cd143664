/**
 * Sign-in by OpenID Connect: the authorization code flow (OpenID Connect Core
 * 1.0 §3.1) with PKCE S256 (RFC 7636) and a nonce, always.
 *
 * The flow names its provider, so a code of one provider is never taken to
 * another; `iss` (RFC 9207) is checked when the browser brought it, and missed
 * when the provider promises it.
 */
import type { Configuration } from "openid-client";
import { isLoopback } from "../../config/urls.ts";
import { DomainError } from "../../lib/errors.ts";
import { googleIssuer } from "../../lib/well-known-providers.ts";
import { toEmail, toEmailDomain } from "../../users/email.ts";
import type { FinishRequest, Proof, Strategy } from "../strategy.ts";
import { verifyIdToken } from "./id-token.ts";
import {
  issuerUnavailable,
  OidcClient,
  type OidcClientOptions,
  toRefusal,
  withPatience,
} from "./oidc-client.ts";
import { toPicture, toTitle } from "./profile.ts";

/** The registered client at an OpenID provider, and the way there. */
export interface OidcStrategyOptions extends OidcClientOptions {
  readonly scopes: readonly string[];
  /** How long a flow may take. */
  readonly flowSeconds: number;
  /** The URL of ours that the provider is registered with. */
  readonly callbackUrl: string;
  /** Lower case. Domains whose addresses this provider speaks for. */
  readonly authoritativeDomains: readonly string[];
}

/** What the ID token, or the userinfo answer, says of a person. */
interface Profile {
  readonly email?: unknown;
  readonly email_verified?: unknown;
  readonly hd?: unknown;
  readonly name?: unknown;
  readonly picture?: unknown;
}

/**
 * A person's name at an issuer (OpenID Connect Core 1.0 §2), of any script. An
 * empty one, or one that a database keeps in another form, could be several people's.
 */
const subject = /^[^\p{Cc}\p{Cs}]{1,255}$/u;

/** Google itself; or what stands in for it on this machine, for the tests of whole systems, under its name. */
function isGoogle({ name, issuerUrl }: OidcStrategyOptions): boolean {
  if (issuerUrl === googleIssuer) return true;
  return name === "google" && isLoopback(new URL(issuerUrl).hostname);
}

function isAuthoritativeFor(email: string, profile: Profile, options: OidcStrategyOptions): boolean {
  const domain = toEmailDomain(email);
  if (options.authoritativeDomains.includes(domain)) return true;
  // Google speaks for its own mailboxes, and for a workspace's where `hd` names the domain.
  return isGoogle(options) && (domain === "gmail.com" || profile.hd === domain);
}

/** What is proven by claims that were verified. */
export function toIdentity(
  claims: Profile & { readonly iss: string; readonly sub: string },
  options: OidcStrategyOptions,
): Proof {
  const email = typeof claims.email === "string" ? toEmail(claims.email) : undefined;
  const title = toTitle(claims.name);
  const avatar = toPicture(claims.picture);
  return {
    kind: "identity",
    issuer: claims.iss,
    subject: claims.sub,
    emailVerified: email !== undefined && claims.email_verified === true,
    isAuthoritative: email !== undefined && isAuthoritativeFor(email, claims, options),
    ...(email !== undefined && { email }),
    ...(title !== undefined && { title }),
    ...(avatar !== undefined && { avatar }),
  };
}

/** A strategy for one configured issuer. */
export function createOidcStrategy(options: OidcStrategyOptions): Strategy {
  const { name, scopes, flowSeconds, callbackUrl } = options;
  const issuer = new OidcClient(options);

  /** The URL the browser came back to, as far as it matters: `state` was judged by the service. */
  function toCallbackUrl(request: FinishRequest, configuration: Configuration): URL {
    const url = new URL(request.flow.callbackUrl);
    url.search = "";
    url.searchParams.set("code", request.code);
    // Frontier's call has no field for `iss`: without it, the flow's own provider is meant.
    const issuer = request.issuer ?? configuration.serverMetadata().issuer;
    // A callback without one is refused by the library if the provider promises one (RFC 9207 §2.4).
    if (issuer !== "") url.searchParams.set("iss", issuer);
    return url;
  }

  /** @throws DomainError UNAVAILABLE when the issuer's document names no place to send anybody to */
  function toEndpoint(
    client: typeof import("openid-client"),
    configuration: Configuration,
    parameters: Record<string, string>,
  ): string {
    try {
      return client.buildAuthorizationUrl(configuration, parameters).href;
    } catch (error) {
      throw issuerUnavailable(name, error);
    }
  }

  async function exchange(request: FinishRequest, configuration: Configuration): Promise<Proof> {
    const client = await import("openid-client");
    const { verifier, nonce } = request.flow.secret;
    const tokens = await client.authorizationCodeGrant(
      configuration,
      toCallbackUrl(request, configuration),
      { pkceCodeVerifier: String(verifier), expectedNonce: String(nonce), idTokenExpected: true },
      { redirect_uri: request.flow.callbackUrl },
    );
    const claims = tokens.claims();
    if (claims === undefined) throw new Error("no ID token");
    await verifyIdToken(tokens.id_token ?? "", issuer.getKeys(configuration));
    if (!subject.test(claims.sub)) throw new Error("the ID token's sub names nobody");
    const hasUserinfo = configuration.serverMetadata().userinfo_endpoint !== undefined;
    if (claims.email !== undefined || !hasUserinfo) return toIdentity(claims as never, options);
    const userinfo = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
    return toIdentity({ ...userinfo, iss: claims.iss, sub: claims.sub }, options);
  }

  return {
    name,
    params: {},
    flowSeconds,
    callbackUrl,
    attempts: "once",
    async begin(request) {
      const configuration = await issuer.get();
      const client = await import("openid-client");
      const verifier = client.randomPKCECodeVerifier();
      const nonce = client.randomNonce();
      const parameters = {
        redirect_uri: request.callbackUrl,
        response_mode: "query",
        scope: scopes.join(" "),
        state: request.state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        ...(request.email !== undefined && { login_hint: request.email }),
      };
      return { endpoint: toEndpoint(client, configuration, parameters), secret: { verifier, nonce } };
    },
    async finish(request) {
      if (request.code === "") throw new DomainError("CODE_MISSING");
      return await withPatience(name, async () => {
        const configuration = await issuer.get();
        return await exchange(request, configuration).catch((error) => {
          throw toRefusal(name, error);
        });
      });
    },
  };
}
