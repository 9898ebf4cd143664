/** What is stored of sessions at frontends as JSON, and under seal. */
import { z } from "zod";
import { jsonColumn, jsonObject, type MembersOf } from "../../db/json-column.ts";
import { placeOf, type SealedColumn, type Sealer } from "../../encryption/sealer.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { Device } from "../../sessions/session.ts";
import type { StoredIdentity } from "./gate-session.ts";

/** Who a provider said it is, as JSON. */
export const identitySchema = z.object({
  subject: z.string(),
  name: z.exactOptional(z.string()),
  email: z.exactOptional(z.string()),
  emailVerified: z.boolean(),
  organizations: z.array(z.string()),
  groups: z.array(z.string()),
  claims: jsonObject,
} satisfies MembersOf<StoredIdentity>);

/** Who a provider said it is. */
export const identityColumn = jsonColumn<StoredIdentity>("gate_sessions.identity", identitySchema);

/** Browser and place. */
export const deviceColumn = jsonColumn<Device>(
  "gate_sessions.device",
  z.object({
    operatingSystem: z.string(),
    browser: z.string(),
    ipAddress: z.string(),
    city: z.string(),
    country: z.string(),
    latitude: z.string(),
    longitude: z.string(),
  } satisfies MembersOf<Device>),
);

/** Where sessions keep what their provider is asked again by. */
export const keptColumn: SealedColumn = {
  purpose: "gate-session",
  table: "gate_sessions",
  column: "sealed_kept",
  keyColumns: ["id"],
};

const metadataColumn = jsonColumn<Metadata>("gate_sessions.sealed_kept", jsonObject);

/** Seals what a session's provider is asked again by. */
export function sealKept(sealer: Sealer, id: string, kept: Metadata): string {
  return sealer.seal(placeOf(keptColumn, [id]), Buffer.from(metadataColumn.encode(kept)));
}

/** Opens it. @throws Error when its key is not configured, or the value is damaged */
export function openKept(sealer: Sealer, id: string, sealed: string): Metadata {
  return metadataColumn.decode(sealer.open(placeOf(keptColumn, [id]), sealed).toString("utf8"));
}
