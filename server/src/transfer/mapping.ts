/**
 * Mappings: how the records of another system's files become ours. A mapping is
 * a file of YAML that says, for each kind, where its records are and what of
 * theirs each member of ours is. It computes nothing that it does not name here.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";
import { findAt } from "../lib/claims-map.ts";
import { RefusedRecord, TransferError } from "./errors.ts";
import { type Kind, kinds, recordSchemas } from "./records.ts";

const path = z.string().min(1);
const paths = z.union([path, z.array(path).min(1)]).transform((given) => [given].flat());

/** How a member of ours comes about. Short for `{ from: … }`: a path, or several. */
type Rule =
  | {
      readonly from: readonly string[];
      readonly join?: string | undefined;
      readonly values?: Readonly<Record<string, unknown>> | undefined;
      readonly as?: "text" | "handle" | "milliseconds" | undefined;
      readonly lookup?: string | undefined;
    }
  | { readonly value: unknown }
  | { readonly object: Readonly<Record<string, Rule>> }
  | {
      readonly each: readonly string[];
      readonly having?: string | undefined;
      readonly fields: Readonly<Record<string, Rule>>;
    };

const rule: z.ZodType<Rule> = z.lazy(() =>
  z.union([
    paths.transform((from) => ({ from })),
    z.strictObject({
      from: paths,
      /** All that are there, with this between them; without it the first of them. */
      join: z.string().optional(),
      values: z.record(z.string(), z.json()).optional(),
      as: z.enum(["text", "handle", "milliseconds"]).optional(),
      lookup: z.string().optional(),
    }),
    z.strictObject({ value: z.json() }),
    z.strictObject({ object: z.record(z.string(), rule) }),
    z.strictObject({ each: paths, having: path.optional(), fields: z.record(z.string(), rule) }),
  ]),
);

const kindMapping = z.strictObject({
  /** Of a JSON document: where the list of records is. */
  list: path.optional(),
  /** A list in each of those, whose items are the records. */
  each: path.optional(),
  /** Records that have something there are none of this kind. */
  without: paths.optional(),
  /** Records that have nothing there are none either. */
  having: paths.optional(),
  fields: z.record(z.string(), rule),
});

const mappingSchema = z.strictObject({
  /** Of the system: part of what ids that are no UUIDs come to. */
  source: z.string().regex(/^[a-z][a-z0-9-]*$/),
  /** Lists of a JSON document that are read before, to find one thing by another. */
  lookups: z.record(z.string(), z.strictObject({ list: path, key: path, value: path })).optional(),
  kinds: z.partialRecord(z.enum(kinds), kindMapping),
});

/** A mapping, as its file says. */
export type Mapping = z.output<typeof mappingSchema>;

/** How one kind's records are read. */
export type KindMapping = z.output<typeof kindMapping>;

/** Finds what a lookup knows under a key. */
export type Lookup = (name: string, key: string) => unknown;

/** The name of the record around one out of `each`. */
const outer = "^";

/** Where the mappings are that come with this program, whether it runs from its sources or bundled. */
function findShipped(name: string): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < 4; up++, folder = dirname(folder)) {
    const shipped = join(folder, "mappings", `${name}.yaml`);
    if (existsSync(shipped)) return shipped;
  }
  return undefined;
}

/**
 * A mapping that comes with this program, by name, or of a file.
 *
 * @param toPath of a file as it was named
 * @throws TransferError for what is no mapping
 */
export function loadMapping(name: string, toPath: (file: string) => string): Mapping {
  const shipped = /^[a-z]+$/.test(name) ? findShipped(name) : undefined;
  const found = mappingSchema.safeParse(readYaml(name, shipped ?? toPath(name)));
  if (!found.success) {
    const [issue] = found.error.issues;
    throw new TransferError(`${name}: ${issue?.path.join(".") || "the mapping"}: ${issue?.message}`);
  }
  for (const [kind, { fields }] of Object.entries(found.data.kinds)) {
    const known = Object.keys(recordSchemas[kind as Kind].shape);
    const unknown = Object.keys(fields).find((field) => !known.includes(field));
    if (unknown === undefined) continue;
    throw new TransferError(`${name}: kinds.${kind}.fields.${unknown}: expected one of ${known.join(", ")}`);
  }
  return found.data;
}

