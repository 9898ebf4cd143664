import type { Selectable } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import type { UserPreferenceRow } from "../db/schema.ts";

/** What a person has chosen for themselves. */
export interface Preference {
  readonly id: string;
  readonly userId: string;
  readonly name: string;
  readonly value: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

function toPreference(row: Selectable<UserPreferenceRow>): Preference {
  return {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    value: row.value,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** A user's preferences by name; those never chosen are not among them. */
export async function findPreferences(reader: Reader, userId: string): Promise<Preference[]> {
  const rows = await reader
    .selectFrom("user_preferences")
    .selectAll()
    .where("user_id", "=", userId)
    .orderBy("name")
    .execute();
  return rows.map(toPreference);
}

/** Forgets all that a user has chosen. */
export async function deletePreferences(tx: Tx, userId: string): Promise<void> {
  await tx.deleteFrom("user_preferences").where("user_id", "=", userId).execute();
}

/** Stores a choice, in place of an earlier one by that name, which keeps its id and its beginning. */
export async function savePreference(tx: Tx, preference: Preference): Promise<void> {
  const { id, userId, name, value, createdAt, updatedAt } = preference;
  const changes = { value, updated_at: updatedAt.getTime() };
  await tx
    .insertInto("user_preferences")
    .values({ id, user_id: userId, name, created_at: createdAt.getTime(), ...changes })
    .onConflict((conflict) => conflict.columns(["user_id", "name"]).doUpdateSet(changes))
    .execute();
}
