/**
 * Proxy tokens of a frontdoor: the rules.
 *
 * A token is answered by the call that makes it and stored as a hash. There are
 * two at most, so that one can take the other's place without a pause. Whether
 * the one that a proxy sends is good, `proxies.ts` says.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database, Tx } from "../../db/database.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { hashSecret, newSecret } from "../../lib/secrets.ts";
import { requireProven } from "../../organizations/access.ts";
import type { Caller } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "../frontdoors/access.ts";
import { lockFrontdoor } from "../frontdoors/store.ts";
import type { ProxyToken } from "./proxy-token.ts";
import * as store from "./store.ts";

/** Where tokens are kept, who may see to them, and who hears of a change. */
export interface ProxyTokenServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** Most tokens of a frontdoor: the one in use, and the one that takes its place. */
const maxTokens = 2;

/** Manages proxy tokens. */
export class ProxyTokenService {
  readonly #options: ProxyTokenServiceOptions;

  constructor(options: ProxyTokenServiceOptions) {
    this.#options = options;
  }

  /**
   * Makes a token, and answers it in clear this once.
   *
   * @throws DomainError ADDRESS_UNPROVEN, TOO_MANY_CREDENTIALS and those of `frontdoorAccess`
   */
  async create(
    caller: Caller,
    frontdoorId: string,
    title: string,
  ): Promise<{ readonly record: ProxyToken; readonly token: string }> {
    const token = newSecret("vstp");
    const record = await this.#write(caller, frontdoorId, "proxy_token.create", async (tx, id) => {
      requireProven(caller.principal);
      if ((await store.findProxyTokens(tx, id)).length >= maxTokens) {
        throw new DomainError("TOO_MANY_CREDENTIALS", {
          message: "a frontdoor has at most two proxy tokens, delete the one that no proxy uses any more",
        });
      }
      const now = this.#options.clock.now();
      const made: ProxyToken = {
        id: newId(now),
        frontdoorId: id,
        title,
        tokenHash: hashSecret(token),
        createdAt: now,
      };
      await store.insertProxyToken(tx, made);
      return made;
    });
    return { record, token };
  }

  /** Oldest first. @throws DomainError those of `frontdoorAccess` */
  async list(caller: Caller, frontdoorId: string): Promise<ProxyToken[]> {
    const { frontdoorAccess, database } = this.#options;
    const { id } = await frontdoorAccess.require(caller.principal, frontdoorId, "read");
    return await store.findProxyTokens(database.reader, id);
  }

  /** Deletes a token; it is refused at once. @throws DomainError PROXY_TOKEN_NOT_FOUND and those of `frontdoorAccess` */
  async delete(caller: Caller, frontdoorId: string, tokenId: string): Promise<void> {
    await this.#write(caller, frontdoorId, "proxy_token.delete", async (tx, id) => {
      const deleted = await store.deleteProxyToken(tx, id, tokenId.toLowerCase());
      if (deleted === undefined) throw new DomainError("PROXY_TOKEN_NOT_FOUND");
      return deleted;
    });
  }

  async #write(
    caller: Caller,
    frontdoorId: string,
    action: "proxy_token.create" | "proxy_token.delete",
    write: (tx: Tx, frontdoorId: string) => Promise<ProxyToken>,
  ): Promise<ProxyToken> {
    const { frontdoorAccess, database, feed, audit } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "write");
    return await database.transaction(async (tx) => {
      if ((await lockFrontdoor(tx, frontdoor.id)) === undefined) {
        throw frontdoorNotFound(frontdoor.id, "deleted meanwhile");
      }
      const token = await write(tx, frontdoor.id);
      await audit.record(tx, caller, {
        action,
        target: token.id,
        orgId: frontdoor.orgId,
        details: { frontdoor: frontdoor.id, title: token.title },
      });
      await feed.append(tx, { topic: "frontdoor", subject: frontdoor.id });
      return token;
    });
  }
}
