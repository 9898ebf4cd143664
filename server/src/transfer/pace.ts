/** How an import goes on beside others who write. */
import { setTimeout as sleep } from "node:timers/promises";
import { isUniqueViolation } from "../db/errors.ts";
import { DomainError } from "../lib/errors.ts";

/** How long a server beside an import gets to write between its transactions, in milliseconds: it tries every 5. */
export const pauseMs = 8;

/** How often is tried what met with somebody else's writing, and how long is waited before, in milliseconds. */
const mostTries = 6;
const retryMs = 200;

/** Tries again what met with the writing of others, who are done with it some time. */
export async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isForNow = error instanceof DomainError && error.kind === "unavailable";
      if (attempt === mostTries || !(isForNow || isUniqueViolation(error))) throw error;
      await sleep(retryMs * attempt);
    }
  }
}
