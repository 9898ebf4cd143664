/** An auth provider: as lists show it, as it is shown, as it is stored; what changes leave of it. */
import type { ProviderData, ProviderTypeName } from "../provider-types/provider-type.ts";

/** A provider as lists show it. */
export interface ProviderSummary {
  readonly id: string;
  readonly name: string;
  readonly type: ProviderTypeName;
  readonly enabled: boolean;
}

/** A provider, whole, as it may be shown: secrets read as the mask. */
export interface Provider extends ProviderSummary {
  /** Number of its newest revision, from 1. */
  readonly revision: number;
  readonly data: ProviderData;
}

/** A provider as stored. */
export interface StoredProvider extends ProviderSummary {
  readonly frontdoorId: string;
  readonly revision: number;
  /** Sessions at the gate that a revision before this one proved have ended. */
  readonly sessionsFrom: number;
  /** Without its secrets. */
  readonly data: ProviderData;
  /** Sealed secrets by property. */
  readonly sealedSecrets: SealedSecrets;
  readonly createdAt: Date;
}

/** Sealed texts by property of the data. */
export type SealedSecrets = Readonly<Record<string, string>>;

/** What made a revision. */
export type RevisionChange = "create" | "update" | "replace" | "rollback";

/** One thing that a change changed; an absent side means there was none. Secrets are masked. */
export interface FieldChange {
  /** `name`, `enabled` or `data.<property>`. */
  readonly field: string;
  readonly before?: ProviderData[string];
  readonly after?: ProviderData[string];
}

/** A provider as one change left it. */
export interface Revision {
  readonly providerId: string;
  readonly revision: number;
  readonly name: string;
  readonly enabled: boolean;
  /** Without its secrets. */
  readonly data: ProviderData;
  readonly sealedSecrets: SealedSecrets;
  readonly change: RevisionChange;
  /** Of a rollback: whose state was restored. */
  readonly restoredRevision?: number;
  readonly changes: readonly FieldChange[];
  readonly author: { readonly type: string; readonly id: string };
  readonly createdAt: Date;
}

/** What happened to a provider. */
export type ProviderEvent = "created" | "updated" | "deleted";

/** A change of a frontdoor's providers, as watchers are told. */
export interface ProviderChange {
  readonly frontdoorId: string;
  /** From 1, without gaps, in the order of commits. */
  readonly seq: number;
  /** Random. */
  readonly mark: string;
  readonly event: ProviderEvent;
  /** As it was then, secrets masked; of a deleted one without its data. */
  readonly provider: Provider;
}
