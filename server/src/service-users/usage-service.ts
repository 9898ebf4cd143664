import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Access } from "../organizations/access.ts";
import type { Caller } from "../principals/principal.ts";
import { getServiceUserIn, reads, type ServiceUserRef } from "./access.ts";
import type { Credential } from "./credential.ts";
import { findCredentials } from "./credential-store.ts";
import { firstDayOf, toDay } from "./usage.ts";
import { findCalls } from "./usage-store.ts";

/** Calls of one day. */
export interface DayUsage {
  /** UTC, `YYYY-MM-DD`. */
  readonly day: string;
  readonly calls: number;
}

/** What a credential was used for. */
export interface CredentialUsage {
  readonly credentialId: string;
  /** Absent once it was deleted. */
  readonly credential?: Credential;
  /** Oldest first; days without a call are left out. */
  readonly days: readonly DayUsage[];
}

/** What a service user's credentials were used for. */
export interface ServiceUserUsage {
  /** Of all credentials together; oldest first, days without a call are left out. */
  readonly days: readonly DayUsage[];
  /** Every credential there is, oldest first, unused ones too; then deleted ones that were used. */
  readonly credentials: readonly CredentialUsage[];
  readonly lastUsedAt?: Date;
}

/** Parts that reading of usage stands on. */
export interface UsageServiceOptions {
  readonly database: Database;
  readonly access: Access;
  readonly clock: Clock;
}

/** Tells what credentials are used for, so that unused ones can be found. */
export class UsageService {
  readonly #database: Database;
  readonly #access: Access;
  readonly #clock: Clock;

  constructor(options: UsageServiceOptions) {
    this.#database = options.database;
    this.#access = options.access;
    this.#clock = options.clock;
  }

  /**
   * The usage of the last `days` days, today included; up to 100 ms behind.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND
   */
  async get(caller: Caller, ref: ServiceUserRef, days: number): Promise<ServiceUserUsage> {
    const { organization } = await this.#access.require(caller.principal, ref.org, reads);
    const { reader } = this.#database;
    const serviceUser = await getServiceUserIn(reader, organization.id, ref.id);
    const credentials = await findCredentials(reader, serviceUser.id);
    const now = this.#clock.now();
    const calls = await findCalls(reader, serviceUser.id, firstDayOf(days, now), toDay(now));
    const byCredential = Map.groupBy(calls, ({ credentialId }) => credentialId);
    const present = credentials.map((credential) => ({
      credentialId: credential.id,
      credential,
      days: toDays(byCredential.get(credential.id) ?? []),
    }));
    const presentIds = new Set(credentials.map(({ id }) => id));
    const deleted = [...byCredential]
      .filter(([id]) => !presentIds.has(id))
      .map(([credentialId, own]) => ({ credentialId, days: toDays(own) }));
    return {
      days: sumByDay(calls),
      credentials: [...present, ...deleted],
      ...(serviceUser.lastUsedAt && { lastUsedAt: serviceUser.lastUsedAt }),
    };
  }
}

function toDays(calls: readonly DayUsage[]): DayUsage[] {
  return calls.map(({ day, calls: count }) => ({ day, calls: count }));
}

function sumByDay(calls: readonly DayUsage[]): DayUsage[] {
  const sums = new Map<string, number>();
  for (const { day, calls: count } of calls) sums.set(day, (sums.get(day) ?? 0) + count);
  return [...sums].map(([day, sum]) => ({ day, calls: sum })).sort((a, b) => (a.day < b.day ? -1 : 1));
}
