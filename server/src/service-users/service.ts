/**
 * Service users and their client secrets: the rules.
 *
 * Owns the rows of service users and everything that hangs on one. Every
 * operation first asks whether the caller may act in the organization, then
 * works on the pair (organization, service user): an id of another
 * organization, and a credential of another service user, is not found. A
 * service user with a role above the caller's is out of its reach: whoever can
 * make a secret for it could act as it.
 */
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Reader, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { hashSecret, newSecret } from "../lib/secrets.ts";
import { type Access, type GrantedAccess, isAtLeast } from "../organizations/access.ts";
import type { Caller, Role } from "../principals/principal.ts";
import type { ServiceUser, ServiceUserSecret } from "./service-user.ts";
import * as store from "./store.ts";

/** The writable part of a service user. */
export interface ServiceUserDraft {
  readonly title: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly role: Role;
}

/** A service user, as a request names it. */
export interface ServiceUserRef {
  readonly id: string;
  /** The organization's id or name. */
  readonly org: string;
}

export interface ServiceUserServiceOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly access: Access;
  readonly clock: Clock;
}

/** Largest metadata, in bytes of JSON. */
const metadataBytes = 16 * 1024;

const reads = { role: "viewer", writes: false } as const;
const writes = { role: "manager", writes: true } as const;

/** Manages service users and their client secrets. */
export class ServiceUserService {
  readonly #database: Database;
  readonly #feed: ChangeFeed;
  readonly #access: Access;
  readonly #clock: Clock;

  constructor(options: ServiceUserServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#access = options.access;
    this.#clock = options.clock;
  }

  /** @throws DomainError NOT_AUTHORIZED when the role is above the caller's own. */
  async create(caller: Caller, org: string, draft: ServiceUserDraft): Promise<ServiceUser> {
    const { organization, role } = await this.#access.require(caller.principal, org, writes);
    if (!isAtLeast(role, draft.role)) {
      throw new DomainError("NOT_AUTHORIZED", { detail: `a ${role} cannot grant the role ${draft.role}` });
    }
    checkMetadata(draft.metadata);
    const now = this.#clock.now();
    const serviceUser: ServiceUser = {
      ...draft,
      id: newId(now),
      orgId: organization.id,
      state: "enabled",
      superuser: false,
      createdAt: now,
      updatedAt: now,
    };
    await this.#database.transaction((tx) => store.insertServiceUser(tx, serviceUser));
    return serviceUser;
  }

  /** @throws DomainError SERVICE_USER_NOT_FOUND */
  async get(caller: Caller, ref: ServiceUserRef): Promise<ServiceUser> {
    const { organization } = await this.#access.require(caller.principal, ref.org, reads);
    return await this.#getIn(this.#database.reader, organization.id, ref.id);
  }

  /** Oldest first; of one state if given. */
  async list(caller: Caller, org: string, state?: ServiceUser["state"]): Promise<ServiceUser[]> {
    const { organization } = await this.#access.require(caller.principal, org, reads);
    return await store.findServiceUsers(this.#database.reader, organization.id, state);
  }

  /**
   * Deletes a service user and its credentials in one transaction.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND, SUPERUSER_PROTECTED
   */
  async delete(caller: Caller, ref: ServiceUserRef): Promise<void> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      const target = await this.#getWritable(tx, caller, granted, ref.id);
      if (target.superuser) throw new DomainError("SUPERUSER_PROTECTED");
      await store.deleteServiceUser(tx, target.id);
      await this.#feed.append(tx, { topic: "service-user", subject: target.id });
    });
  }

  /**
   * Makes a client secret and answers it, this once.
   *
   * @param expiresAt in the future, or absent for a secret that does not expire.
   */
  async createSecret(
    caller: Caller,
    ref: ServiceUserRef,
    draft: { readonly title: string; readonly expiresAt?: Date },
  ): Promise<{ record: ServiceUserSecret; secret: string }> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    const now = this.#clock.now();
    if (draft.expiresAt !== undefined && draft.expiresAt <= now) throw expiresInThePast();
    const secret = newSecret("vsts");
    const record = await this.#database.transaction(async (tx) => {
      const target = await this.#getWritable(tx, caller, granted, ref.id);
      const made: ServiceUserSecret = {
        ...draft,
        id: newId(now),
        serviceUserId: target.id,
        secretHash: hashSecret(secret),
        bootstrap: false,
        createdAt: now,
      };
      await store.insertSecret(tx, made);
      return made;
    });
    return { record, secret };
  }

  /** Oldest first. @throws DomainError SERVICE_USER_NOT_FOUND */
  async listSecrets(caller: Caller, ref: ServiceUserRef): Promise<ServiceUserSecret[]> {
    const serviceUser = await this.get(caller, ref);
    return await store.findSecrets(this.#database.reader, serviceUser.id);
  }

  /** @throws DomainError SERVICE_USER_NOT_FOUND, CREDENTIAL_NOT_FOUND */
  async deleteSecret(caller: Caller, ref: ServiceUserRef, secretId: string): Promise<void> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    const id = secretId.toLowerCase();
    await this.#database.transaction(async (tx) => {
      const target = await this.#getWritable(tx, caller, granted, ref.id);
      if (!(await store.deleteSecret(tx, id, target.id))) throw new DomainError("CREDENTIAL_NOT_FOUND");
      await this.#feed.append(tx, { topic: "credential", subject: id });
    });
  }

  async #getIn(reader: Reader, orgId: string, id: string): Promise<ServiceUser> {
    const serviceUser = await store.findServiceUser(reader, id.toLowerCase());
    if (serviceUser?.orgId !== orgId) throw new DomainError("SERVICE_USER_NOT_FOUND");
    return serviceUser;
  }

  /** A service user that the caller may change: none with a role above the caller's own. */
  async #getWritable(tx: Tx, caller: Caller, granted: GrantedAccess, id: string): Promise<ServiceUser> {
    const target = await this.#getIn(tx, granted.organization.id, id);
    const isAbove = target.superuser || !isAtLeast(granted.role, target.role);
    if (isAbove && !caller.principal.superuser) {
      throw new DomainError("NOT_AUTHORIZED", { detail: "the service user's role is above the caller's" });
    }
    return target;
  }
}

function expiresInThePast(): DomainError {
  const description = "must be in the future";
  return new DomainError("INVALID_REQUEST", {
    message: `expires_at: ${description}`,
    violations: [{ field: "expires_at", description }],
  });
}

function checkMetadata(metadata: object): void {
  if (Buffer.byteLength(JSON.stringify(metadata)) <= metadataBytes) return;
  const description = `must be at most ${metadataBytes} bytes as JSON`;
  throw new DomainError("INVALID_REQUEST", {
    message: `body.metadata: ${description}`,
    violations: [{ field: "body.metadata", description }],
  });
}
