/** What a record of each kind holds, in files and on the way in. */
import { z } from "zod";
import { isUuid } from "../lib/ids.ts";
import type { JsonObject } from "../lib/json.ts";
import { checkMetadata } from "../lib/metadata.ts";
import { isTitle } from "../lib/title.ts";
import { organizationNamePattern } from "../organizations/organization.ts";
import { roles } from "../principals/principal.ts";
import { requireEmail } from "../users/email.ts";

/** Kinds of records, in the order in which they are moved: each names only what comes before it. */
export const kinds = ["organizations", "people", "identities", "members", "service-users"] as const;

/** One of {@link kinds}. */
export type Kind = (typeof kinds)[number];

/** Most keys that one record has: more are made afterwards. */
const mostKeys = 100;

const longestId = 255;

/** What another system calls something: any text without controls. */
const id = z
  .string()
  .min(1, "must not be empty")
  .max(longestId, `must be at most ${longestId} characters`)
  .refine((text) => /^\P{Cc}*$/u.test(text) && text.isWellFormed(), "must have no control character");

const email = z.string().transform((text, context) => {
  try {
    return requireEmail(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
    return z.NEVER;
  }
});

const title = z
  .string()
  .refine(
    isTitle,
    "must be at most 200 characters, none of them a control character or one that turns the direction of writing",
  );

const metadata = z
  .custom<JsonObject>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    "must be a JSON object",
  )
  .superRefine((value, context) => {
    try {
      checkMetadata("", value);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
    }
  });

const longestUrl = 2048;

const avatar = z
  .string()
  .refine(
    (text) =>
      text === "" || (/^https:\/\/\S+$/.test(text) && URL.canParse(text) && text.length <= longestUrl),
    `must be an https URL of at most ${longestUrl} characters`,
  );

const instant = z.iso
  .datetime({ offset: true, error: "must be an instant as of RFC 3339, such as 2026-01-31T12:00:00Z" })
  .transform((text) => new Date(text))
  .refine((at) => at.getTime() >= 0 && at.getTime() < 4_102_444_800_000, "must be between 1970 and 2100");

const role = z.enum(roles);
const state = z.enum(["enabled", "disabled"]);

const organization = z.strictObject({
  id: id.optional(),
  name: z
    .string()
    .regex(
      new RegExp(`^${organizationNamePattern}$`),
      "must be 3 to 63 lower-case letters, digits, - and _, beginning with a letter",
    )
    .refine((name) => !isUuid(name), "must not look like an id"),
  title: title.optional(),
  metadata: metadata.optional(),
  avatar: avatar.optional(),
  state: state.optional(),
  created_at: instant.optional(),
});

const person = z.strictObject({
  id: id.optional(),
  email,
  email_verified: z.boolean().optional(),
  name: z
    .string()
    .regex(/^[a-zA-Z][a-zA-Z0-9_-]{3,64}$/, "must be 4 to 65 letters, digits, - and _, the first a letter")
    .transform((name) => name.toLowerCase())
    .optional(),
  title: title.optional(),
  metadata: metadata.optional(),
  avatar: avatar.optional(),
  state: state.optional(),
  created_at: instant.optional(),
});

/** How a record names a person. */
const personRef = { user_id: id.optional(), user_email: email.optional() };

/** How a record names an organization. */
const organizationRef = { org_id: id.optional(), org_name: z.string().max(longestId).optional() };

const identity = z
  .strictObject({
    ...personRef,
    /** Of what finds an account by its address: the identity is to sign in there. */
    user_email_verified: z.boolean().optional(),
    provider: z.string().min(1).max(longestId),
    issuer: z.string().max(longestUrl).optional(),
    subject: id,
    email: z.union([z.literal(""), email]).optional(),
    created_at: instant.optional(),
  })
  .refine(namesPerson, { path: ["user_id"], error: "user_id or user_email is needed" });

const member = z
  .strictObject({ ...organizationRef, ...personRef, role, created_at: instant.optional() })
  .refine(namesPerson, { path: ["user_id"], error: "user_id or user_email is needed" })
  .refine(namesOrganization, { path: ["org_id"], error: "org_id or org_name is needed" });

const key = z.strictObject({
  id: z
    .string()
    .refine(isUuid, "must be a UUID: it is the kid of what the key signs")
    .transform((text) => text.toLowerCase()),
  title: title.optional(),
  public_jwk: z.record(z.string(), z.unknown()),
  created_at: instant.optional(),
  expires_at: instant.optional(),
});

const serviceUser = z
  .strictObject({
    id,
    ...organizationRef,
    title: title.optional(),
    metadata: metadata.optional(),
    role: role.optional(),
    state: state.optional(),
    keys: z.array(key).max(mostKeys, `must be at most ${mostKeys}`).optional(),
    created_at: instant.optional(),
  })
  .refine(namesOrganization, { path: ["org_id"], error: "org_id or org_name is needed" });

function namesPerson(record: {
  readonly user_id?: string | undefined;
  readonly user_email?: string | undefined;
}) {
  return record.user_id !== undefined || record.user_email !== undefined;
}

function namesOrganization(record: {
  readonly org_id?: string | undefined;
  readonly org_name?: string | undefined;
}) {
  return record.org_id !== undefined || record.org_name !== undefined;
}

/** What a record of each kind has to be. */
export const recordSchemas = {
  organizations: organization,
  people: person,
  identities: identity,
  members: member,
  "service-users": serviceUser,
} as const satisfies Record<Kind, z.ZodType>;

/** A record as it was read and found to be good. */
export type RecordOf<K extends Kind> = z.output<(typeof recordSchemas)[K]>;

/** How a member is written in a cell of CSV. */
export type CellType = "text" | "boolean" | "json";

/** The columns of each kind's CSV, in their order: all members there are. */
export const columns: Readonly<Record<Kind, Readonly<Record<string, CellType>>>> = {
  organizations: {
    id: "text",
    name: "text",
    title: "text",
    metadata: "json",
    avatar: "text",
    state: "text",
    created_at: "text",
  },
  people: {
    id: "text",
    email: "text",
    email_verified: "boolean",
    name: "text",
    title: "text",
    metadata: "json",
    avatar: "text",
    state: "text",
    created_at: "text",
  },
  identities: {
    user_id: "text",
    user_email: "text",
    user_email_verified: "boolean",
    provider: "text",
    issuer: "text",
    subject: "text",
    email: "text",
    created_at: "text",
  },
  members: {
    org_id: "text",
    org_name: "text",
    user_id: "text",
    user_email: "text",
    role: "text",
    created_at: "text",
  },
  "service-users": {
    id: "text",
    org_id: "text",
    org_name: "text",
    title: "text",
    metadata: "json",
    role: "text",
    state: "text",
    keys: "json",
    created_at: "text",
  },
} satisfies { readonly [K in Kind]: Readonly<Record<keyof RecordOf<K>, CellType>> };
