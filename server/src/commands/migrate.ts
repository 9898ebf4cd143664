/** `vestibule migrate`: brings the schema up to date and ends; or says what that would do. */
import { parseArgs } from "node:util";
import { loadConfig } from "../config/load-config.ts";
import { findOldestBeside, getSchemaState, refuseNoRoom, type SchemaState } from "../db/migrate.ts";
import { findOpenReader } from "../db/open-reader.ts";
import { silentLog } from "../lib/log.ts";
import { toDatabaseUrl } from "../storage.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { withStorage } from "./with-storage.ts";

/** The command with all there is to say of it. */
export const migrateHelp = `Usage: vestibule [--config <file>] migrate [--dry-run]

Brings the database's schema up to date, all of it or nothing, as the next start of a server would.

  --dry-run   only say what is missing, and which older servers may serve on beside it; changes nothing

See docs/upgrading.md.`;

/** Applies what is missing and says what it was. */
export const migrateCommand: Command = async (args, context) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { "dry-run": { type: "boolean" } },
  });
  if (positionals.length > 0) throw new UsageError("migrate takes no arguments; try migrate --help");
  if (values["dry-run"]) return await tell(context);
  await withStorage(context, async ({ applied }) => {
    for (const name of applied) context.print(`applied ${name}`);
    if (applied.length === 0) context.print("the schema is up to date");
  });
};

async function tell(context: CommandContext): Promise<void> {
  const opened = await findOpenReader({ url: toDatabaseUrl(loadConfig(context)), log: silentLog });
  try {
    const state = opened && (await getSchemaState(opened.reader));
    if (opened === undefined || state === undefined || state.isEmpty) {
      if (opened !== undefined) await refuseNoRoom(opened.reader);
      return context.print("there are no tables yet: would make them all");
    }
    const { pending } = state;
    for (const { name } of pending) context.print(`would apply ${name}`);
    context.print(pending.length > 0 ? describeBeside(pending) : `the schema is ${describeApplied(state)}`);
  } finally {
    await opened?.close();
  }
}

/** Which servers need not be stopped while migrations are applied, one at least, in a clause for operators. */
export function describeBeside(pending: SchemaState["pending"]): string {
  const oldest = findOldestBeside(pending);
  return oldest === null
    ? "stop every server first: none may serve beside that without knowing it"
    : `servers of ${oldest} and later may go on serving`;
}

/** Where nothing is missing: whether there is more than this program knows, in a clause for operators. */
export function describeApplied({ newer }: SchemaState): string {
  return newer.length === 0
    ? "up to date"
    : `newer than this program, which may serve on it: it has ${newer.join(", ")}`;
}
