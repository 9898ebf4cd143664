/**
 * Keys of `API_KEY` providers: the rules.
 *
 * A key is answered by the call that makes it and stored as a hash. It always
 * expires. Keys of a deleted provider go with it. Whether a key on a
 * request is good, their type says (`provider-types/api-key.ts`).
 */
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database, Reader, Tx } from "../../db/database.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import { type Page, type PageRequest, toPageById } from "../../lib/page-token.ts";
import { hashSecret, newSecret } from "../../lib/secrets.ts";
import { requireProven } from "../../organizations/access.ts";
import type { Caller } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "../frontdoors/access.ts";
import type { Frontdoor } from "../frontdoors/frontdoor.ts";
import { lockFrontdoor } from "../frontdoors/store.ts";
import type { StoredProvider } from "../providers/provider.ts";
import { getProviderIn, type ProviderRef } from "../providers/service.ts";
import type { ApiKey } from "./api-key.ts";
import * as store from "./store.ts";

/** Parts that the keys of providers stand on. */
export interface ApiKeyServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** How many keys of a provider may be live at once. */
  readonly maxLiveKeys?: number;
}

/** What a caller says of a new key. */
export interface ApiKeyDraft {
  readonly title: string;
  /** In a year if absent. */
  readonly expiresAt?: Date;
}

/** Most live keys of a provider. */
const maxLiveApiKeys = 10_000;

const yearMs = 365 * 86_400_000;
const longestYears = 10;

/** Manages the keys of `API_KEY` providers. */
export class ApiKeyService {
  readonly #options: ApiKeyServiceOptions;

  constructor(options: ApiKeyServiceOptions) {
    this.#options = options;
  }

  /**
   * Makes a key, and answers it in clear this once.
   *
   * @throws DomainError AUTH_PROVIDER_NOT_FOUND, NOT_AN_API_KEY_PROVIDER, ADDRESS_UNPROVEN,
   *   TOO_MANY_CREDENTIALS, INVALID_REQUEST and those of `frontdoorAccess`
   */
  async create(
    caller: Caller,
    ref: ProviderRef,
    { title, expiresAt }: ApiKeyDraft,
  ): Promise<{ readonly record: ApiKey; readonly key: string }> {
    const { clock, maxLiveKeys = maxLiveApiKeys } = this.#options;
    const now = clock.now();
    checkExpiry(expiresAt, now);
    const key = newSecret("vstk");
    const record = await this.#write(caller, ref, "api_key.create", async (tx, { id: providerId }) => {
      requireProven(caller.principal);
      if ((await store.countLiveApiKeys(tx, providerId, now)) >= maxLiveKeys) {
        throw new DomainError("TOO_MANY_CREDENTIALS", {
          message: "too many live keys, delete unused ones first",
        });
      }
      const made: ApiKey = {
        id: newId(now),
        providerId,
        title,
        keyHash: hashSecret(key),
        createdAt: now,
        expiresAt: expiresAt ?? new Date(now.getTime() + yearMs),
      };
      await store.insertApiKey(tx, made);
      return made;
    });
    return { record, key };
  }

  /** Oldest first. @throws DomainError AUTH_PROVIDER_NOT_FOUND, NOT_AN_API_KEY_PROVIDER and those of `frontdoorAccess` */
  async list(caller: Caller, ref: ProviderRef, page: PageRequest): Promise<Page<ApiKey>> {
    const { frontdoorAccess, database } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "read");
    const provider = await getKeyedProvider(database.reader, frontdoor, ref.id);
    const list = ["ListApiKeys", provider.id];
    return await toPageById(list, page, (range) => store.findApiKeys(database.reader, provider.id, range));
  }

  /** Deletes a key; it is refused at once. @throws DomainError API_KEY_NOT_FOUND and those of `list` */
  async delete(caller: Caller, ref: ProviderRef, keyId: string): Promise<void> {
    await this.#write(caller, ref, "api_key.delete", async (tx, provider) => {
      const deleted = await store.deleteApiKey(tx, provider.id, keyId.toLowerCase());
      if (deleted === undefined) throw new DomainError("API_KEY_NOT_FOUND");
      return deleted;
    });
  }

  async #write(
    caller: Caller,
    ref: ProviderRef,
    action: "api_key.create" | "api_key.delete",
    write: (tx: Tx, provider: StoredProvider) => Promise<ApiKey>,
  ): Promise<ApiKey> {
    const { frontdoorAccess, database, feed, audit } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "write");
    return await database.transaction(async (tx) => {
      if ((await lockFrontdoor(tx, frontdoor.id)) === undefined) {
        throw frontdoorNotFound(frontdoor.id, "deleted meanwhile");
      }
      const provider = await getKeyedProvider(tx, frontdoor, ref.id);
      const key = await write(tx, provider);
      await audit.record(tx, caller, {
        action,
        target: key.id,
        orgId: frontdoor.orgId,
        details: {
          frontdoor: frontdoor.id,
          provider: provider.id,
          title: key.title,
          expires_at: key.expiresAt.toISOString(),
        },
      });
      await feed.append(tx, { topic: "credential", subject: key.id });
      return key;
    });
  }
}

async function getKeyedProvider(reader: Reader, frontdoor: Frontdoor, id: string): Promise<StoredProvider> {
  const provider = await getProviderIn(reader, frontdoor.id, id);
  if (provider.type !== "API_KEY") throw new DomainError("NOT_AN_API_KEY_PROVIDER");
  return provider;
}

function checkExpiry(expiresAt: Date | undefined, now: Date): void {
  if (expiresAt === undefined) return;
  if (expiresAt <= now) throw invalidField("expires_at", "must be in the future");
  const latest = new Date(now);
  latest.setUTCFullYear(latest.getUTCFullYear() + longestYears);
  if (expiresAt > latest) {
    throw invalidField("expires_at", `must be at most ${longestYears} years away`);
  }
}
