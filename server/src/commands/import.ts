/** `vestibule import <what> <file>`: people and what belongs to them, out of our own files or other systems'. */

import { createWriteStream, openSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { untilDrained } from "../lib/until-drained.ts";
import type { Storage } from "../storage.ts";
import type { Counts, ReportLine } from "../transfer/import.ts";
import type { FileFormat } from "../transfer/read-file.ts";
import { type Command, type CommandContext, CommandFailure, UsageError } from "./command.ts";
import { showProgress, toNumber } from "./progress.ts";
import { withExistingStorage } from "./with-storage.ts";

/** What `import --help` says. */
export const importHelp = `Usage: vestibule import <what> <file>, with the server's settings; servers may go on running

  <what> is organizations, people, identities, members or service-users, best in this order

  --dry-run            say of each record what would become of it, and change nothing
  --mapping <name>     read another system's file: keycloak, frontier, or a file of your own
  --format <format>    jsonl, csv or, with a mapping, json; by the file's name, if not given
  --trust verified     addresses that are verified in the file are proven here
  --trust all          the same, and those that are not are at least their owners'
  --match-addresses    a person whose address has an account here is that account
  --sha256 <sum>       only if the file is the one whose dry run said so
  --report <file>      what became of each record, as lines of JSON
  --progress           say how far it is, on standard error

Ends with 0 when all records were taken, with 2 when some were refused, with 1 when it could not be finished: what
is stored by then stays, and the same file imported again goes on from there. More is in docs/moving-in.md.`;

const options = {
  "dry-run": { type: "boolean" },
  mapping: { type: "string" },
  format: { type: "string" },
  trust: { type: "string" },
  "match-addresses": { type: "boolean" },
  sha256: { type: "string" },
  report: { type: "string" },
  progress: { type: "boolean" },
} as const;

type Given = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

/** @see importHelp */
export const importCommand: Command = async (args, context) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  const [what, file, ...rest] = positionals;
  if (what === undefined || file === undefined || rest.length > 0) {
    throw new UsageError("import <what> <file>; see import --help");
  }
  const format = readFormat(values.format);
  const trust = readTrust(values.trust);
  const config = loadConfig(context);
  await withExistingStorage("import", context, async (storage) => {
    await run({ context, config, storage, what, file, values, format, trust });
  });
};

function readFormat(format: string | undefined): FileFormat | undefined {
  if (format === undefined || format === "jsonl" || format === "csv" || format === "json") return format;
  throw new UsageError("--format is jsonl, csv or json");
}

function readTrust(trust = "none"): "none" | "verified" | "all" {
  if (trust === "none" || trust === "verified" || trust === "all") return trust;
  throw new UsageError("--trust is verified or all");
}

/** What one import is run with. */
interface Run {
  readonly context: CommandContext;
  readonly config: Config;
  readonly storage: Storage;
  readonly what: string;
  readonly file: string;
  readonly values: Given;
  readonly format: FileFormat | undefined;
  readonly trust: "none" | "verified" | "all";
}

async function run({ context, config, storage, what, file, values, format, trust }: Run): Promise<void> {
  // Not before it is asked for: a server has no use for it.
  const { importRecords, requireKind } = await import("../transfer/import.ts");
  const { loadMapping } = await import("../transfer/mapping.ts");
  const { digestFile, guessFormat, openSource } = await import("../transfer/source.ts");
  const { kinds } = await import("../transfer/records.ts");
  const kind = requireKind(what, kinds);
  const path = resolve(context.cwd, file);
  const isDry = values["dry-run"] === true;
  const mapping = values.mapping === undefined ? undefined : loadMapping(values.mapping, toPath(context));
  const wanted = values.sha256?.toLowerCase();
  if (wanted !== undefined && (await digestFile(path)) !== wanted) {
    throw new CommandFailure(`${file}: is not the file of that sum; nothing was imported`, 1);
  }
  const source = await openSource({ path, kind, format: format ?? guessFormat(path), mapping });
  const records = untilInterrupted(context, source.records, file, isDry);
  const report = new Report(context, values);
  const progress = values.progress ? showProgress({ ...context, ...context.errors }, "records") : undefined;
  let done = 0;
  try {
    const counts = await importRecords({
      kind,
      records,
      choices: {
        trust,
        matchAddresses: values["match-addresses"] === true,
        source: mapping?.source ?? "",
      },
      providers: config.authentication.oidcProviders.map(({ name, issuerUrl = "" }) => ({
        name,
        issuer: issuerUrl,
      })),
      isDry,
      parts: { ...storage, clock: context.clock, publicUrl: config.publicUrl },
      async onRecord(line) {
        done += 1;
        const { readBytes, size } = source.file;
        progress?.update(done, Math.max(done, Math.round((done * size) / Math.max(1, readBytes))));
        await report.add(line);
      },
    });
    progress?.end();
    await report.finish();
    const sum = source.file.digest();
    context.print(`${file}: ${describe(counts, isDry)}; sha256 ${sum}`);
    if (wanted !== undefined && sum !== wanted) {
      throw new CommandFailure(`${file}: was changed while it was imported`, 1);
    }
    if (counts.refused > 0) {
      const were = counts.refused === 1 ? "was" : "were";
      throw new CommandFailure(`import: ${toNumber(counts.refused)} ${were} refused`, 2);
    }
  } finally {
    progress?.end();
    await report.close();
  }
}

