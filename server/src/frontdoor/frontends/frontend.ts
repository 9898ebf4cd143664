import type { ProviderData, ProviderTypeName } from "../provider-types/provider-type.ts";

/** So many requests in so much time, for each API key by itself. */
export interface ApiKeyRate {
  readonly requests: number;
  readonly perSeconds: number;
}

/** Who may come in at a custom frontend. */
export interface FrontendPolicy {
  /** Exact, or everything below one that ends in a slash and an asterisk. */
  readonly publicPaths: readonly string[];
  /** As `publicPaths`; where there are any, everything else is public. Never beside `publicPaths`. */
  readonly protectedPaths: readonly string[];
  /** Lower case; `*` stands for any characters but `@`. */
  readonly emailPatterns: readonly string[];
  readonly requiredClaims: ProviderData;
  /** Whether preflights of CORS go through without an identity. */
  readonly corsPreflight: boolean;
  /** How long a session at the frontend lives at most, in seconds. */
  readonly sessionMaxAge: number;
  /** Absent: as often as a key likes. */
  readonly apiKeyRate?: ApiKeyRate;
}

/** What is not said of a policy: every path needs an identity, and whoever is vouched for comes in. */
export const defaultPolicy: FrontendPolicy = {
  publicPaths: [],
  protectedPaths: [],
  emailPatterns: [],
  requiredClaims: {},
  corsPreflight: false,
  sessionMaxAge: 86_400,
};

/** What becomes of a visitor's `Authorization`: judged and taken away, or passed on and worth nothing. */
export type AuthorizationUse = "JUDGE" | "PASS";

/** What browsers use at a frontend. */
export type FrontendScheme = "https" | "http";

/** What is written of a frontend. */
export interface FrontendDefinition {
  /** Lower case, with a port only where a browser shows one; `*.` stands for one label. */
  readonly hostname: string;
  /** In the order they are asked. */
  readonly providerIds: readonly string[];
  readonly policy: FrontendPolicy;
  readonly authorization: AuthorizationUse;
  readonly scheme: FrontendScheme;
  /** A second header for the assertion, as written; empty for none. */
  readonly assertionHeader: string;
}

/** A host name and who may come in there. */
export interface CustomFrontend extends FrontendDefinition {
  readonly id: string;
  readonly frontdoorId: string;
  /** Whether one of its providers is enabled. */
  readonly isActive: boolean;
}

/** A provider that a frontend accepts, as whoever judges by it needs it. */
export interface AcceptedProvider {
  readonly id: string;
  readonly name: string;
  readonly type: ProviderTypeName;
  readonly enabled: boolean;
  /** Number of its newest revision. */
  readonly revision: number;
  /** Sessions at the gate that a revision before this one proved have ended. */
  readonly sessionsFrom: number;
  /** Its secrets read as the mask. */
  readonly data: ProviderData;
}

/** A frontend with all that a decision over a request depends on, read at one moment. */
export interface FrontendAtHost extends CustomFrontend {
  /** The organization of its frontdoor. */
  readonly orgId: string;
  /** Whether that organization is enabled. */
  readonly isOpen: boolean;
  /** In the order they are asked, disabled ones included. */
  readonly providers: readonly AcceptedProvider[];
}
