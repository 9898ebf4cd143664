/** `vestibule doctor`: says whether a server would start, and what stands in its way. */
import { loadConfig } from "../config/load-config.ts";
import { silentLog } from "../lib/log.ts";
import { openStorage } from "../storage.ts";
import { findSigner } from "../tokens/signing-key.ts";
import { findSigningKeys } from "../tokens/store.ts";
import { type Command, UsageError } from "./command.ts";

/** Prints a line for each check; throws what the first failing one says. */
export const doctorCommand: Command = async (args, surroundings) => {
  if (args.length > 0) throw new UsageError("doctor takes no arguments");
  const { clock, print } = surroundings;
  const config = loadConfig(surroundings);
  print(`ok  configuration: ${config.publicUrl}, listening on ${config.listen.host}:${config.listen.port}`);
  const storage = await openStorage(config, silentLog, clock);
  try {
    print(`ok  database: ${config.database.dialect}, schema up to date, keys match`);
    const signer = findSigner(await findSigningKeys(storage.database.reader), clock.now());
    print(
      signer === undefined
        ? "ok  signing keys: none yet, the first start makes one"
        : `ok  signing key: ${signer.kid}`,
    );
  } finally {
    await storage.close();
  }
};
