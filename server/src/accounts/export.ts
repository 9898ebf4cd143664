/**
 * All that is kept about a person, for themselves: an item at a time, read in
 * pages as it is taken, so that the largest account costs no more memory than
 * the smallest. Never a secret, nor the hash of one.
 */

import type { AuditTrail } from "../audit/audit.ts";
import { findRecords, type ListPlace } from "../audit/query-store.ts";
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { JsonObject } from "../lib/json.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { lockUser } from "../users/store.ts";
import { requireOwnSession } from "./own-session.ts";

/** One thing that is kept. */
export interface ExportItem {
  /** What it is, such as `passkey`. */
  readonly kind: string;
  readonly item: JsonObject;
}

/** Somebody who exports, in their own session. */
export type Exporter = Caller & { readonly principal: UserPrincipal };

/** What a room keeps about people. */
export interface ExportSource {
  readonly kind: string;
  /** Items of somebody, as plain values; dates may be `Date`. */
  read(exporter: Exporter): AsyncIterable<object>;
}

/** Parts that an export stands on. */
export interface AccountExportOptions {
  readonly database: Database;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** In the order to tell them. */
  readonly sources: readonly ExportSource[];
}

/** How many exports a person has within a day. */
const exportsPerDay = 3;
const dayMs = 24 * 3_600_000;

/** How many rows are read at once, and looked at. */
const page = { limit: 200, budget: 2000 } as const;

/** @see the head of this file */
export class AccountExport {
  readonly #options: AccountExportOptions;

  constructor(options: AccountExportOptions) {
    this.#options = options;
  }

  /**
   * Begins an export of the caller's account, which counts from then on, read or not.
   *
   * @throws DomainError NOT_AUTHORIZED, NOT_AUTHENTICATED (the account is gone), TOO_MANY_EXPORTS
   */
  async begin(caller: Caller): Promise<AsyncIterable<ExportItem>> {
    const principal = requireOwnSession(caller);
    await this.#count(caller, principal.id);
    return this.#read({ ...caller, principal });
  }

  /** The trail itself says how many there were: exports of one person wait for each other. */
  async #count(caller: Caller, id: string): Promise<void> {
    const { database, audit, clock } = this.#options;
    await database.transaction(async (tx) => {
      if ((await lockUser(tx, id)) === undefined) throw new DomainError("NOT_AUTHENTICATED");
      const since = clock.now().getTime() - dayMs;
      const span = { startAt: new Date(since + 1) };
      const bounds = { limit: exportsPerDay, budget: page.budget };
      const { records } = await findRecords(tx, { targetId: id, action: "user.export" }, span, bounds);
      const oldest = records.at(exportsPerDay - 1);
      if (oldest !== undefined) {
        const retryAfterSeconds = Math.max(1, Math.ceil((oldest.at.getTime() - since) / 1000));
        throw new DomainError("TOO_MANY_EXPORTS", { retryAfterSeconds });
      }
      await audit.record(tx, caller, { action: "user.export", target: id });
    });
  }

  async *#read(exporter: Exporter): AsyncGenerator<ExportItem> {
    for (const { kind, read } of this.#options.sources) {
      for await (const item of read(exporter)) {
        yield { kind, item: toPlain(item) as JsonObject };
      }
    }
  }
}

/** A value as JSON has it: dates are texts, and what is absent is left out. */
function toPlain(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== "object" || value === null) return value;
  const present = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(present.map(([name, member]) => [name, toPlain(member)]));
}

/** What somebody has done, newest first, as the trail has it. */
export function createOwnRecords(database: Pick<Database, "reader">): ExportSource {
  async function* read({ principal }: Exporter): AsyncGenerator<object> {
    let before: ListPlace | undefined;
    do {
      const span = before === undefined ? {} : { before };
      const { records, next } = await findRecords(database.reader, { actorId: principal.id }, span, page);
      for (const { mailboxHash: _, ...record } of records) yield record;
      before = next;
    } while (before !== undefined);
  }
  return { kind: "audit_record", read };
}
