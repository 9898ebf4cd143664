/**
 * Frontdoors: the rules.
 *
 * Owns the rows of frontdoors, and the access to everything in one
 * (`access.ts`). It knows nothing of what is in a frontdoor: that is removed
 * by the sweep (\`frontdoor/sweep.ts\`) once its frontdoor is gone.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database } from "../../db/database.ts";
import type { Clock } from "../../lib/clock.ts";
import { newId } from "../../lib/ids.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import { type Page, type PageRequest, toPageById } from "../../lib/page-token.ts";
import type { Access } from "../../organizations/access.ts";
import type { Caller } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "./access.ts";
import type { Frontdoor } from "./frontdoor.ts";
import * as store from "./store.ts";

/** Parts that frontdoors stand on. */
export interface FrontdoorServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly access: Access;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** Manages frontdoors. */
export class FrontdoorService {
  readonly #options: FrontdoorServiceOptions;

  constructor(options: FrontdoorServiceOptions) {
    this.#options = options;
  }

  /**
   * Creates a frontdoor.
   *
   * @param org id or name; empty for a service user's own.
   * @throws DomainError NOT_AUTHORIZED, ORGANIZATION_DISABLED, INVALID_REQUEST
   */
  async create(caller: Caller, org: string, name: string): Promise<Frontdoor> {
    const { database, access, audit, clock } = this.#options;
    const need = { role: "manager", writes: true } as const;
    const { organization } = await access.require(caller.principal, toOrg(caller, org), need);
    const now = clock.now();
    const frontdoor: Frontdoor = {
      id: newId(now),
      orgId: organization.id,
      name,
      createdAt: now,
      updatedAt: now,
    };
    await database.transaction(async (tx) => {
      await store.insertFrontdoor(tx, frontdoor);
      await audit.record(tx, caller, {
        action: "frontdoor.create",
        target: frontdoor.id,
        orgId: organization.id,
        details: { name },
      });
    });
    return frontdoor;
  }

  /** @throws DomainError FRONTDOOR_NOT_FOUND */
  async get(caller: Caller, id: string): Promise<Frontdoor> {
    return await this.#options.frontdoorAccess.require(caller.principal, id, "read");
  }

  /** Those of an organization, oldest first. @throws DomainError NOT_AUTHORIZED, INVALID_REQUEST */
  async list(caller: Caller, org: string, page: PageRequest): Promise<Page<Frontdoor>> {
    const { database, access } = this.#options;
    const need = { role: "viewer", writes: false } as const;
    const { organization } = await access.require(caller.principal, toOrg(caller, org), need);
    const list = ["ListFrontdoors", organization.id];
    return await toPageById(list, page, (range) =>
      store.findFrontdoors(database.reader, organization.id, range),
    );
  }

  /**
   * Deletes a frontdoor with everything in it, at once for everybody; what it
   * held is removed by and by, so that a million providers hold up nobody.
   *
   * @throws DomainError FRONTDOOR_NOT_FOUND, NOT_AUTHORIZED
   */
  async delete(caller: Caller, id: string): Promise<void> {
    const { database, feed, frontdoorAccess, audit, clock } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, id, "write");
    await database.transaction(async (tx) => {
      if (!(await store.deleteFrontdoor(tx, frontdoor.id, clock.now()))) {
        throw frontdoorNotFound(id, "deleted meanwhile");
      }
      await audit.record(tx, caller, {
        action: "frontdoor.delete",
        target: frontdoor.id,
        orgId: frontdoor.orgId,
        details: { name: frontdoor.name },
      });
      await feed.append(tx, { topic: "frontdoor", subject: frontdoor.id });
    });
  }
}

/** The organization a request means. */
function toOrg({ principal }: Caller, org: string): string {
  if (org !== "") return org;
  if (principal.type !== "user") return principal.orgId;
  throw invalidField("organization_id", "must be given");
}
