import type { Reader, Tx } from "../db/database.ts";
import type { OrganizationRow } from "../db/schema.ts";
import { isUuid } from "../lib/ids.ts";
import type { Organization } from "./organization.ts";

function toOrganization(row: OrganizationRow): Organization {
  return {
    id: row.id,
    name: row.name,
    title: row.title,
    metadata: JSON.parse(row.metadata),
    avatar: row.avatar,
    state: row.state,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** Finds an organization by id or, for anything that is not a UUID, by name. */
export async function findOrganization(reader: Reader, idOrName: string): Promise<Organization | undefined> {
  const column = isUuid(idOrName) ? "id" : "name";
  const value = column === "id" ? idOrName.toLowerCase() : idOrName;
  const row = await reader
    .selectFrom("organizations")
    .selectAll()
    .where(column, "=", value)
    .executeTakeFirst();
  return row && toOrganization(row);
}

/** Stores a new organization; one of the same name is left as it is. */
export async function insertOrganizationIfAbsent(tx: Tx, organization: Organization): Promise<void> {
  await tx
    .insertInto("organizations")
    .values({
      id: organization.id,
      name: organization.name,
      title: organization.title,
      metadata: JSON.stringify(organization.metadata),
      avatar: organization.avatar,
      state: organization.state,
      created_at: organization.createdAt.getTime(),
      updated_at: organization.updatedAt.getTime(),
    })
    .onConflict((conflict) => conflict.column("name").doNothing())
    .execute();
}
