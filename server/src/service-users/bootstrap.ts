/**
 * The first credential.
 *
 * Someone has to be able to create the first service user: organization
 * `default` and a superuser in it exist from the first start. Its credential
 * is made then, or is the configured one, at every start.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import { lockForTransaction } from "../db/dialect.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import { hashSecret, newSecret } from "../lib/secrets.ts";
import { defaultOrganizationName, type Organization } from "../organizations/organization.ts";
import { findOrganization, insertOrganizationIfAbsent } from "../organizations/store.ts";
import type { Credential } from "./credential.ts";
import * as credentials from "./credential-store.ts";
import type { ServiceUser } from "./service-user.ts";
import * as store from "./store.ts";

/** A client id and secret, in the clear. */
export interface BootstrapCredential {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** What the superuser and its credential are called. */
const title = "Bootstrap";

/** Advisory lock of Postgres: of processes that start together, one makes what is missing. */
const bootstrapLockKey = 7_400_003;

/** The configured client id is somebody else's. */
export class BootstrapConflictError extends Error {
  override readonly name = "BootstrapConflictError";
}

/**
 * Makes sure that the superuser has its credential, in one transaction.
 *
 * A configured credential replaces an earlier bootstrap credential, generated
 * or configured, which is refused from then on.
 *
 * @returns the credential if one was generated now: the only time it is known.
 * @throws BootstrapConflictError when the id belongs to another service user.
 */
export async function ensureBootstrap(options: {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly clock: Clock;
  readonly configured: BootstrapCredential | undefined;
}): Promise<BootstrapCredential | undefined> {
  const { database, feed, audit, clock, configured } = options;
  const now = clock.now();

  async function record(
    tx: Tx,
    action: "credential.create" | "credential.delete",
    id: string,
    superuser: ServiceUser,
  ): Promise<void> {
    const details = { service_user_id: superuser.id, title };
    await audit.recordOwn(tx, "server", { action, target: id, orgId: superuser.orgId, details });
  }

  async function ensureOrganization(tx: Tx): Promise<Organization> {
    const found = await findOrganization(tx, defaultOrganizationName);
    if (found !== undefined) return found;
    await insertOrganizationIfAbsent(tx, {
      id: newId(now),
      name: defaultOrganizationName,
      title: "Default",
      metadata: {},
      avatar: "",
      state: "enabled",
      createdAt: now,
      updatedAt: now,
    });
    const stored = await findOrganization(tx, defaultOrganizationName);
    if (stored === undefined) throw new Error("organization default could not be created");
    return stored;
  }

  async function ensureSuperuser(tx: Tx): Promise<ServiceUser> {
    const found = await store.findSuperuser(tx);
    if (found !== undefined) return found;
    const organization = await ensureOrganization(tx);
    const made: ServiceUser = {
      id: newId(now),
      orgId: organization.id,
      title,
      metadata: {},
      role: "owner",
      state: "enabled",
      superuser: true,
      createdAt: now,
      updatedAt: now,
    };
    await store.insertServiceUser(tx, made);
    await audit.recordOwn(tx, "server", {
      action: "service_user.create",
      target: made.id,
      orgId: made.orgId,
      details: { title, role: made.role },
    });
    return made;
  }

  async function insert(tx: Tx, superuser: ServiceUser, credential: BootstrapCredential): Promise<void> {
    const id = credential.clientId.toLowerCase();
    await credentials.insertCredential(tx, {
      id,
      serviceUserId: superuser.id,
      orgId: superuser.orgId,
      kind: "secret",
      title,
      secretHash: hashSecret(credential.clientSecret),
      bootstrap: true,
      createdAt: now,
    });
    await record(tx, "credential.create", id, superuser);
  }

  async function ensureConfigured(
    tx: Tx,
    superuser: ServiceUser,
    credential: BootstrapCredential,
  ): Promise<void> {
    const id = credential.clientId.toLowerCase();
    const secretHash = hashSecret(credential.clientSecret);
    const stored = await credentials.findCredential(tx, id);
    if (stored !== undefined && stored.serviceUserId !== superuser.id) {
      throw new BootstrapConflictError("bootstrap.client_id: is the credential of another service user");
    }
    if (isInForce(stored, secretHash)) return;
    const replaced = (await credentials.findCredentials(tx, superuser.id)).filter(
      (one) => (one.kind === "secret" && one.bootstrap) || one.id === id,
    );
    for (const one of replaced) {
      await credentials.deleteCredential(tx, one.id);
      await record(tx, "credential.delete", one.id, superuser);
    }
    await insert(tx, superuser, credential);
    await feed.append(tx, ...replaced.map(({ id: subject }) => ({ topic: "credential", subject }) as const));
  }

  return await database.transaction(async (tx) => {
    await lockForTransaction(tx, bootstrapLockKey);
    await ensureOrganization(tx);
    const superuser = await ensureSuperuser(tx);
    if (configured !== undefined) {
      await ensureConfigured(tx, superuser, configured);
      return undefined;
    }
    if ((await credentials.findCredentials(tx, superuser.id)).length > 0) return undefined;
    const generated = { clientId: newId(now), clientSecret: newSecret("vsts") };
    await insert(tx, superuser, generated);
    return generated;
  });
}

/** Whether the configured credential is there as it should be: one that was rotated away has an expiry. */
function isInForce(stored: Credential | undefined, secretHash: string): boolean {
  if (stored?.kind !== "secret" || !stored.bootstrap) return false;
  return stored.secretHash === secretHash && stored.expiresAt === undefined;
}
