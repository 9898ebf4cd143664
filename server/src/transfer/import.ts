/**
 * Moving in and out: people, identities, organizations, members and service
 * users as files, ours or, by a mapping, another system's.
 *
 * Whatever is named in a file is known again by its id, so that the same file
 * imported twice changes nothing the second time, and one that was cut short is
 * taken up where it ended. New records are stored a thousand at a time, in a
 * transaction with their audit records; what is there already is changed one by
 * one, by the rules that hold for superusers. Nothing is ever removed, no
 * secret goes in or out, and an account is nobody's because its address happens
 * to be theirs. The room is the command line's alone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import type { Database } from "../db/database.ts";
import { keepPages } from "../db/dialect.ts";
import { type Refusal, RefusedRecord, TransferError } from "./errors.ts";
import { createIdentityImporter, type KnownProvider } from "./identities.ts";
import { type ImportChoices, type Importer, refuseBy, type Verdict } from "./importer.ts";
import { createMemberImporter } from "./members.ts";
import { createOrganizationImporter } from "./organizations.ts";
import { again, pauseMs } from "./pace.ts";
import { createPeopleImporter } from "./people.ts";
import type { Place, RawRecord } from "./read-file.ts";
import { type Kind, type RecordOf, recordSchemas } from "./records.ts";
import { createRules, type RuleParts, type Rules, undoing } from "./rules.ts";
import { Scratch } from "./scratch.ts";
import { createServiceUserImporter } from "./service-users.ts";

/** How many records are judged and stored together. */
const recordsPerBatch = 1000;

/** How much of an SQLite file is kept in memory, in KiB: ids and addresses come in no order, and go all over it. */
const keptKib = 32 * 1024;

/** How many changes are under way at once: on SQLite they share commits. */
const changesAtOnce = 32;

/** What became of a record, or would. */
export type Outcome = Verdict<unknown>["outcome"];

/** What is told of one record. */
export interface ReportLine {
  readonly place: Place;
  readonly outcome: Outcome;
  /** Of what it is here, where it is anything: of a member or an identity the user's. */
  readonly id?: string;
  readonly refusal?: Refusal;
}

/** How many records came to what. */
export type Counts = Readonly<Record<Outcome, number>>;

/** What an import stands on. */
export interface ImportOptions<K extends Kind> {
  readonly kind: K;
  readonly records: AsyncIterable<RawRecord>;
  readonly choices: ImportChoices;
  readonly providers: readonly KnownProvider[];
  /** Whether nothing is to be stored. */
  readonly isDry: boolean;
  readonly parts: RuleParts;
  /** Hears of each record, in the order of the file, once it is done. */
  readonly onRecord: (line: ReportLine) => Promise<void> | void;
}

function createImporters({ parts, choices, providers }: Omit<ImportOptions<Kind>, "kind">) {
  const common = { ...parts, choices };
  return {
    organizations: createOrganizationImporter(common),
    people: createPeopleImporter(common),
    identities: createIdentityImporter({ ...common, providers }),
    members: createMemberImporter(common),
    "service-users": createServiceUserImporter(common),
  };
}

/**
 * Imports the records of one kind.
 *
 * @throws DomainError UNAVAILABLE when the database stays locked or is gone: what was told of is stored, and
 *   the rest is when the same file is imported again
 */
export async function importRecords<K extends Kind>(options: ImportOptions<K>): Promise<Counts> {
  const importer = createImporters(options)[options.kind] as unknown as Importer<K, unknown>;
  const run = new ImportRun(options, importer);
  try {
    return await run.finish();
  } finally {
    run.close();
  }
}

/** A record that is good by itself, or why it is none. */
interface Item<K extends Kind> {
  readonly place: Place;
  readonly value: RecordOf<K> | RefusedRecord;
}

class ImportRun<K extends Kind> {
  readonly #options: ImportOptions<K>;
  readonly #importer: Importer<K, unknown>;
  readonly #database: Database;
  readonly #rules: Rules;
  readonly #seen = new Scratch();
  readonly #counts = { created: 0, changed: 0, unchanged: 0, refused: 0 };

  constructor(options: ImportOptions<K>, importer: Importer<K, unknown>) {
    this.#options = options;
    this.#importer = importer;
    const { isDry, parts } = options;
    this.#database = isDry ? undoing(parts.database) : parts.database;
    this.#rules = createRules({ ...parts, database: this.#database });
  }

