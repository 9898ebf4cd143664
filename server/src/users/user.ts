import { randomBytes } from "node:crypto";
import { newId } from "../lib/ids.ts";
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
  /** URL of a picture, or its path where it is kept here; empty if none. */
  readonly avatar: string;
  readonly state: "enabled" | "disabled";
  /** What was said when the user was disabled; for superusers. */
  readonly disabledReason?: string;
  /** Whether a superuser gave the address and nobody has proven it: then no stranger chose it. */
  readonly isEmailGiven?: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A user as made of no more than an address, which nobody has proven. */
export function toNewUser(email: string, now: Date): User {
  return {
    id: newId(now),
    name: toName(email),
    title: "",
    email,
    emailProven: false,
    metadata: {},
    avatar: "",
    state: "enabled",
    createdAt: now,
    updatedAt: now,
  };
}

/** A unique handle that looks like the address: its local part, behind a letter, and something random behind it. */
function toName(email: string): string {
  const local = email
    .slice(0, email.lastIndexOf("@"))
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  const start = /^[a-z]/.test(local) ? local : `user-${local}`;
  return `${start.slice(0, 40).replace(/-$/, "")}-${randomBytes(5).toString("hex")}`;
}