/** What was read and not stored yet is left out then: what was told of is stored, and nothing else. */
function untilInterrupted<T>(
  { untilStopped }: CommandContext,
  records: AsyncGenerator<T>,
  file: string,
  isDry: boolean,
): AsyncIterable<T> {
  const so = isDry ? "nothing is stored" : "import it again, and what is stored already stays as it is";
  let failure: CommandFailure | undefined;
  let onInterrupted: ((error: CommandFailure) => void) | undefined;
  void untilStopped().then((signal) => {
    failure = new CommandFailure(`${file}: interrupted by ${signal}: ${so}`, 1);
    onInterrupted?.(failure);
  });
  const next = () =>
    // Also while a pipe has nothing to say.
    new Promise<IteratorResult<T>>((resolve, reject) => {
      if (failure !== undefined) return reject(failure);
      onInterrupted = reject;
      records.next().then(resolve, reject);
    });
  return { [Symbol.asyncIterator]: () => ({ next, return: () => records.return(undefined) }) };
}

const toPath =
  ({ cwd }: CommandContext) =>
  (file: string) =>
    resolve(cwd, file);

function describe({ created, changed, unchanged, refused }: Counts, isDry: boolean): string {
  const would = isDry ? "would be " : "";
  const parts = [`${toNumber(created)} ${would}created`, `${toNumber(changed)} ${would}changed`];
  return [...parts, `${toNumber(unchanged)} unchanged`, `${toNumber(refused)} refused`].join(", ");
}

/** Tells of records: of a dry run all, of a run those that were refused; and of all in the file that was asked for. */
class Report {
  readonly #print: CommandContext["print"];
  readonly #isAll: boolean;
  readonly #file: ReturnType<typeof createWriteStream> | undefined;
  #failure: unknown;

  /** @throws CommandFailure where the file cannot be made, before anything is imported */
  constructor({ print, cwd }: CommandContext, { report, "dry-run": isDry }: Given) {
    this.#print = print;
    this.#isAll = isDry === true;
    if (report === undefined) return;
    const toFailure = ({ code }: NodeJS.ErrnoException) => {
      const why = code === "EEXIST" ? "is there already" : `cannot be written, got ${code}`;
      return new CommandFailure(`${report}: ${why}`, 1);
    };
    const path = resolve(cwd, report);
    try {
      this.#file = createWriteStream(path, { fd: openSync(path, "wx", 0o600) });
    } catch (error) {
      throw toFailure(error as NodeJS.ErrnoException);
    }
    this.#file.on("error", (error) => {
      this.#failure ??= toFailure(error);
    });
  }

  async add({ place, outcome, id, refusal }: ReportLine): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const line = `${JSON.stringify({ ...place, outcome, id, ...refusal })}\n`;
    if (this.#file?.write(line) === false && !this.#file.destroyed) {
      await untilDrained(this.#file);
    }
    if (!this.#isAll && refusal === undefined) return;
    const where = "line" in place ? `line ${place.line}` : place.record;
    const field = refusal === undefined || refusal.field === "" ? "" : `${refusal.field} `;
    const why = refusal === undefined ? (id ?? "") : `${refusal.reason}: ${field}${refusal.message}`;
    this.#print(`${where}\t${outcome}\t${why}`);
  }

  /** @throws CommandFailure where not all of it could be written: all that was told of is stored all the same */
  async finish(): Promise<void> {
    await this.close();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    const file = this.#file;
    if (file === undefined || file.destroyed) return;
    await new Promise<void>((done) => file.end(done).once("close", done));
  }
}
