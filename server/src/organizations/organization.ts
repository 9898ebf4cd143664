import type { Metadata } from "../lib/metadata.ts";
import type { Role } from "../principals/principal.ts";

/** A tenant: what service users belong to and roles are held in. */
export interface Organization {
  readonly id: string;
  /** Unique handle, usable wherever an id is. */
  readonly name: string;
  readonly title: string;
  readonly metadata: Metadata;
  readonly avatar: string;
  readonly state: "enabled" | "disabled";
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What names are made of, as the schema says, where it also refuses what looks like an id. */
export const organizationNamePattern = "[a-z][a-z0-9_\\-]{2,62}";

/** Name of the organization that exists from the first start. */
export const defaultOrganizationName = "default";

/** A person's role in an organization. */
export interface Member {
  readonly userId: string;
  readonly email: string;
  /** Whether the address was proven. */
  readonly emailVerified: boolean;
  readonly title: string;
  readonly role: Role;
  readonly createdAt: Date;
}

/** What a person is in one of their organizations. */
export interface Membership {
  readonly organization: Organization;
  readonly role: Role;
  readonly createdAt: Date;
}

/** A part of an organization that access tokens can be issued for. */
export interface Project {
  readonly id: string;
  readonly orgId: string;
  /** Handle, unique in the organization. */
  readonly name: string;
  readonly title: string;
  readonly metadata: Metadata;
  /** How many were let in. */
  readonly membersCount: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Whoever was let into a project. */
export interface ProjectMember extends ProjectPrincipal {
  readonly title: string;
  /** Empty for service users. */
  readonly email: string;
  readonly emailVerified: boolean;
  readonly createdAt: Date;
}

/** Whoever may be let into a project. */
export interface ProjectPrincipal {
  readonly type: "user" | "serviceuser";
  readonly id: string;
}
