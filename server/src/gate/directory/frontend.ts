/** A custom frontend as the gate needs it: with its providers, sorted by what they judge. */
import type {
  ApiKeyRate,
  FrontendAtHost,
  FrontendPolicy,
  FrontendScheme,
} from "../../frontdoor/frontends/frontend.ts";
import type {
  AcceptedCredentials,
  ProviderData,
  ProviderInstance,
  ProviderType,
} from "../../frontdoor/provider-types/provider-type.ts";
import type { ProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { hashSecret } from "../../lib/secrets.ts";
import { createEmailRule, type EmailRule } from "./email-patterns.ts";
import { createPathRule, type PathRule } from "./paths.ts";

/** Names of the cookie with a session at a frontend, by its scheme. */
export const gateSessionCookies = { https: "__Host-vestibule", http: "vestibule_gate" } as const;

/** Names of the cookie by which a frontend knows a browser again that is signing in. */
export const gateFlowCookies = { https: "__Host-vestibule-flow", http: "vestibule_flow" } as const;

/** A provider, ready to judge. */
export interface GateProvider {
  readonly id: string;
  readonly name: string;
  readonly type: ProviderType;
  readonly instance: ProviderInstance;
  /** Number of its revision. */
  readonly revision: number;
  /** Sessions that a revision before this one proved have ended. */
  readonly sessionsFrom: number;
}

/** Who may come in at a host, ready to be asked. Never changes: what is stored anew is made anew. */
export interface GateFrontend {
  readonly id: string;
  readonly frontdoorId: string;
  readonly orgId: string;
  /** As stored; a wildcard stands for the hosts it fits. */
  readonly hostname: string;
  readonly scheme: FrontendScheme;
  /** A second header for the assertion, as written; empty for none. */
  readonly assertionHeader: string;
  /** Tells it from itself after any change to it or to one of its providers. */
  readonly version: string;
  /** False while the frontdoor's organization is disabled. */
  readonly isOpen: boolean;
  readonly paths: PathRule;
  readonly letsPreflightsThrough: boolean;
  readonly emails: EmailRule | undefined;
  readonly requiredClaims: FrontendPolicy["requiredClaims"];
  /** Name of the cookie with a session at this frontend. */
  readonly sessionCookie: string;
  /** Whether `Authorization` is the gate's; if not it goes on to the app, and proves nothing. */
  readonly judgesAuthorization: boolean;
  /** How often each API key may come in; undefined without bound. */
  readonly keyRate: ApiKeyRate | undefined;
  /** By `iss`, each in the order they are asked. */
  readonly byIssuer: ReadonlyMap<string, readonly GateProvider[]>;
  /** By the header that carries their keys, in lower case. */
  readonly byKeyHeader: ReadonlyMap<string, readonly GateProvider[]>;
  /** Headers of keys in lower case, also of providers that are disabled: a proxy takes each from every answer. */
  readonly keyHeaders: readonly string[];
  /** Those that judge what this service hands out besides JWTs. */
  readonly own: readonly GateProvider[];
  /** Those by which people come in by browser, in the order they are offered. */
  readonly logins: readonly GateProvider[];
  /** How long a session lives at most, in seconds. */
  readonly sessionMaxAge: number;
}

/** Two readings of one version are alike in everything that the gate decides by. */
export function versionOf(read: FrontendAtHost): string {
  return hashSecret(JSON.stringify(read));
}

/** Makes a frontend ready to be asked. @param version as {@link versionOf} says */
export function toGateFrontend(
  read: FrontendAtHost,
  version: string,
  types: Pick<ProviderTypes, "get">,
): GateFrontend {
  const { id, frontdoorId, orgId, hostname, policy, scheme } = read;
  const byIssuer = new Map<string, GateProvider[]>();
  const byKeyHeader = new Map<string, GateProvider[]>();
  const keyHeaders = new Set<string>();
  const own: GateProvider[] = [];
  const logins: GateProvider[] = [];
  const ownHeader = read.assertionHeader.toLowerCase();
  for (const provider of read.providers) {
    const type = types.get(provider.type);
    const accepted: AcceptedCredentials = type.accepts(provider.data);
    // What is the app's to believe carries no key: an answer has each header once, and a visitor's never.
    const keyHeader = accepted.keyHeader === ownHeader ? undefined : accepted.keyHeader;
    if (keyHeader !== undefined) keyHeaders.add(keyHeader);
    if (!provider.enabled) continue;
    const { name, revision, sessionsFrom } = provider;
    const instance = { id: provider.id, orgId, data: provider.data };
    const ready: GateProvider = { id: provider.id, name, type, instance, revision, sessionsFrom };
    for (const issuer of accepted.issuers) append(byIssuer, issuer, ready);
    if (keyHeader !== undefined) append(byKeyHeader, keyHeader, ready);
    if (accepted.own) own.push(ready);
    if (letsPeopleIn(type, provider.data)) logins.push(ready);
  }
  return {
    id,
    frontdoorId,
    orgId,
    hostname,
    version,
    scheme,
    assertionHeader: read.assertionHeader,
    isOpen: read.isOpen,
    paths: createPathRule(policy),
    letsPreflightsThrough: policy.corsPreflight,
    sessionCookie: gateSessionCookies[scheme],
    judgesAuthorization: read.authorization === "JUDGE",
    keyRate: policy.apiKeyRate,
    emails: policy.emailPatterns.length === 0 ? undefined : createEmailRule(policy.emailPatterns),
    requiredClaims: policy.requiredClaims,
    byIssuer,
    byKeyHeader,
    keyHeaders: [...keyHeaders],
    own,
    logins,
    sessionMaxAge: policy.sessionMaxAge,
  };
}

function letsPeopleIn({ login }: ProviderType, data: ProviderData): boolean {
  return login !== undefined && (login.kind === "own" || login.isPossible(data));
}

function append<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
