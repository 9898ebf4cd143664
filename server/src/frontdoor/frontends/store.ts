import { sql } from "kysely";
import { z } from "zod";
import type { Reader, Tx } from "../../db/database.ts";
import { jsonColumn, jsonObject, type MembersOf } from "../../db/json-column.ts";
import { prepared } from "../../db/prepared.ts";
import type { CustomFrontendRow } from "../../db/schema.ts";
import { isUuid } from "../../lib/ids.ts";
import type { IdRange } from "../../lib/page-token.ts";
import type { ProviderTypeName } from "../provider-types/provider-type.ts";
import { dataColumn, sealedSecretsColumn } from "../providers/columns.ts";
import { withMasks } from "../providers/definition.ts";
import {
  type AcceptedProvider,
  type ApiKeyRate,
  type CustomFrontend,
  defaultPolicy,
  type FrontendAtHost,
  type FrontendPolicy,
} from "./frontend.ts";
import { toWildcard } from "./hostname.ts";

/** What is stored of a frontend; whether it is active is found out by reading. */
export type FrontendDraft = Omit<CustomFrontend, "isActive">;

/** What was stored before a member came lacks it, and reads as if it had not been said. */
type StoredPolicy = Pick<FrontendPolicy, "publicPaths" | "emailPatterns" | "requiredClaims"> &
  Partial<FrontendPolicy>;

const texts = z.array(z.string());

const policyColumn = jsonColumn<StoredPolicy>(
  "custom_frontends.policy",
  z.object({
    publicPaths: texts,
    protectedPaths: z.exactOptional(texts),
    emailPatterns: texts,
    requiredClaims: jsonObject,
    corsPreflight: z.exactOptional(z.boolean()),
    sessionMaxAge: z.exactOptional(z.int()),
    apiKeyRate: z.exactOptional(
      z.object({ requests: z.int(), perSeconds: z.int() } satisfies MembersOf<ApiKeyRate>),
    ),
  } satisfies MembersOf<FrontendPolicy>),
);

function toFrontend(
  row: CustomFrontendRow,
  providers: readonly { readonly id: string; readonly enabled: boolean }[],
): CustomFrontend {
  return {
    id: row.id,
    frontdoorId: row.frontdoor_id,
    hostname: row.hostname,
    providerIds: providers.map(({ id }) => id),
    policy: { ...defaultPolicy, ...policyColumn.decode(row.policy) },
    authorization: row.authorization_use,
    scheme: row.scheme,
    assertionHeader: row.assertion_header,
    isActive: providers.some(({ enabled }) => enabled),
  };
}

function toColumns({ hostname, policy, authorization, scheme, assertionHeader }: FrontendDraft) {
  return {
    hostname,
    policy: policyColumn.encode(policy),
    authorization_use: authorization,
    scheme,
    assertion_header: assertionHeader,
  };
}

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
    return toFrontend(
      row,
      own.map(({ id, enabled }) => ({ id, enabled: enabled === 1 })),
    );
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
  { afterId, limit }: IdRange,
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

const selectAtHost = prepared(
  (database, { frontdoorId, host, wildcard }: { frontdoorId: string; host: string; wildcard: string }) =>
    database
      .selectFrom((inner) =>
        inner
          .selectFrom("custom_frontends")
          .selectAll()
          .where("frontdoor_id", "=", frontdoorId)
          .where(sql<boolean>`hostname in (${host}, ${wildcard})`)
          // An asterisk sorts before all that a host name begins with.
          .orderBy("hostname", "desc")
          .limit(sql.lit(1))
          .as("f"),
      )
      .innerJoin("frontdoors as d", "d.id", "f.frontdoor_id")
      .innerJoin("organizations as o", "o.id", "d.org_id")
      .leftJoin("custom_frontend_providers as a", "a.frontend_id", "f.id")
      .leftJoin("auth_providers as p", "p.id", "a.provider_id")
      .leftJoin("auth_provider_revisions as r", (join) =>
        join.onRef("r.provider_id", "=", "p.id").onRef("r.revision", "=", "p.revision"),
      )
      .selectAll("f")
      .select([
        "d.org_id",
        "o.state",
        "p.id as provider_id",
        "p.name as provider_name",
        "p.type",
        "p.enabled",
        "p.revision",
        "p.sessions_from",
        "r.data",
        "r.sealed_secrets",
      ])
      .where("d.deleted_at", "is", null)
      .orderBy("a.position"),
);

/**
 * The frontend of a frontdoor that answers at a host: the one that names it,
 * else the one whose wildcard it fits. With its providers, in one statement, so
 * that no decision mixes what never was at one moment.
 *
 * @param frontdoorId in lower case.
 * @param host in lower case, without the port that its scheme has by itself.
 */
export async function findFrontendAtHost(
  reader: Reader,
  frontdoorId: string,
  host: string,
): Promise<FrontendAtHost | undefined> {
  if (!isUuid(frontdoorId)) return undefined;
  const rows = await selectAtHost.all(reader, { frontdoorId, host, wildcard: toWildcard(host) });
  const [first] = rows;
  if (first === undefined) return undefined;
  const providers = rows.flatMap(toAccepted);
  return {
    ...toFrontend(first, providers),
    orgId: first.org_id,
    isOpen: first.state === "enabled",
    providers,
  };
}

type AtHostRow = Awaited<ReturnType<typeof selectAtHost.all>>[number];

function toAccepted(row: AtHostRow): AcceptedProvider[] {
  const { provider_id: id, provider_name: name, type, enabled, revision, data } = row;
  const { sessions_from: sessionsFrom, sealed_secrets: sealed } = row;
  if (id === null || name === null || revision === null) return [];
  if (sessionsFrom === null || data === null || sealed === null) return [];
  return [
    {
      id,
      name,
      type: type as ProviderTypeName,
      enabled: enabled === 1,
      revision,
      sessionsFrom,
      data: withMasks(dataColumn.decode(data), Object.keys(sealedSecretsColumn.decode(sealed))),
    },
  ];
}

/** Frontdoors that have a frontend of that very host name, at most ten, oldest first. */
export async function findFrontdoorIdsByHostname(reader: Reader, hostname: string): Promise<string[]> {
  const rows = await reader
    .selectFrom("custom_frontends as f")
    .innerJoin("frontdoors as d", "d.id", "f.frontdoor_id")
    .select("d.id")
    .where("f.hostname", "=", hostname)
    .where("d.deleted_at", "is", null)
    .orderBy("d.id")
    .limit(10)
    .execute();
  return rows.map(({ id }) => id);
}

/** Stores a new frontend. @throws a unique violation when the host name is taken */
export async function insertFrontend(tx: Tx, frontend: FrontendDraft, now: Date): Promise<void> {
  await tx
    .insertInto("custom_frontends")
    .values({
      id: frontend.id,
      frontdoor_id: frontend.frontdoorId,
      ...toColumns(frontend),
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
    .set({ ...toColumns(frontend), updated_at: now.getTime() })
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
