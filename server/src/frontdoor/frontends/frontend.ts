import type { ProviderData } from "../provider-types/provider-type.ts";

/** Who may come in at a custom frontend. */
export interface FrontendPolicy {
  /** Exact, or everything below one that ends in a slash and an asterisk. */
  readonly publicPaths: readonly string[];
  /** Lower case; `*` stands for any characters but `@`. */
  readonly emailPatterns: readonly string[];
  readonly requiredClaims: ProviderData;
}

/** A host name and who may come in there. */
export interface CustomFrontend {
  readonly id: string;
  readonly frontdoorId: string;
  /** Lower case, with a port only where a browser shows one. */
  readonly hostname: string;
  /** In the order they are asked. */
  readonly providerIds: readonly string[];
  readonly policy: FrontendPolicy;
  /** Whether one of its providers is enabled. */
  readonly isActive: boolean;
}
