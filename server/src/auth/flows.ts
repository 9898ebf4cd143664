/** Sign-ins on their way: rows that live for minutes, found by a state that only their browser was told. */

import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Database, Tx } from "../db/database.ts";
import { instant, jsonColumn, jsonObject, type MembersOf } from "../db/json-column.ts";
import { placeOf, type SealedColumn, type Sealer, type SealPlace } from "../encryption/sealer.ts";
import { toBase64url } from "../lib/base64url.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Metadata } from "../lib/metadata.ts";
import { hashSecret } from "../lib/secrets.ts";
import type { Counted } from "../limits/rates.ts";
import type { WaitingIdentity } from "../users/accounts.ts";
import * as store from "./flow-store.ts";

/** What a flow keeps under seal. */
export interface FlowSecret {
  /** What the strategy wants kept. */
  readonly strategy: Metadata;
  /** How its beginning was counted, to be given back at a good end. */
  readonly counted?: Counted;
  /** The identity that is joined if this flow proves its mailbox. */
  readonly waiting?: WaitingIdentity;
}

/** A flow about to be kept. */
export type NewFlow = Omit<store.Flow, "id" | "sealedSecret" | "createdAt" | "expiresAt"> & {
  readonly secret: FlowSecret;
  readonly flowSeconds: number;
};

/** Parts that flows stand on. */
export interface FlowsOptions {
  readonly database: Database;
  readonly sealer: Sealer;
  readonly clock: Clock;
}

/** Where flows keep what is secret. */
export const flowColumn: SealedColumn = {
  purpose: "auth-flow",
  table: "auth_flows",
  column: "sealed_secret",
  keyColumns: ["id"],
};

const secretColumn = jsonColumn<FlowSecret>(
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
  } satisfies MembersOf<FlowSecret>),
);

function toPlace(flowId: string): SealPlace {
  return placeOf(flowColumn, [flowId]);
}

/** Names a flow: 256 random bits, base64url. */
export function newState(): string {
  return toBase64url(randomBytes(32));
}

/** @see the head of this file */
export class Flows {
  readonly #database: Database;
  readonly #sealer: Sealer;
  readonly #clock: Clock;

  constructor({ database, sealer, clock }: FlowsOptions) {
    this.#database = database;
    this.#sealer = sealer;
    this.#clock = clock;
  }

  /** Keeps a flow under its state, of which a hash is stored. Answers its id. */
  async keep(state: string, { secret, flowSeconds, ...draft }: NewFlow): Promise<string> {
    const createdAt = this.#clock.now();
    const id = newId(createdAt);
    const sealedSecret = this.#sealer.seal(toPlace(id), Buffer.from(secretColumn.encode(secret)));
    const expiresAt = new Date(createdAt.getTime() + flowSeconds * 1000);
    const flow = { ...draft, id, sealedSecret, createdAt, expiresAt };
    await this.#database.transaction((tx) => store.insertFlow(tx, flow, hashSecret(state)));
    return id;
  }

  /** The flow of a state, unless it is over. */
  async findLive(state: string): Promise<store.Flow | undefined> {
    const flow = state === "" ? undefined : await store.findFlow(this.#database.reader, hashSecret(state));
    return flow === undefined || flow.expiresAt <= this.#clock.now() ? undefined : flow;
  }

  /** What a flow keeps under seal. */
  unseal({ id, sealedSecret }: store.Flow): FlowSecret {
    return secretColumn.decode(this.#sealer.open(toPlace(id), sealedSecret).toString("utf8"));
  }

  /** Ends a flow for good: of any number of concurrent calls one is answered true, and none once it is over. */
  async consume(tx: Tx, id: string): Promise<boolean> {
    return await store.consumeFlow(tx, id, this.#clock.now());
  }

  /** Removes a flow, whether or not it is over. */
  async remove(id: string): Promise<void> {
    await this.#database.transaction((tx) => store.deleteFlow(tx, id));
  }
}

/** Whether one of the browsers is the one of a hash. */
export function isSameBrowser(browsers: readonly string[], browserHash: string): boolean {
  return browsers.some((browser) => hashSecret(browser) === browserHash);
}
