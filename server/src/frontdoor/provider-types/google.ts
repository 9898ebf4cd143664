/** `GOOGLE`: ID tokens and sign-ins of Google accounts. */

import { googleIssuer, oidcScopes } from "../../lib/well-known-providers.ts";
import { toDiscoveryUrl } from "../../openid/discovery.ts";
import type { SignatureAlgorithm } from "../../signatures/algorithms.ts";
import { createFixedKeys } from "../../signatures/key-set.ts";
import { type BearerRules, verifyBearerJwt } from "./bearer-jwt.ts";
import type { ProviderTypeContext } from "./context.ts";
import { findText, findTexts, getText, memoByData } from "./data.ts";
import { createDiscoveredKeys } from "./discovery.ts";
import { toIdentity } from "./identity.ts";
import { testIssuer } from "./issuer-dry-run.ts";
import { createOidcLogin } from "./oidc-login.ts";
import type { ProviderData, ProviderDecision, ProviderIdentity, ProviderType } from "./provider-type.ts";
import { toCallbackUrl } from "./provider-urls.ts";
import { decide, refuse } from "./refused.ts";
import { clientIdProperty, clientSecretProperty, kinds, listOf, makeSchema } from "./schema-parts.ts";

const about = {
  name: "GOOGLE",
  displayName: "Google",
  description: "Sign in with Google accounts, or only with those of some Google Workspace domains",
} as const;

const algorithms: readonly SignatureAlgorithm[] = ["RS256"];

/** Makes the type. @param issuer another one than Google's own, for tests. */
export function createGoogleType(context: ProviderTypeContext, issuer = googleIssuer): ProviderType {
  const discoveryUrl = toDiscoveryUrl(issuer);
  // Google's ID tokens may leave the scheme out of `iss`.
  const issuers = [issuer, issuer.replace(/^https:\/\//, "")];
  const toRules = memoByData((data) => makeRules(data));

  function makeRules(data: ProviderData): BearerRules {
    const clientId = getText(data, "clientId");
    return {
      issuers,
      audiences: [clientId],
      authorizedParty: clientId,
      algorithms,
      requiredClaims: {},
      keys: createDiscoveredKeys(context.documents, { issuer, discoveryUrl }),
    };
  }

  function decideOn(token: string, data: ProviderData, rules: BearerRules): Promise<ProviderDecision> {
    return decide(async () => {
      const claims = await verifyBearerJwt(token, rules, context);
      return toGoogleIdentity(toIdentity(claims), findTexts(data, "hostedDomains"));
    });
  }

  return {
    ...about,
    schema: makeSchema(context.publicUrl, about, { required: ["clientId"], properties }),
    secretFields: ["clientSecret"],
    organizationFields: [],
    endpointFields: ["clientId"],
    normalise: (data) => ({ ...data, ...lowerDomains(data) }),
    accepts: () => ({ issuers, own: false }),
    async authenticate({ data }, credential) {
      if (credential.kind === "access_token") return await decideOn(credential.token, data, toRules(data));
      return await decide(async () =>
        refuse("wrong_kind", "this provider takes a Google ID token as bearer token"),
      );
    },
    login: createOidcLogin(context, {
      // Google lets no client without a secret trade a code.
      isPossible: (data) => data.clientSecret !== undefined,
      toClient: (data) => ({ issuerUrl: issuer, clientId: getText(data, "clientId"), algorithms }),
      toParameters: (data) => ({
        scope: oidcScopes.join(" "),
        access_type: "offline",
        ...toHostedDomain(findTexts(data, "hostedDomains")),
      }),
      toAsking: () => "select_account",
      isComplete: (_data, { email }) => email !== undefined,
      admit: (data, identity) => toGoogleIdentity(identity, findTexts(data, "hostedDomains")),
    }),
    test({ id, data }, sample, signal) {
      const tested = {
        issuer,
        discoveryUrl,
        algorithms,
        clientId: getText(data, "clientId"),
        clientSecret: findText(data, "clientSecret"),
        supportsPkce: true,
        redirectUri: id === undefined ? undefined : toCallbackUrl(context.publicUrl, id),
      };
      return testIssuer({ egress: context.egress, signal }, tested, sample, (token, keySet) =>
        decideOn(token, data, { ...toRules(data), keys: createFixedKeys(keySet) }),
      );
    },
  };
}

function lowerDomains(data: ProviderData): ProviderData {
  const domains = findTexts(data, "hostedDomains");
  return domains === undefined ? {} : { hostedDomains: domains.map((domain) => domain.toLowerCase()) };
}

/** Has Google propose fitting accounts; the answer is judged all the same, since a visitor may change it. */
function toHostedDomain(domains: readonly string[] | undefined): Readonly<Record<string, string>> {
  if (domains === undefined) return {};
  const [first = "*", ...others] = domains;
  return { hd: others.length === 0 ? first.toLowerCase() : "*" };
}

/** `hd` is Google's word for the Workspace; the domain of the address is not (anyone may have had it). */
function toGoogleIdentity(
  identity: ProviderIdentity,
  hostedDomains: readonly string[] | undefined,
): ProviderIdentity {
  const { hd } = identity.claims;
  const domain = typeof hd === "string" ? hd.toLowerCase() : undefined;
  const isHosted = domain !== undefined && hostedDomains?.some((each) => each.toLowerCase() === domain);
  if (hostedDomains !== undefined && !isHosted) {
    refuse(
      "not_permitted",
      "the account is not in one of the Workspace domains of hostedDomains: sign in with another account, or add its domain",
    );
  }
  return { ...identity, organizations: domain === undefined ? [] : [domain] };
}

const properties = {
  clientId: { ...clientIdProperty, examples: ["1234-abcd.apps.googleusercontent.com"] },
  clientSecret: clientSecretProperty,
  hostedDomains: listOf(kinds.domain, {
    title: "Hosted domains",
    description:
      "Only accounts of these Google Workspace domains may come in. Without any, every Google account may.",
    examples: [["example.com"]],
  }),
} as const;
