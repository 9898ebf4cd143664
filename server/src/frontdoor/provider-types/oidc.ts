/** `OIDC`: bearer JWTs and sign-ins of any OpenID Connect issuer. */

import { oidcScopes } from "../../lib/well-known-providers.ts";
import { toDiscoveryUrl } from "../../openid/discovery.ts";
import { type SignatureAlgorithm, signatureAlgorithms } from "../../signatures/algorithms.ts";
import { createFixedKeys, type KeySource } from "../../signatures/key-set.ts";
import { type BearerRules, checkRequired, verifyBearerJwt } from "./bearer-jwt.ts";
import { findMissingClaim } from "./claims.ts";
import { isPublicClient, namedMethods } from "./client-authentication.ts";
import type { ProviderTypeContext } from "./context.ts";
import { findText, findTexts, getText, memoByData, toCanonicalUrl } from "./data.ts";
import { createDiscoveredKeys } from "./discovery.ts";
import { toIdentity } from "./identity.ts";
import { testIssuer } from "./issuer-dry-run.ts";
import { verifyLogoutToken } from "./logout-token.ts";
import { createOidcLogin } from "./oidc-login.ts";
import type { ProviderData, ProviderDecision, ProviderLogin, ProviderType } from "./provider-type.ts";
import { toCallbackUrl } from "./provider-urls.ts";
import { decide, refuse } from "./refused.ts";
import {
  algorithmsProperty,
  clientIdProperty,
  clientSecretProperty,
  kinds,
  listOf,
  makeSchema,
  requiredClaimsProperty,
} from "./schema-parts.ts";

const about = {
  name: "OIDC",
  displayName: "OpenID Connect",
  description: "Validate JWTs issued by an OpenID Connect provider",
} as const;

/** Makes the type. */
export function createOidcType(context: ProviderTypeContext): ProviderType {
  const toRules = memoByData((data) => makeRules(data, context));

  function decideOn(token: string, data: ProviderData, rules: BearerRules): Promise<ProviderDecision> {
    return decide(async () =>
      toIdentity(await verifyBearerJwt(token, rules, context), toAuthoritativeDomains(data)),
    );
  }

  return {
    ...about,
    schema: makeSchema(context.publicUrl, about, { required: ["issuer", "clientId"], properties }),
    secretFields: ["clientSecret"],
    organizationFields: [],
    endpointFields: ["issuer", "discoveryUrl", "clientId"],
    normalise,
    accepts: (data) => ({ issuers: [getText(data, "issuer")], own: false }),
    async authenticate({ data }, credential) {
      if (credential.kind === "access_token") return await decideOn(credential.token, data, toRules(data));
      return await decide(async () => refuse("wrong_kind", "this provider takes a JWT as bearer token"));
    },
    login: {
      ...toLogin(context),
      verifyLogout: ({ data }, token) =>
        verifyLogoutToken(token, toLogoutRules(data, toRules(data)), context),
    },
    test({ id, data }, sample, signal) {
      const tested = {
        issuer: getText(data, "issuer"),
        discoveryUrl: getDiscoveryUrl(data),
        algorithms: getAlgorithms(data, "allowedAlgorithms"),
        clientId: getText(data, "clientId"),
        clientSecret: findText(data, "clientSecret"),
        clientAuthentication: findText(data, "clientAuthentication"),
        supportsPkce: data.supportsPkce !== false,
        supportsNonce: data.supportsNonce !== false,
        redirectUri: id === undefined ? undefined : toCallbackUrl(context.publicUrl, id),
      };
      return testIssuer({ egress: context.egress, signal }, tested, sample, (token, keySet) =>
        decideOn(token, data, { ...toRules(data), keys: createFixedKeys(keySet) }),
      );
    },
  };
}

function toLogin(context: ProviderTypeContext): ProviderLogin {
  return createOidcLogin(context, {
    // A nonce or PKCE has to tie a code to its login (RFC 9700 §2.1.1).
    isPossible: (data) =>
      isPublicClient(data)
        ? data.supportsPkce !== false
        : data.clientSecret !== undefined && (data.supportsPkce !== false || data.supportsNonce !== false),
    toClient: (data) => ({
      issuerUrl: getText(data, "issuer"),
      discoveryUrl: getDiscoveryUrl(data),
      clientId: getText(data, "clientId"),
      usesPkce: data.supportsPkce !== false,
      usesNonce: data.supportsNonce !== false,
      algorithms: getAlgorithms(data, "allowedAlgorithms"),
    }),
    toParameters: (data) => ({ scope: toScope(findTexts(data, "scopes") ?? oidcScopes) }),
    toAsking: (offered) => (offered.includes("select_account") ? "select_account" : "login"),
    isComplete: (data, claims) =>
      claims.email !== undefined && findMissingClaim(claims, getRequiredClaims(data)) === undefined,
    toAuthoritativeDomains,
    admit(data, identity) {
      checkRequired(identity.claims, getRequiredClaims(data));
      return identity;
    },
  });
}

