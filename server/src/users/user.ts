import type { Metadata } from "../lib/metadata.ts";

/** A person. */
export interface User {
  readonly id: string;
  /** Unique handle. */
  readonly name: string;
  readonly title: string;
  /** Address, lower case. */
  readonly email: string;
  /** Whether our own mail or an authoritative provider has proven the address. */
  readonly emailProven: boolean;
  readonly metadata: Metadata;
  /** URL of a picture; empty if none. */
  readonly avatar: string;
  readonly state: "enabled" | "disabled";
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