  async finish(): Promise<Counts> {
    const { isDry, parts } = this.#options;
    if (!isDry) await parts.database.transaction((tx) => keepPages(tx, keptKib));
    let batch: Item<K>[] = [];
    for await (const raw of this.#options.records) {
      batch.push(this.#check(raw));
      if (batch.length < recordsPerBatch) continue;
      await this.#finishBatch(batch);
      batch = [];
      await sleep(pauseMs);
      await this.#settle(false);
    }
    await this.#finishBatch(batch);
    await this.#settle(true);
    return this.#counts;
  }

  async #settle(isLast: boolean): Promise<void> {
    if (!this.#options.isDry) await this.#importer.settle?.(isLast);
  }

  close(): void {
    this.#seen.close();
  }

  #check({ place, value }: RawRecord): Item<K> {
    if (value instanceof RefusedRecord) return { place, value };
    const found = recordSchemas[this.#options.kind].safeParse(value) as z.ZodSafeParseResult<RecordOf<K>>;
    if (!found.success) return { place, value: toRefused(found.error) };
    const repeated = this.#findRepeated(place, this.#importer.keysOf(found.data));
    return { place, value: repeated ?? found.data };
  }

  /** Of two records of a file for one and the same, only the first is taken: what the second says must not depend on their order. */
  #findRepeated(place: Place, keys: readonly string[]): RefusedRecord | undefined {
    const own = describePlace(place);
    for (const key of keys) {
      if (this.#seen.add(key, own)) continue;
      return new RefusedRecord(
        "REPEATED",
        "",
        `${this.#seen.find(key)} is of the same, or has the same address or name`,
      );
    }
    return undefined;
  }

  async #finishBatch(batch: readonly Item<K>[]): Promise<void> {
    const good = batch.flatMap(({ value }) => (value instanceof RefusedRecord ? [] : [value]));
    const verdicts = await this.#store(good);
    const done = await this.#change(verdicts);
    let next = 0;
    for (const { place, value } of batch) {
      const isRefused = value instanceof RefusedRecord;
      const verdict: Verdict<unknown> | undefined = isRefused
        ? { outcome: "refused", refusal: value.refusal }
        : done[next++];
      if (verdict === undefined) throw new Error("a record without a verdict");
      this.#counts[verdict.outcome] += 1;
      await this.#options.onRecord({
        place,
        outcome: verdict.outcome,
        ...("id" in verdict && { id: verdict.id }),
        ...("refusal" in verdict && { refusal: verdict.refusal }),
      });
    }
  }

  /** Judges records and stores the new ones, again if somebody else wrote the same meanwhile. */
  async #store(records: readonly RecordOf<K>[]): Promise<readonly Verdict<unknown>[]> {
    if (records.length === 0) return [];
    const { isDry, parts } = this.#options;
    return await again(async () => {
      if (isDry) return await this.#importer.judge(parts.database.reader, records);
      return await parts.database.transaction(async (tx) => {
        const verdicts = await this.#importer.judge(tx, records);
        const made = verdicts.flatMap((verdict) => (verdict.outcome === "created" ? [verdict.made] : []));
        if (made.length > 0) await this.#importer.insert(tx, made);
        return verdicts;
      });
    });
  }

  async #change(verdicts: readonly Verdict<unknown>[]): Promise<readonly Verdict<unknown>[]> {
    const done = [...verdicts];
    const waiting = verdicts.entries();
    const worker = async () => {
      for (const [at, verdict] of waiting) {
        if (verdict.outcome === "changed") done[at] = await this.#changeOne(verdict);
      }
    };
    await Promise.all(Array.from({ length: changesAtOnce }, worker));
    return done;
  }

  async #changeOne(verdict: Verdict<unknown> & { readonly outcome: "changed" }): Promise<Verdict<unknown>> {
    try {
      await again(() => verdict.change(this.#rules));
      return verdict;
    } catch (error) {
      return refuseBy(error);
    }
  }
}

/** What is wrong with a record first, in words that do not repeat what stands there. */
function toRefused({ issues }: z.ZodError): RefusedRecord {
  const [issue] = issues;
  const field = issue?.path.join(".") ?? "";
  if (issue?.code === "unrecognized_keys") {
    const names = issue.keys.slice(0, 5).map((name) => name.slice(0, 60));
    return new RefusedRecord("INVALID", field, `has what is not known: ${names.join(", ")}`);
  }
  const isMissing = issue?.code === "invalid_type" && issue.message.endsWith("received undefined");
  return new RefusedRecord("INVALID", field, isMissing ? "is missing" : toWords(issue?.message ?? ""));
}

function toWords(message: string): string {
  return message.replace(/^Invalid (?:input|option): expected /, "must be ").replace(/, received .*$/, "");
}

/** `line 3`, or where in a document. */
function describePlace(place: Place): string {
  return "line" in place ? `line ${place.line}` : place.record;
}

/** Refuses what makes no sense before anything is read. @throws TransferError */
export function requireKind(kind: string, known: readonly Kind[]): Kind {
  const found = known.find((each) => each === kind);
  if (found !== undefined) return found;
  throw new TransferError(`${kind} cannot be moved: expected one of ${known.join(", ")}`);
}
