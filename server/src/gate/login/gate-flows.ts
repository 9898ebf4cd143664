/**
 * What lives for minutes while somebody signs in at a frontend: a visit, from
 * the frontend to the login and back; a trip, from the login to a provider and
 * back; and the code that the login hands the frontend. All are flows, in rows
 * of one table with those of signing in to this service, and none is ever taken
 * for another.
 */
import { z } from "zod";
import { type FlowKind, Flows, type FlowsOptions } from "../../auth/flows.ts";
import type { Tx } from "../../db/database.ts";
import { instant, jsonColumn, jsonObject, type MembersOf } from "../../db/json-column.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { Counted } from "../../limits/rates.ts";
import { identitySchema } from "../sessions/columns.ts";
import type { NewGateSession, StoredIdentity } from "../sessions/gate-session.ts";
import type { ProvenHolder } from "../sessions/service.ts";

/** Somebody on the way in. Its strategy is the frontend's id, its browser the one that has the flow cookie. */
export interface Visit {
  readonly frontdoorId: string;
  /** The visitor's. */
  readonly host: string;
  /** What they came for: path and query. */
  readonly path: string;
  /** Whether they signed out before, and are to say who they are though somebody knows. */
  readonly asksAgain: boolean;
  /** Whether another tab's cookie had taken the place of the one that it began with before. */
  readonly isSecond: boolean;
  /** The session that is asked for anew at its provider, which is to show nothing if it can. */
  readonly renews?: { readonly sessionId: string; readonly providerId: string };
  readonly counted: Counted;
}

/** Somebody at a provider. Its strategy is the provider's id, its browser the one of this service's own host. */
export interface Trip {
  /** What the provider's login wants kept. */
  readonly secret: Metadata;
  /** The provider's revision that it began with. */
  readonly revision: number;
  /** Whether the provider was to show nothing. */
  readonly isSilent: boolean;
  /** Whether an answer in another browser was followed by this. */
  readonly isSecond: boolean;
  readonly counted: Counted;
}

/** Somebody who is proven, and not let in yet. Strategy and browser are the visit's. */
export interface Code extends Pick<Visit, "frontdoorId" | "host" | "isSecond" | "counted"> {
  /** One visit may be handed several codes, and what it counted for is given back once. */
  readonly visitId: string;
  readonly session: ProvenSession;
}

/** Of a new session what is known before the browser is back at its frontend. */
export type ProvenSession = Pick<
  NewGateSession,
  "provider" | "parentSessionId" | "kept" | "renewAt" | "sid" | "renews"
> & {
  readonly identity: StoredIdentity;
};

const counted = z.object({ key: z.string(), at: instant } satisfies MembersOf<Counted>);

/** How what a kind of flow keeps is written. */
function kindOf<Secret>(
  prefix: `${string}/`,
  schema: Parameters<typeof jsonColumn<Secret>>[1],
): FlowKind<Secret> {
  return { prefix, secrets: jsonColumn<Secret>("auth_flows.sealed_secret", schema) };
}

const visits = kindOf<Visit>(
  "gate/visit/",
  z.object({
    frontdoorId: z.string(),
    host: z.string(),
    path: z.string(),
    asksAgain: z.boolean(),
    isSecond: z.boolean(),
    renews: z.exactOptional(z.object({ sessionId: z.string(), providerId: z.string() })),
    counted,
  } satisfies MembersOf<Visit>),
);

const trips = kindOf<Trip>(
  "gate/trip/",
  z.object({
    secret: jsonObject,
    revision: z.int(),
    isSilent: z.boolean(),
    isSecond: z.boolean(),
    counted,
  } satisfies MembersOf<Trip>),
);

const codes = kindOf<Code>(
  "gate/code/",
  z.object({
    frontdoorId: z.string(),
    host: z.string(),
    isSecond: z.boolean(),
    visitId: z.string(),
    counted,
    session: z.object({
      provider: z.object({ id: z.string(), revision: z.int() }),
      identity: identitySchema,
      parentSessionId: z.exactOptional(z.string()),
      kept: z.exactOptional(jsonObject),
      renewAt: z.exactOptional(instant),
      sid: z.exactOptional(z.string()),
      renews: z.exactOptional(z.string()),
    } satisfies MembersOf<ProvenSession>),
  } satisfies MembersOf<Code>),
);

/** The three kinds. */
export interface GateFlows {
  readonly visits: Flows<Visit>;
  readonly trips: Flows<Trip>;
  readonly codes: Flows<Code>;
}

/** @see {@link GateFlows} */
export function createGateFlows(options: FlowsOptions): GateFlows {
  return {
    visits: new Flows(options, visits),
    trips: new Flows(options, trips),
    codes: new Flows(options, codes),
  };
}

/** Ends with `tx` the codes of whoever is meant. */
export async function endCodes(
  { codes }: Pick<GateFlows, "codes">,
  tx: Tx,
  isMeant: (proven: ProvenHolder) => boolean,
): Promise<void> {
  await codes.endAll(tx, codeSeconds, ({ session: { provider, identity, sid } }) =>
    isMeant({ providerId: provider.id, subject: identity.subject, ...(sid !== undefined && { sid }) }),
  );
}

/** How long a visit may take, and a trip, as any sign-in: in seconds. */
export const flowSeconds = 600;

/** How long a code may be on its way from the login to its frontend, in seconds. */
export const codeSeconds = 60;
