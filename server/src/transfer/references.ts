/** Finding whom and what records name. */
import type { Reader } from "../db/database.ts";
import { findManyOrganizations } from "../organizations/many-store.ts";
import { defaultOrganizationName, type Organization } from "../organizations/organization.ts";
import { findManyUsers } from "../users/many-store.ts";
import type { User } from "../users/user.ts";
import { RefusedRecord } from "./errors.ts";
import type { ImportChoices } from "./importer.ts";
import { toNamedId } from "./named-id.ts";
import { isOwnersAddress, mayMatch, toPersonId } from "./people.ts";

/** How a record names a person: by id, by address, or by both. */
interface PersonRef {
  readonly user_id?: string | undefined;
  readonly user_email?: string | undefined;
  readonly user_email_verified?: boolean | undefined;
}

/** How a record names an organization: by id, by name, or by both. */
interface OrganizationRef {
  readonly org_id?: string | undefined;
  readonly org_name?: string | undefined;
}

/** Of a reference by address alone, the id is the one that a person without an id was given. */
function toUserId({ user_id, user_email = "" }: PersonRef, { source }: ImportChoices): string {
  return toPersonId(source, user_id, user_email);
}

/** The id that an organization has here. @see toNamedId */
export function toOrganizationId(source: string, id: string | undefined, name: string): string {
  return id === undefined ? toNamedId(["organization-name"], name) : toNamedId(["organizations", source], id);
}

/** What tells people apart who are named in a file. */
export function toPersonKey(ref: PersonRef, choices: ImportChoices): string {
  return toUserId(ref, choices);
}

/** What tells organizations apart that are named in a file. */
export function toOrganizationKey(
  { org_id, org_name = "" }: OrganizationRef,
  { source }: ImportChoices,
): string {
  return toOrganizationId(source, org_id, org_name);
}

/** Reads all that some records name; the answer throws RefusedRecord UNKNOWN_USER for whom there is not. */
export async function findPeople(
  reader: Reader,
  refs: readonly PersonRef[],
  choices: ImportChoices,
): Promise<(ref: PersonRef) => User> {
  const byId = await findManyUsers(
    reader,
    "id",
    refs.map((ref) => toUserId(ref, choices)),
  );
  const emails = refs.flatMap(({ user_email }) => user_email ?? []);
  const byEmail = await findManyUsers(reader, "email", emails);
  return (ref) => {
    const known = byId.get(toUserId(ref, choices));
    const other = byEmail.get(ref.user_email ?? "");
    if (known !== undefined) {
      if (ref.user_id !== undefined || other === undefined || other.id === known.id) return known;
      throw unknownUser(ref, "was the address of one account, and is another's now");
    }
    if (other === undefined) throw unknownUser(ref, "is of no account");
    if (ref.user_id !== undefined && !choices.matchAddresses) {
      throw unknownUser(ref, "is of no account; --match-addresses looks for the address");
    }
    if (!mayMatch(ref.user_email_verified, choices)) throw unknownUser(ref, "the address is not verified");
    if (!isOwnersAddress(other)) throw unknownUser(ref, "the account of the address has not proven it");
    return other;
  };
}

function unknownUser({ user_id }: PersonRef, message: string): RefusedRecord {
  return new RefusedRecord("UNKNOWN_USER", user_id === undefined ? "user_email" : "user_id", message);
}

/**
 * Reads all that some records name; the answer throws RefusedRecord
 * UNKNOWN_ORGANIZATION for what there is not. `default` is everywhere, under
 * another id, and means the same.
 */
export async function findOrganizations(
  reader: Reader,
  refs: readonly OrganizationRef[],
  { source }: ImportChoices,
): Promise<(ref: OrganizationRef) => Organization> {
  const toId = ({ org_id, org_name = "" }: OrganizationRef) => toOrganizationId(source, org_id, org_name);
  const byId = await findManyOrganizations(reader, "id", refs.map(toId));
  const names = refs.flatMap(({ org_name }) => org_name ?? []);
  const byName = await findManyOrganizations(reader, "name", names);
  return (ref) => {
    const { org_id, org_name = "" } = ref;
    const known = byId.get(toId(ref));
    if (known !== undefined) return known;
    const isNamed = org_id === undefined || org_name === defaultOrganizationName;
    const named = isNamed ? byName.get(org_name) : undefined;
    if (named !== undefined) return named;
    const field = org_id === undefined ? "org_name" : "org_id";
    throw new RefusedRecord("UNKNOWN_ORGANIZATION", field, "is of no organization");
  };
}
