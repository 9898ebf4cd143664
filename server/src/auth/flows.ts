/**
 * Flows: what a browser has begun and is to end. Rows that live for minutes,
 * found by a state, of which only a hash is kept, and only by those who keep
 * flows of that kind: a sign-in's state is nothing to anybody else.
 */

import { randomBytes } from "node:crypto";
import type { Database, Tx } from "../db/database.ts";
import type { JsonColumn } from "../db/json-column.ts";
import { placeOf, type SealedColumn, type Sealer, type SealPlace } from "../encryption/sealer.ts";
import { toBase64url } from "../lib/base64url.ts";
import { type Clock, clockSlackMs } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import { hashSecret } from "../lib/secrets.ts";
import * as store from "./flow-store.ts";

/** A flow about to be kept. */
export type NewFlow<Secret> = Omit<store.Flow, "id" | "sealedSecret" | "createdAt" | "expiresAt"> & {
  readonly secret: Secret;
  readonly flowSeconds: number;
};

/** What tells flows of one kind from all others, and what they keep. */
export interface FlowKind<Secret> {
  /** What their strategies' names are stored behind; none has a slash in its own name. */
  readonly prefix: "" | `${string}/`;
  /** How what they keep under seal is written. */
  readonly secrets: JsonColumn<Secret>;
}

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

function toPlace(flowId: string): SealPlace {
  return placeOf(flowColumn, [flowId]);
}

/** Names a flow: 256 random bits, base64url. */
export function newState(): string {
  return toBase64url(randomBytes(32));
}

/** @see the head of this file */
export class Flows<Secret> {
  readonly #database: Database;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #kind: FlowKind<Secret>;

  constructor({ database, sealer, clock }: FlowsOptions, kind: FlowKind<Secret>) {
    this.#database = database;
    this.#sealer = sealer;
    this.#clock = clock;
    this.#kind = kind;
  }

  /** Keeps a flow under its state, of which a hash is stored. Answers its id. */
  async keep(state: string, { secret, flowSeconds, ...draft }: NewFlow<Secret>): Promise<string> {
    const createdAt = this.#clock.now();
    const id = newId(createdAt);
    const sealedSecret = this.#seal(id, secret);
    const expiresAt = new Date(createdAt.getTime() + flowSeconds * 1000);
    const strategy = this.#kind.prefix + draft.strategy;
    const flow = { ...draft, strategy, id, sealedSecret, createdAt, expiresAt };
    await this.#database.transaction((tx) => store.insertFlow(tx, flow, hashSecret(state)));
    return id;
  }

  /** The flow of a state, unless it is over or of another kind. */
  async findLive(state: string): Promise<store.Flow | undefined> {
    const flow = await this.find(state);
    return flow === undefined || this.isOver(flow) ? undefined : flow;
  }

  /** Whether the time of a flow is up. */
  isOver({ expiresAt }: store.Flow): boolean {
    return expiresAt <= this.#clock.now();
  }

  /** The flow of a state, unless it is of another kind; one whose time is up is known for an hour. */
  async find(state: string): Promise<store.Flow | undefined> {
    const flow = state === "" ? undefined : await store.findFlow(this.#database.reader, hashSecret(state));
    if (flow === undefined) return undefined;
    const { prefix } = this.#kind;
    const strategy = flow.strategy.slice(prefix.length);
    return flow.strategy.startsWith(prefix) && !strategy.includes("/") ? { ...flow, strategy } : undefined;
  }

  /** What a flow keeps under seal. */
  unseal({ id, sealedSecret }: store.Flow): Secret {
    return this.#kind.secrets.decode(this.#sealer.open(toPlace(id), sealedSecret).toString("utf8"));
  }

  /**
   * Has a flow keep another secret than the one that was read: of any number of
   * concurrent calls one is answered true, and none once the flow is over.
   */
  async replaceSecret(flow: store.Flow, secret: Secret): Promise<boolean> {
    const sealed = this.#seal(flow.id, secret);
    return await this.#database.transaction((tx) => store.replaceSecret(tx, flow, sealed, this.#clock.now()));
  }

  #seal(id: string, secret: Secret): string {
    return this.#sealer.seal(toPlace(id), Buffer.from(this.#kind.secrets.encode(secret)));
  }

  /** Ends a flow for good: of any number of concurrent calls one is answered true, and none once it is over. */
  async consume(tx: Tx, id: string): Promise<boolean> {
    return await store.consumeFlow(tx, id, this.#clock.now());
  }

  /**
   * Ends with `tx` what a kind keeps that fits: for one that lives so briefly
   * that there are few, since each is opened. One that is being consumed is
   * waited for.
   *
   * @param flowSeconds how long its flows live at most
   */
  async endAll(tx: Tx, flowSeconds: number, fits: (secret: Secret) => boolean): Promise<void> {
    // A clock that ran ahead elsewhere has made them end later.
    const mostMs = flowSeconds * 1000 + clockSlackMs;
    const live = await store.findFlowsEndingWithin(tx, this.#kind.prefix, this.#clock.now(), mostMs);
    for (const flow of live) if (fits(this.unseal(flow))) await store.deleteFlow(tx, flow.id);
  }

  /** Notes that what a flow began has ended well: of any number of calls one is answered true, and none once it is over. */
  async noteEnd(tx: Tx, id: string): Promise<boolean> {
    return (await store.countAttempt(tx, id, 1, this.#clock.now())) !== undefined;
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
