import type { Metadata } from "../lib/metadata.ts";
import type { Role } from "../principals/principal.ts";

/** A person's personal access token, without its secret. */
export interface PersonalToken {
  readonly id: string;
  readonly userId: string;
  readonly orgId: string;
  /** Unique among its owner's in the organization, in any case of letters. */
  readonly title: string;
  readonly scope: TokenScope;
  readonly metadata: Metadata;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** When its secret was last replaced. */
  readonly regeneratedAt?: Date;
  /** To a minute. */
  readonly lastUsedAt?: Date;
  readonly expiresAt: Date;
}

/** As what a token may act, in one organization; it has at least one of the two. */
export interface TokenScope {
  /** In the organization. */
  readonly role?: Role;
  /** In projects. */
  readonly projects?: ProjectScope;
}

/** In which projects a token acts. */
export interface ProjectScope {
  /** Each means no more than to be a member of the project. */
  readonly role: Role;
  /** Empty for all that its owner sees. */
  readonly ids: readonly string[];
}

/** A token with what its proof asks of its owner and the organization. */
export interface LiveToken extends Pick<PersonalToken, "id" | "userId" | "orgId" | "scope" | "expiresAt"> {
  readonly regeneratedAt?: Date;
  readonly lastUsedAt?: Date;
  readonly email: string;
  readonly emailProven: boolean;
  readonly userState: "enabled" | "disabled";
  readonly orgState: "enabled" | "disabled";
  /** What its owner is in the organization. */
  readonly memberRole: Role;
}

/** Most tokens of a person in an organization, expired ones included. */
export const maxPersonalTokens = 50;

/** Longest title, in characters; the schema's. */
export const longestTokenTitle = 50;

/** How long a token is not used before its owner is told. */
export const unusedMs = 180 * 86_400_000;
