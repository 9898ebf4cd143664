/** `vestibule export <what>`: people and what belongs to them as lines of JSON or as CSV, beside servers that go on. */
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { loadConfig } from "../config/load-config.ts";
import { writeWholeFile } from "../config/whole-file.ts";
import { readSnapshot } from "../db/snapshot.ts";
import { silentLog } from "../lib/log.ts";
import { toDatabaseUrl } from "../storage.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { showProgress, toNumber } from "./progress.ts";
import { openExisting } from "./with-storage.ts";

/** What `export --help` says. */
export const exportHelp = `Usage: vestibule export <what> [<file>], with the server's settings; servers may go on running

  <what> is organizations, people, identities, members or service-users

  --format jsonl|csv  lines of JSON, if not given, or CSV
  --progress          say how far it is, on standard error

Without a file it goes to standard output. No secret is in it; of credentials there are public keys alone.
More is in docs/moving-in.md.`;

/** @see exportHelp */
export const exportCommand: Command = async (args, context) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { format: { type: "string" }, progress: { type: "boolean" } },
  });
  const [what, file, ...rest] = positionals;
  if (what === undefined || rest.length > 0)
    throw new UsageError("export <what> [<file>]; see export --help");
  // Not before it is asked for: a server has no use for it.
  const { countRecords, exportRecords } = await import("../transfer/export.ts");
  const { requireKind } = await import("../transfer/import.ts");
  const { kinds } = await import("../transfer/records.ts");
  const kind = requireKind(what, kinds);
  const { format = "jsonl" } = values;
  if (format !== "jsonl" && format !== "csv") throw new UsageError("--format is jsonl or csv");
  const config = loadConfig(context);
  await (await openExisting("export", config)).close();
  const progress = values.progress ? showProgress({ ...context, ...context.errors }, "records") : undefined;
  let count = 0;
  try {
    await readSnapshot({ url: toDatabaseUrl(config), log: silentLog }, async (reader) => {
      const all = await countRecords(reader, kind);
      const texts = exportRecords(reader, kind, format, (written) => {
        count = written;
        progress?.update(written, all);
      });
      await write(context, file, texts);
    });
  } finally {
    progress?.end();
  }
  if (file !== undefined) context.print(`${file}: ${toNumber(count)} ${kind}`);
};

async function write(
  context: CommandContext,
  file: string | undefined,
  texts: AsyncIterable<string>,
): Promise<void> {
  if (file === undefined) return await context.stream(texts);
  await writeWholeFile(resolve(context.cwd, file), (to) => pipeline(Readable.from(texts), to));
}
