/** `vestibule migrate`: brings the schema up to date and ends. */
import { type Command, UsageError } from "./command.ts";
import { withStorage } from "./with-storage.ts";

/** Applies what is missing and says what it was. */
export const migrateCommand: Command = async (args, context) => {
  if (args.length > 0) throw new UsageError("migrate takes no arguments");
  await withStorage(context, async ({ applied }) => {
    for (const name of applied) context.print(`applied ${name}`);
    if (applied.length === 0) context.print("the schema is up to date");
  });
};
