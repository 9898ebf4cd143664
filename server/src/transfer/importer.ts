/** What the import of every kind is made of. */
import type { Reader, Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import type { Role } from "../principals/principal.ts";
import { type Refusal, RefusedRecord } from "./errors.ts";
import type { Kind, RecordOf } from "./records.ts";
import type { Rules } from "./rules.ts";

/** Whom an import believes, and whom it takes for whom. */
export interface ImportChoices {
  /**
   * Which addresses it takes the file's word for: with `verified` those that
   * are verified there are proven here, with `all` those that are not are at
   * least their owners'.
   */
  readonly trust: "none" | "verified" | "all";
  /** Whether a person whose address has an account here under another id is that account. */
  readonly matchAddresses: boolean;
  /** Of the mapping: part of what ids that are no UUIDs come to. */
  readonly source: string;
}

/** What comes of one record. */
export type Verdict<New> =
  | { readonly outcome: "unchanged"; readonly id: string }
  | { readonly outcome: "refused"; readonly refusal: Refusal }
  /** To be stored with the others of its batch. */
  | { readonly outcome: "created"; readonly id: string; readonly made: New }
  /** By the rules that hold for everybody, in a transaction of its own. */
  | { readonly outcome: "changed"; readonly id: string; readonly change: (rules: Rules) => Promise<unknown> };

/** Imports the records of one kind. */
export interface Importer<K extends Kind, New> {
  /** What no other record of the same file may have as well. */
  keysOf(record: RecordOf<K>): readonly string[];
  /** Judges records against what is there. Writes nothing. */
  judge(reader: Reader, records: readonly RecordOf<K>[]): Promise<readonly Verdict<New>[]>;
  /** Stores what is new, with its audit records and changes. @throws a unique violation for what has come meanwhile */
  insert(tx: Tx, made: readonly New[]): Promise<void>;
  /** Sees to what is done for many batches at once; `isLast` behind the last of a run. Called outside of transactions. */
  settle?(isLast: boolean): Promise<void>;
}

/** @see Verdict */
export function refuse(reason: string, field: string, message: string): Verdict<never> {
  return { outcome: "refused", refusal: { reason, field, message } };
}

/** The verdict that an error is, which a rule or a record refused with. @throws what is no refusal */
export function refuseBy(error: unknown): Verdict<never> & { readonly outcome: "refused" } {
  if (error instanceof RefusedRecord) return { outcome: "refused", refusal: error.refusal };
  if (!(error instanceof DomainError) || error.kind === "unavailable") throw error;
  return { outcome: "refused", refusal: { reason: error.reason, field: "", message: error.message } };
}

/** The instant that a record names, unless it is in the future. */
export function toPast(at: Date | undefined, now: Date): Date {
  return at !== undefined && at < now ? at : now;
}

/** What is said of the members that are named: for comparing with what is there. */
export function present<T extends object>(members: T): { [M in keyof T]?: Exclude<T[M], undefined> } {
  const named = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(named) as { [M in keyof T]?: Exclude<T[M], undefined> };
}

/** What everybody is who is not said to be anything else. */
export const leastRole: Role = "viewer";
