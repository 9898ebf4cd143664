/** What Frontier's clients name, and how Frontier refuses, in terms of this room. */
import { DomainError, reasons } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { invalidField, invalidRequest } from "../lib/invalid-request.ts";
import { type FrontierRole, type FrontierScope, findFrontierRole } from "./frontier-roles.ts";
import type { ProjectPrincipal } from "./organization.ts";

const scopes = ["app/organization", "app/project"] as const;

/**
 * The role that a request grants.
 *
 * @throws DomainError ROLE_NOT_FOUND; INVALID_REQUEST for one of another kind of resource
 */
export function getFrontierRole(scope: FrontierScope, idOrName: string): FrontierRole {
  const found = findFrontierRole(scope, idOrName);
  if (found !== undefined) return found;
  if (scopes.every((each) => findFrontierRole(each, idOrName) === undefined)) {
    throw new DomainError("ROLE_NOT_FOUND");
  }
  throw invalidRequest(`role is not valid for ${scope.slice("app/".length)} scope`);
}

/** `app/user` or `app/serviceuser`, as the schema says, and an id. */
export function toFrontierPrincipal(type: string, id: string): ProjectPrincipal {
  return { type: type === "app/user" ? "user" : "serviceuser", id: id.toLowerCase() };
}

/** Reads `app/user:<id>` or `app/serviceuser:<id>`. @throws DomainError INVALID_REQUEST naming the field */
export function parseFrontierPrincipal(field: string, text: string): ProjectPrincipal {
  const [type = "", id = "", ...more] = text.split(":");
  if (more.length > 0 || !isUuid(id) || !["app/user", "app/serviceuser"].includes(type)) {
    throw invalidField(field, "must be app/user:<id> or app/serviceuser:<id>");
  }
  return toFrontierPrincipal(type, id);
}

/** Reads `app/organization:<id or name>` or `app/project:<id>`. @throws DomainError INVALID_REQUEST naming the field */
export function parseFrontierResource(
  field: string,
  text: string,
): { readonly scope: FrontierScope; readonly id: string } {
  const [kind, id = "", ...more] = text.split(":");
  const scope = scopes.find((each) => each === kind);
  if (scope === undefined || id === "" || more.length > 0) {
    throw invalidField(field, "must be app/organization:<id> or app/project:<id>");
  }
  return { scope, id };
}

/** Says of who is no member what Frontier says. */
export async function ofMember<T>(change: Promise<T>): Promise<T> {
  try {
    return await change;
  } catch (error) {
    const isNone = error instanceof DomainError && error.reason === "MEMBER_NOT_FOUND";
    throw isNone ? new DomainError("MEMBER_NOT_FOUND", { message: reasons.NOT_A_MEMBER[1] }) : error;
  }
}

const lastOwner =
  "org must have at least one owner, consider assigning another owner before changing this user's role";

/** Refuses as Frontier does where a membership is changed: its codes where they differ, its words. */
export async function inFrontiersWords<T>(change: Promise<T>): Promise<T> {
  try {
    return await change;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    if (error.reason === "MEMBER_NOT_FOUND") throw new DomainError("NOT_A_MEMBER");
    if (error.reason === "LAST_OWNER") throw new DomainError("LAST_OWNER", { message: lastOwner });
    throw error;
  }
}
