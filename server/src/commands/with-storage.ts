import { loadConfig } from "../config/load-config.ts";
import { silentLog } from "../lib/log.ts";
import { openStorage, type Storage } from "../storage.ts";
import type { Surroundings } from "./command.ts";

/** Opens the configured storage for the time of `work`. Servers on it may go on running. */
export async function withStorage(
  surroundings: Surroundings,
  work: (storage: Storage) => Promise<void>,
): Promise<void> {
  const config = loadConfig(surroundings);
  const storage = await openStorage(config, silentLog, surroundings.clock, "command-line");
  try {
    await work(storage);
  } finally {
    await storage.close();
  }
}
