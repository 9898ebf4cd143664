/** The flows by which people give their account another address: what one keeps until its code comes back. */
import { z } from "zod";
import type { FlowKind, Flows } from "../auth/flows.ts";
import { instant, jsonColumn, jsonObject, type MembersOf } from "../db/json-column.ts";
import type { Metadata } from "../lib/metadata.ts";
import type { Counted } from "../limits/rates.ts";

/** What a change of address keeps under seal. */
export interface EmailChangeSecret {
  /** What tells the right code. */
  readonly code: Metadata;
  /** The address that the account had when it began. */
  readonly from: string;
  /** How its beginning was counted, to be given back at a good end. */
  readonly counted: Counted;
}

/** Flows that change an address. */
export type EmailChangeFlows = Flows<EmailChangeSecret>;

/** @see {@link EmailChangeFlows} */
export const emailChangeFlows: FlowKind<EmailChangeSecret> = {
  prefix: "account/",
  secrets: jsonColumn<EmailChangeSecret>(
    "auth_flows.sealed_secret",
    z.object({
      code: jsonObject,
      from: z.string(),
      counted: z.object({ key: z.string(), at: instant } satisfies MembersOf<Counted>),
    } satisfies MembersOf<EmailChangeSecret>),
  ),
};
