/**
 * Access to a frontdoor, by role: viewers of its organization read, managers
 * also write. One that does not exist and one of an organization the caller
 * has no role in are told of alike.
 */
import type { Reader } from "../../db/database.ts";
import { DomainError } from "../../lib/errors.ts";
import { type Access, isAtLeast } from "../../organizations/access.ts";
import type { Principal } from "../../principals/principal.ts";
import type { Frontdoor } from "./frontdoor.ts";
import { findFrontdoor } from "./store.ts";

/** What a caller is about to do: `test` needs the right to write and changes nothing. */
export type FrontdoorNeed = "read" | "write" | "test";

/** Decides whether a caller may act in a frontdoor. */
export interface FrontdoorAccess {
  /** @throws DomainError FRONTDOOR_NOT_FOUND, NOT_AUTHORIZED (too low a role), ORGANIZATION_DISABLED */
  require(caller: Principal, frontdoorId: string, need: FrontdoorNeed): Promise<Frontdoor>;
}

/** @see {@link FrontdoorAccess} */
export function createFrontdoorAccess(reader: Reader, access: Access): FrontdoorAccess {
  return {
    async require(caller, frontdoorId, need) {
      const frontdoor = await findFrontdoor(reader, frontdoorId.toLowerCase());
      if (frontdoor === undefined) throw frontdoorNotFound(frontdoorId, "unknown frontdoor");
      const { role } = await access
        .require(caller, frontdoor.orgId, { role: "viewer", writes: need === "write" })
        .catch((error: unknown) => {
          const isForeign = error instanceof DomainError && error.reason === "NOT_AUTHORIZED";
          throw isForeign ? frontdoorNotFound(frontdoorId, "no role in its organization") : error;
        });
      if (need !== "read" && !isAtLeast(role, "manager")) {
        throw new DomainError("NOT_AUTHORIZED", { detail: `needs the role manager, has ${role}` });
      }
      return frontdoor;
    },
  };
}

/** FRONTDOOR_NOT_FOUND in NetFoundry's words. @param detail why, for log and audit. */
export function frontdoorNotFound(id: string, detail: string): DomainError {
  return new DomainError("FRONTDOOR_NOT_FOUND", { message: `Frontdoor ${id} not found`, detail });
}
