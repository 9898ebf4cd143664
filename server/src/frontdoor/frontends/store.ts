import { z } from "zod";
import type { Reader, Tx } from "../../db/database.ts";
import { jsonColumn, jsonObject, type MembersOf } from "../../db/json-column.ts";
import type { CustomFrontendRow } from "../../db/schema.ts";
import { isUuid } from "../../lib/ids.ts";
import type { CustomFrontend, FrontendPolicy } from "./frontend.ts";

/** What is stored of a frontend; whether it is active is found out by reading. */
export type FrontendDraft = Omit<CustomFrontend, "isActive">;

const policyColumn = jsonColumn<FrontendPolicy>(
  "custom_frontends.policy",
  z.object({
    publicPaths: z.array(z.string()),
    emailPatterns: z.array(z.string()),
    requiredClaims: jsonObject,
  } satisfies MembersOf<FrontendPolicy>),
);

async function toFrontends(reader: Reader, rows: readonly CustomFrontendRow[]): Promise<CustomFrontend[]> {
  if (rows.length === 0) return [];
  const accepted = await reader
    .selectFrom("custom_frontend_providers as f")
    .innerJoin("auth_providers as p", "p.id", "f.provider_id")
    .select(["f.frontend_id", "p.id", "p.enabled"])
    .where(
      "f.frontend_id",
      "in",
      rows.map(({ id }) => id),
    )
    .orderBy("f.frontend_id")
    .orderBy("f.position")
    .execute();
  return rows.map((row) => {
    const own = accepted.filter(({ frontend_id: id }) => id === row.id);
    return {
      id: row.id,
      frontdoorId: row.frontdoor_id,
      hostname: row.hostname,
      providerIds: own.map(({ id }) => id),
      policy: policyColumn.decode(row.policy),
      isActive: own.some(({ enabled }) => enabled === 1),
    };
  });
}

/** Finds a frontend by its id in lower case, whichever frontdoor's it is. */
export async function findFrontend(reader: Reader, id: string): Promise<CustomFrontend | undefined> {
  if (!isUuid(id)) return undefined;
  const rows = await reader.selectFrom("custom_frontends").selectAll().where("id", "=", id).execute();
  const [frontend] = await toFrontends(reader, rows);
  return frontend;
}

/** Frontends of a frontdoor after an id, oldest first. */
export async function findFrontends(
  reader: Reader,
  frontdoorId: string,
  { afterId, limit }: { readonly afterId: string; readonly limit: number },
): Promise<CustomFrontend[]> {
  const rows = await reader
    .selectFrom("custom_frontends")
    .selectAll()
    .where("frontdoor_id", "=", frontdoorId)
    .where("id", ">", afterId)
    .orderBy("id")
    .limit(limit)
    .execute();
  return await toFrontends(reader, rows);
}

/** Stores a new frontend. @throws a unique violation when the host name is taken */
export async function insertFrontend(tx: Tx, frontend: FrontendDraft, now: Date): Promise<void> {
  await tx
    .insertInto("custom_frontends")
    .values({
      id: frontend.id,
      frontdoor_id: frontend.frontdoorId,
      hostname: frontend.hostname,
      policy: policyColumn.encode(frontend.policy),
      created_at: now.getTime(),
      updated_at: now.getTime(),
    })
    .execute();
  await insertAccepted(tx, frontend);
}

/** Stores a frontend as it is now. @throws a unique violation when the host name is taken */
export async function updateFrontend(tx: Tx, frontend: FrontendDraft, now: Date): Promise<void> {
  await tx
    .updateTable("custom_frontends")
    .set({
      hostname: frontend.hostname,
      policy: policyColumn.encode(frontend.policy),
      updated_at: now.getTime(),
    })
    .where("id", "=", frontend.id)
    .execute();
  await tx.deleteFrom("custom_frontend_providers").where("frontend_id", "=", frontend.id).execute();
  await insertAccepted(tx, frontend);
}

async function insertAccepted(tx: Tx, { id, providerIds }: FrontendDraft): Promise<void> {
  if (providerIds.length === 0) return;
  await tx
    .insertInto("custom_frontend_providers")
    .values(
      providerIds.map((providerId, position) => ({ frontend_id: id, position, provider_id: providerId })),
    )
    .execute();
}

/** Removes a frontend. */
export async function deleteFrontend(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom("custom_frontends").where("id", "=", id).execute();
}