/** The algorithms a provider's data allows under this name; every one if it says nothing. */
export function getAlgorithms(data: ProviderData, name: string): readonly SignatureAlgorithm[] {
  const allowed = findTexts(data, name);
  return signatureAlgorithms.filter((algorithm) => allowed?.includes(algorithm) ?? true);
}

function toAuthoritativeDomains(data: ProviderData): readonly string[] {
  return (findTexts(data, "authoritativeDomains") ?? []).map((domain) => domain.toLowerCase());
}

function getDiscoveryUrl(data: ProviderData): string {
  return findText(data, "discoveryUrl") ?? toDiscoveryUrl(getText(data, "issuer"));
}

/** Without `audiences`, or with none in it, a token has to be made for the client itself, as ID tokens are. */
function makeRules(data: ProviderData, { documents }: ProviderTypeContext): BearerRules {
  const issuer = getText(data, "issuer");
  const clientId = getText(data, "clientId");
  const listed = findTexts(data, "audiences") ?? [];
  const audiences = listed.length === 0 ? undefined : listed;
  const keys: KeySource = createDiscoveredKeys(documents, { issuer, discoveryUrl: getDiscoveryUrl(data) });
  return {
    issuers: [issuer],
    audiences: audiences ?? [clientId],
    authorizedParty: audiences === undefined ? clientId : undefined,
    algorithms: getAlgorithms(data, "allowedAlgorithms"),
    requiredClaims: getRequiredClaims(data),
    keys,
  };
}

/** Whatever tokens it accepts else, a logout is told to the client itself. */
function toLogoutRules(data: ProviderData, rules: BearerRules): BearerRules {
  const audiences = [getText(data, "clientId")];
  return { ...rules, audiences, authorizedParty: undefined, requiredClaims: {} };
}

function getRequiredClaims({ requiredClaims = {} }: ProviderData): BearerRules["requiredClaims"] {
  return requiredClaims as BearerRules["requiredClaims"];
}

/** `openid` makes it a request for an ID token (OpenID Connect Core §3.1.2.1). */
function toScope(scopes: readonly string[]): string {
  return [...new Set(["openid", ...scopes])].join(" ");
}

function normalise(data: ProviderData): ProviderData {
  return {
    ...data,
    issuer: toCanonicalUrl(getText(data, "issuer")),
    discoveryUrl: toCanonicalUrl(getDiscoveryUrl(data)),
    scopes: data.scopes ?? oidcScopes,
    supportsPkce: data.supportsPkce ?? true,
    supportsNonce: data.supportsNonce ?? true,
  };
}

const properties = {
  issuer: {
    ...kinds.issuer,
    title: "Issuer",
    description:
      "Issuer URL exactly as the provider's tokens say it in iss, a slash at the end included. Plain http only within networks the operator allowed.",
    examples: ["https://your-org.okta.com"],
  },
  clientId: clientIdProperty,
  clientSecret: clientSecretProperty,
  audiences: listOf(kinds.audience, {
    title: "Audiences",
    description:
      "A token is accepted when its aud holds one of these. Without any, tokens must be made for the client ID.",
    examples: [["api://default"]],
    minItems: 0,
  }),
  scopes: listOf(kinds.identifier, {
    title: "Scopes",
    description: "Scopes asked for when a person signs in by browser; openid always is.",
    default: oidcScopes,
    minItems: 0,
  }),
  supportsPkce: {
    type: "boolean",
    title: "Use PKCE",
    description:
      "Whether sign-ins by browser use PKCE with S256. Turn off only for providers that refuse it.",
    default: true,
  },
  supportsNonce: {
    type: "boolean",
    title: "Use a nonce",
    description:
      "Whether sign-ins by browser ask for a nonce in the ID token. Turn off only for providers that leave it out; PKCE has to be on then.",
    default: true,
  },
  clientAuthentication: {
    type: "string",
    enum: [...namedMethods],
    title: "Client authentication",
    description:
      "How the client proves itself at the token endpoint. Without it, by the client secret as the discovery document announces: by header, else in the form. none is a public client, which has PKCE alone; no client secret with supportsPkce true says the same.",
    examples: ["client_secret_post"],
  },
  authoritativeDomains: listOf(kinds.domain, {
    title: "Authoritative domains",
    description:
      "Domains whose addresses the provider speaks for: one counts as verified where the provider leaves out email_verified, as Microsoft Entra does.",
    examples: [["example.com"]],
  }),
  discoveryUrl: {
    ...kinds.url,
    title: "Discovery URL",
    description:
      "Where the discovery document is, if not below the issuer at /.well-known/openid-configuration.",
    examples: ["https://your-org.okta.com/oauth2/default/.well-known/openid-configuration"],
  },
  allowedAlgorithms: algorithmsProperty,
  requiredClaims: requiredClaimsProperty,
} as const;
