/**
 * Sign-in by OpenID Connect: the authorization code flow (OpenID Connect Core
 * 1.0 §3.1) with PKCE S256 (RFC 7636) and a nonce, unless the operator has said
 * that the provider takes one of them alone.
 *
 * The flow names its provider, so a code of one provider is never taken to
 * another; `iss` (RFC 9207) is checked when the browser brought it, and missed
 * when the provider promises it.
 */
import { isLoopback } from "../../config/urls.ts";
import { parseObject } from "../../egress/fetch-json.ts";
import { createJsonCache } from "../../egress/json-cache.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { googleIssuer } from "../../lib/well-known-providers.ts";
import { withPatience } from "../../openid/patience.ts";
import { addPersonClaims } from "../../openid/person-claims.ts";
import { toPicture, toTitle } from "../../openid/profile.ts";
import { askFor } from "../../openid/refusal.ts";
import {
  type IdTokenClaims,
  type ProvenTokens,
  RelyingParty,
  type RelyingPartyOptions,
} from "../../openid/relying-party.ts";
import { toEmail, toEmailDomain } from "../../users/email.ts";
import type { FinishRequest, Proof, Strategy } from "../strategy.ts";

/** The registered client at an OpenID provider, and the way there. */
export interface OidcStrategyOptions extends Omit<RelyingPartyOptions, "documents"> {
  /** Name of the strategy. */
  readonly name: string;
  readonly log: Log;
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

/** How the issuer's documents are kept: while it is down, people wait for it to be asked again. */
const documentTimes = { ttlSeconds: 3_600, cooldownSeconds: 5 } as const;

/** Google itself; or what stands in for it on this machine, for the tests of whole systems, under its name. */
function isGoogle({ name, issuerUrl }: OidcStrategyOptions): boolean {
  if (issuerUrl === googleIssuer) return true;
  return name === "google" && isLoopback(new URL(issuerUrl).hostname);
}

function isAuthoritativeFor(email: string, profile: Profile, options: OidcStrategyOptions): boolean {
  const domain = toEmailDomain(email);
  if (isNamed(email, options)) return true;
  // Google speaks for its own mailboxes, and for a workspace's where `hd` names the domain.
  return isGoogle(options) && (domain === "gmail.com" || profile.hd === domain);
}

/** Whether the operator says that the provider speaks for the mailboxes of the address's domain. */
function isNamed(email: string, { authoritativeDomains }: OidcStrategyOptions): boolean {
  return authoritativeDomains.includes(toEmailDomain(email));
}

/**
 * Whether the address counts as verified. Of a provider that does not say, as
 * Microsoft's does not, where the operator has said it: anybody else's word for
 * an address is worth nothing there (its `email` is what a tenant wrote into it).
 */
function isVerified(
  email: string,
  { email_verified: verified }: Profile,
  options: OidcStrategyOptions,
): boolean {
  return verified === undefined ? isNamed(email, options) : verified === true;
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
    emailVerified: email !== undefined && isVerified(email, claims, options),
    isAuthoritative: email !== undefined && isAuthoritativeFor(email, claims, options),
    ...(email !== undefined && { email }),
    ...(title !== undefined && { title }),
    ...(avatar !== undefined && { avatar }),
  };
}

/** The name in what Apple posts beside its first answer of somebody, and never again. */
function findPostedName(user = ""): string | undefined {
  const { name } = parseObject(Buffer.from(user)) ?? {};
  const { firstName, lastName } = (name ?? {}) as {
    readonly firstName?: unknown;
    readonly lastName?: unknown;
  };
  return toTitle([firstName, lastName].filter((part) => typeof part === "string").join(" "));
}

/** A strategy for one configured issuer. */
export function createOidcStrategy(options: OidcStrategyOptions): Strategy {
  const { name, log, scopes, flowSeconds, callbackUrl } = options;
  const documents = createJsonCache({ ...options, ...documentTimes, maxEntries: 2 });
  const party = new RelyingParty({ ...options, documents });

  async function exchange({ code, issuer, user, flow }: FinishRequest): Promise<Proof> {
    const { callbackUrl, secret } = flow;
    const answer = { code, callbackUrl, secret, ...(issuer !== undefined && { issuer }) };
    const tokens = await party.finish(answer);
    const { name = findPostedName(user), ...claims } = await complete(tokens);
    return toIdentity({ ...claims, name }, options);
  }

  /** With what userinfo tells, if the ID token leaves out an address or whether it is verified. */
  async function complete({ claims, accessToken }: ProvenTokens): Promise<IdTokenClaims & Profile> {
    const { email, email_verified: verified, sub } = claims;
    if (email !== undefined && verified !== undefined) return claims;
    const userinfo = await party.findUserinfo(accessToken, sub).catch((error) => {
      if (email === undefined) throw error;
      // What the token tells stands, and an address that nobody calls verified has to be proven here.
      log.info({ err: error, strategy: name }, "userinfo tells nothing of somebody who signs in");
      return undefined;
    });
    return userinfo === undefined ? claims : addPersonClaims(claims, userinfo);
  }

  return {
    name,
    params: {},
    flowSeconds,
    callbackUrl,
    isAnsweredByForm: options.responseMode === "form_post",
    attempts: "once",
    begin: ({ callbackUrl, state, email }) => {
      const scope = scopes.join(" ");
      const parameters = { scope, ...(email !== undefined && { login_hint: email }) };
      return askFor(name, () => party.begin({ callbackUrl, state, parameters }));
    },
    async finish(request) {
      if (request.code === "") throw new DomainError("CODE_MISSING");
      return await askFor(name, () => withPatience(() => exchange(request)));
    },
  };
}
