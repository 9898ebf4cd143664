/** The flows of signing in: what one keeps until its browser comes back. */
import { z } from "zod";
import { instant, jsonColumn, jsonObject, type MembersOf } from "../db/json-column.ts";
import type { Metadata } from "../lib/metadata.ts";
import type { Counted } from "../limits/rates.ts";
import type { WaitingIdentity } from "../users/accounts.ts";
import type { FlowKind, Flows } from "./flows.ts";

/** What a provider's form brought, all of it as it came. */
export interface PostedAnswer {
  readonly code?: string;
  /** RFC 6749 §4.1.2.1. */
  readonly error?: string;
  readonly description?: string;
  readonly issuer?: string;
  readonly user?: string;
  readonly at: Date;
}

/** What a sign-in keeps under seal. */
export interface SignInSecret {
  /** What the strategy wants kept. */
  readonly strategy: Metadata;
  /** How its beginning was counted, to be given back at a good end. */
  readonly counted?: Counted;
  /** The identity that is joined if this flow proves its mailbox. */
  readonly waiting?: WaitingIdentity;
  /** The provider's answer, until the browser comes for it with its cookie. */
  readonly posted?: PostedAnswer;
}

/** Flows that sign somebody in to this service, each under the name of its strategy. */
export type SignInFlows = Flows<SignInSecret>;

/** @see {@link SignInFlows} */
export const signInFlows: FlowKind<SignInSecret> = {
  prefix: "",
  secrets: jsonColumn<SignInSecret>(
    "auth_flows.sealed_secret",
    z.object({
      strategy: jsonObject,
      counted: z.exactOptional(z.object({ key: z.string(), at: instant } satisfies MembersOf<Counted>)),
      waiting: z.exactOptional(
        z.object({
          issuer: z.string(),
          subject: z.string(),
          email: z.exactOptional(z.string()),
          title: z.exactOptional(z.string()),
          avatar: z.exactOptional(z.string()),
          strategy: z.string(),
        } satisfies MembersOf<WaitingIdentity>),
      ),
      posted: z.exactOptional(
        z.object({
          code: z.exactOptional(z.string()),
          error: z.exactOptional(z.string()),
          description: z.exactOptional(z.string()),
          issuer: z.exactOptional(z.string()),
          user: z.exactOptional(z.string()),
          at: instant,
        } satisfies MembersOf<PostedAnswer>),
      ),
    } satisfies MembersOf<SignInSecret>),
  ),
};
