/**
 * People come in by an OpenID provider: the authorization code flow (OpenID
 * Connect Core 1.0 §3.1), and after it refresh tokens where the provider hands
 * them out.
 */
import type { Metadata } from "../../lib/metadata.ts";
import { beginPatience, withPatience } from "../../openid/patience.ts";
import { addPersonClaims } from "../../openid/person-claims.ts";
import { askFor } from "../../openid/refusal.ts";
import { type ProvenTokens, RelyingParty, type RelyingPartyOptions } from "../../openid/relying-party.ts";
import { toClientAuthentication } from "./client-authentication.ts";
import type { ProviderTypeContext } from "./context.ts";
import { toTexts } from "./data.ts";
import { checkClaims, toIdentity } from "./identity.ts";
import { decideOnLogin, readTraded, toRenewal } from "./login-outcome.ts";
import type {
  LoggedIn,
  LoginRequest,
  ProviderData,
  ProviderIdentity,
  ProviderLogin,
  RenewedLogin,
} from "./provider-type.ts";
import { decideNow, refuse } from "./refused.ts";

type Claims = Readonly<Record<string, unknown>>;

/** What a type makes of its data for logins. */
export interface OidcLoginRules {
  isPossible(data: ProviderData): boolean;
  /** The client at its provider; the secret is added to it. */
  toClient(
    data: ProviderData,
  ): Pick<
    RelyingPartyOptions,
    "issuerUrl" | "discoveryUrl" | "clientId" | "usesNonce" | "usesPkce" | "algorithms"
  >;
  /** Without `prompt` and `login_hint`, which are added. */
  toParameters(data: ProviderData): Readonly<Record<string, string>>;
  /** The words of `prompt` (§3.1.2.1) by which people say anew who they are. @param offered by the provider's document */
  toAsking(offered: readonly string[]): string;
  /** Whether claims of an ID token have all that is asked for, so that the userinfo endpoint need not tell more. */
  isComplete(data: ProviderData, claims: Claims): boolean;
  /** Lower case; absent for none. */
  toAuthoritativeDomains?(data: ProviderData): readonly string[];
  /** Who comes in by the data. @throws Refused */
  admit(data: ProviderData, identity: ProviderIdentity): ProviderIdentity;
}

/** Makes the login of a type. */
export function createOidcLogin(context: ProviderTypeContext, rules: OidcLoginRules): ProviderLogin {
  const { clock } = context;
  function toParty(data: ProviderData): RelyingParty {
    const client = rules.toClient(data);
    return new RelyingParty({ ...context, ...client, clientAuthentication: toClientAuthentication(data) });
  }

  /** What the provider is called in logs: its host. */
  const toName = (data: ProviderData) => new URL(rules.toClient(data).issuerUrl).host;

  async function readClaims(
    party: RelyingParty,
    data: ProviderData,
    { claims, accessToken }: Pick<ProvenTokens, "claims" | "accessToken">,
  ): Promise<Claims> {
    const isComplete = rules.isComplete(data, claims);
    if (isComplete && claims.email_verified !== undefined) return claims;
    const userinfo = await party.findUserinfo(accessToken, claims.sub).catch((error) => {
      if (!isComplete) throw error;
      // What was told stands; an address that nobody calls verified is none that is.
      return {};
    });
    // What the ID token says was signed.
    return addPersonClaims(claims, userinfo ?? {});
  }

  function toLoggedIn(data: ProviderData, claims: Claims, tokens: Omit<ProvenTokens, "claims">): LoggedIn {
    checkClaims(claims);
    const { expiresAt, ...identity } = toIdentity(claims, rules.toAuthoritativeDomains?.(data));
    const { sid } = claims;
    return {
      allowed: true,
      identity: rules.admit(data, identity),
      renewAt: toRenewal(tokens.expiresInSeconds, expiresAt, clock.now()),
      ...(tokens.refreshToken !== undefined && { kept: { refreshToken: tokens.refreshToken } }),
      ...(typeof sid === "string" && sid !== "" && { sid }),
    };
  }

  async function renew(data: ProviderData, { kept, identity }: RenewedLogin): Promise<LoggedIn> {
    const before = getRefreshToken(kept);
    const party = toParty(data);
    const within = beginPatience();
    const { refreshToken = before, claims: told, ...rest } = await within(() => party.refresh(before));
    const tokens = { ...rest, refreshToken };
    if (told !== undefined && told.sub !== identity.subject) {
      refuse("claim_mismatch", "the provider answered a renewal with somebody else's ID token");
    }
    // What is not told anew stands as it was told before.
    const { exp: _past, ...known } = identity.claims;
    const read = async () => {
      if (told !== undefined) return await readClaims(party, data, { ...tokens, claims: told });
      return addPersonClaims((await party.findUserinfo(tokens.accessToken, identity.subject)) ?? {}, known);
    };
    const claims = await readTraded(
      () => within(read),
      () => undefined,
    );
    if (claims !== undefined) return toLoggedIn(data, claims, tokens);
    return toLoggedIn(data, addPersonClaims(told ?? {}, known), { ...tokens, expiresInSeconds: 0 });
  }

  return {
    kind: "provider",
    isPossible: rules.isPossible,
    async begin({ data }, request) {
      const party = toParty(data);
      const { callbackUrl, state } = request;
      return await askFor(toName(data), async () => {
        const metadata = await party.readMetadata();
        const parameters = addRequest(rules, rules.toParameters(data), request, metadata);
        return await party.begin({ callbackUrl, state, parameters });
      });
    },
    finish: ({ data }, { issuer = "", ...answer }) =>
      decideOnLogin("login", toName(data), async () => {
        const party = toParty(data);
        return await withPatience(async () => {
          const tokens = await party.finish({ ...answer, issuer });
          return toLoggedIn(data, await readClaims(party, data, tokens), tokens);
        });
      }),
    renew: ({ data }, login) => decideOnLogin("renewal", toName(data), () => renew(data, login)),
    admit: ({ data }, identity) => decideNow(() => rules.admit(data, identity)),
  };
}

function getRefreshToken(kept: Metadata): string {
  const { refreshToken } = kept;
  if (typeof refreshToken === "string") return refreshToken;
  return refuse("unknown_credential", "nothing was kept that a renewal could go by: sign in again");
}

/** Scope by which a provider hands out refresh tokens (§11). */
const offline = "offline_access";

/**
 * Asks for refresh tokens where the provider's document lists their scope.
 * People are asked for their consent to it only where the provider's data name
 * the scope: §11 wants it asked for, most providers do without.
 */
function addRequest(
  rules: OidcLoginRules,
  parameters: Readonly<Record<string, string>>,
  { prompt, loginHint }: LoginRequest,
  metadata: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> {
  const scopes = (parameters.scope ?? "").split(" ");
  const isNamed = scopes.includes(offline);
  const isListed = toTexts(metadata.scopes_supported).includes(offline);
  const asked = [
    ...(prompt === "again" ? [rules.toAsking(toTexts(metadata.prompt_values_supported))] : []),
    ...(isNamed ? ["consent"] : []),
  ];
  const words = prompt === "none" ? ["none"] : asked;
  return {
    ...parameters,
    scope: (isListed && !isNamed ? [...scopes, offline] : scopes).join(" "),
    ...(words.length > 0 && { prompt: words.join(" ") }),
    ...(loginHint !== undefined && { login_hint: loginHint }),
  };
}
