/** What people choose for themselves: the rules. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { findPreferences, type Preference, savePreference } from "./preference-store.ts";

/** Parts that preferences stand on. */
export interface PreferenceServiceOptions {
  readonly database: Database;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** Keeps preferences, each person their own. */
export class PreferenceService {
  readonly #options: PreferenceServiceOptions;

  constructor(options: PreferenceServiceOptions) {
    this.#options = options;
  }

  /** The caller's own, by name. @throws DomainError NOT_AUTHORIZED for machines. */
  async list(caller: Caller): Promise<Preference[]> {
    return await findPreferences(this.#options.database.reader, requireUser(caller).id);
  }

  /**
   * Chooses for the caller, all or nothing; of one name the last holds, and what they had chosen already stays as it was.
   *
   * @param chosen values by name, as the schema has checked them.
   * @returns all of the caller's preferences then.
   * @throws DomainError NOT_AUTHORIZED for machines
   */
  async choose(caller: Caller, chosen: ReadonlyMap<string, string>): Promise<Preference[]> {
    const { database, audit, clock } = this.#options;
    const { id: userId } = requireUser(caller);
    return await database.transaction(async (tx) => {
      const before = await findPreferences(tx, userId);
      const isNew = ([name, value]: [string, string]) =>
        before.every((one) => one.name !== name || one.value !== value);
      const changes = [...chosen].filter(isNew);
      if (changes.length === 0) return before;
      const now = clock.now();
      for (const [name, value] of changes) {
        await savePreference(tx, { id: newId(now), userId, name, value, createdAt: now, updatedAt: now });
      }
      const changed = changes.map(([name]) => name).join(",");
      await audit.record(tx, caller, { action: "user.update", target: userId, details: { changed } });
      return await findPreferences(tx, userId);
    });
  }
}

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people choose for themselves" });
}