function readYaml(name: string, file: string): unknown {
  try {
    return parse(readFileSync(file, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") {
      throw new TransferError(`${name}: there is no such mapping; name keycloak, frontier or a file`);
    }
    throw new TransferError(`${name}: cannot be read: ${code ?? message.split("\n", 1)[0]}`);
  }
}

/** A record of ours, and which item of theirs it is of. */
interface Mapped {
  /** Behind the place of the record that it was found in. */
  readonly at: string;
  readonly value: Readonly<Record<string, unknown>> | RefusedRecord;
}

type Given = Readonly<Record<string, unknown>>;

/** What one of their records is among ours: none, one or several. */
export function* applyMapping(mapping: KindMapping, given: Given, lookup: Lookup): Generator<Mapped> {
  const { each, fields, without, having } = mapping;
  if (without !== undefined && findAt(given, without) !== undefined) return;
  if (having !== undefined && findAt(given, having) === undefined) return;
  if (each === undefined) {
    yield { at: "", value: mapFields(fields, given, lookup) };
    return;
  }
  const items = findAt(given, [each]) ?? [];
  if (!Array.isArray(items)) {
    yield { at: "", value: new RefusedRecord("INVALID", each, "must be a list") };
    return;
  }
  for (const [index, item] of items.entries()) {
    const inner = toObject(item);
    yield { at: `.${each}[${index}]`, value: mapFields(fields, { ...inner, [outer]: given }, lookup) };
  }
}

/** What is no object of itself is found under `value`. */
function toObject(item: unknown): Given {
  const isObject = typeof item === "object" && item !== null && !Array.isArray(item);
  return isObject ? (item as Given) : { value: item };
}

function mapFields(
  fields: Readonly<Record<string, Rule>>,
  given: Given,
  lookup: Lookup,
): Readonly<Record<string, unknown>> | RefusedRecord {
  const record: Record<string, unknown> = {};
  for (const [field, each] of Object.entries(fields)) {
    try {
      const value = mapOne(each, given, lookup);
      if (value !== undefined) record[field] = value;
    } catch (error) {
      if (!(error instanceof RefusedRecord)) throw error;
      return new RefusedRecord(error.refusal.reason, field, error.refusal.message);
    }
  }
  return record;
}

function mapOne(given: Rule, record: Given, lookup: Lookup): unknown {
  if ("value" in given) return given.value;
  if ("object" in given) return mapNested(given.object, record, lookup);
  if ("each" in given) {
    const items = findAt(record, given.each);
    if (!Array.isArray(items)) return undefined;
    return items
      .map(toObject)
      .filter((item) => given.having === undefined || findAt(item, [given.having]) !== undefined)
      .map((item) => mapNested(given.fields, { ...item, [outer]: record }, lookup));
  }
  const { from, join, values, as, lookup: index } = given;
  const found = join === undefined ? findAt(record, from) : joinAll(from, record, join);
  if (found === undefined) return undefined;
  if (values !== undefined) return pick(values, found);
  if (index !== undefined) return lookUp(index, found, lookup);
  return as === undefined ? found : convert(as, found);
}

function mapNested(fields: Readonly<Record<string, Rule>>, record: Given, lookup: Lookup): unknown {
  const entries = Object.entries(fields).map(([name, each]) => [name, mapOne(each, record, lookup)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function joinAll(from: readonly string[], record: Given, between: string): string | undefined {
  const parts = from.map((each) => findAt(record, [each])).filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.map(String).join(between);
}

function pick(values: Readonly<Record<string, unknown>>, found: unknown): unknown {
  const name = String(found);
  if (Object.hasOwn(values, name)) return values[name];
  throw new RefusedRecord("UNMAPPED", "", `the mapping knows ${Object.keys(values).join(", ")} alone`);
}

function lookUp(name: string, found: unknown, lookup: Lookup): unknown {
  const value = lookup(name, String(found));
  if (value === undefined) throw new RefusedRecord("UNMAPPED", "", `the file has none of that ${name}`);
  return value;
}

function convert(as: "text" | "handle" | "milliseconds", found: unknown): unknown {
  switch (as) {
    case "text":
      return String(found);
    case "handle":
      return toHandle(String(found));
    case "milliseconds": {
      const at = new Date(Number(found));
      return Number.isNaN(at.getTime()) ? String(found) : at.toISOString();
    }
  }
}

/** A text as names are written: in lower case, `-` for all that they may not have. */
function toHandle(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "");
}
