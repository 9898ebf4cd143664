/** A session at a frontend, as one is stored for somebody who has signed in there through an OpenID Connect provider. */
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import type { BenchGate } from "./gate.ts";
import { hostname } from "./gate.ts";

const identity = {
  subject: "ada",
  name: "Ada",
  email: "ada@example.com",
  emailVerified: true,
  organizations: [],
  groups: ["dev", "ops"],
  claims: { sub: "ada", name: "Ada", email: "ada@example.com", email_verified: true },
};

const device = {
  operatingSystem: "Linux",
  browser: "Firefox",
  ipAddress: "192.0.2.7",
  city: "",
  country: "",
  latitude: "",
  longitude: "",
};

/** Stores one past the server that runs, and answers what a browser sends. It is asked about again in an hour. */
export function beginSession(
  dataDir: string,
  {
    frontdoorId,
    frontendId,
    oidcProviderId,
  }: Pick<BenchGate, "frontdoorId" | "frontendId" | "oidcProviderId">,
): string {
  const value = randomBytes(32).toString("base64url");
  const now = Date.now();
  const database = new Sqlite(join(dataDir, "vestibule.db"));
  database
    .prepare(
      `insert into gate_sessions (id, secret_hash, frontdoor_id, frontend_id, host, provider_id, provider_revision,
        subject, identity, renew_at, device, created_at, last_used_at, expires_at)
      values ('01900000-0000-7000-8000-00000000beac', ?, ?, ?, ?, ?, 1, 'ada', ?, ?, ?, ?, ?, ?)`,
    )
    .run(
      createHash("sha256").update(value).digest("base64url"),
      ...[frontdoorId, frontendId, hostname, oidcProviderId],
      ...[JSON.stringify(identity), now + 3_600_000, JSON.stringify(device), now, now, now + 86_400_000],
    );
  database.close();
  return `__Host-vestibule=${value}`;
}
