/**
 * Credentials of service users: client secrets, opaque tokens, key pairs.
 *
 * Owns their rows. A service user may have many that are valid at once, so
 * that one can be replaced without an outage. A credential of another service
 * user, or of another kind, is not found. Secrets, tokens and private keys are
 * answered by the call that makes them and never stored.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { invalidField } from "../lib/invalid-request.ts";
import { hashSecret, newSecret } from "../lib/secrets.ts";
import { type Access, requireProven } from "../organizations/access.ts";
import type { Caller } from "../principals/principal.ts";
import { toPublicJwk } from "../signatures/public-jwk.ts";
import { generateSigningKeyPair } from "../signatures/signing.ts";
import { getServiceUserIn, lockWritable, reads, type ServiceUserRef, writes } from "./access.ts";
import type { ClientSecret, Credential, CredentialKind, KeyPair, OpaqueToken } from "./credential.ts";
import * as store from "./credential-store.ts";
import { readPublicJwk } from "./public-jwk.ts";
import type { ServiceUser } from "./service-user.ts";
import { findServiceUser } from "./store.ts";

/** How many credentials of a service user may be live at once, of all kinds together. */
const maxLiveCredentials = 5000;

/** Longest overlap of a rotation, and the one that is taken when none is stated, in seconds. */
export const overlapLimits = { defaultSeconds: 86_400, mostSeconds: 30 * 86_400 } as const;

/** How long an expired credential is kept to be looked at. */
const expiredKeptMs = 90 * 86_400_000;

/** What a caller says of a new credential. */
export interface CredentialDraft {
  readonly title: string;
  /** In the future and not beyond the longest lifetime; absent for the one that is configured, if one is. */
  readonly expiresAt?: Date;
}

/** A credential as a request names it. */
export interface CredentialRef extends ServiceUserRef {
  readonly credentialId: string;
}

/** A secret or token as stored, and in the clear: the only time it is known. */
export interface MadeSecret<C extends Credential> {
  readonly record: C;
  readonly secret: string;
}

/** Parts that credentials of machines stand on, and their longest lives. */
export interface CredentialServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly lifetimes: CredentialLifetimes;
  /** Default {@link maxLiveCredentials}. */
  readonly maxLiveCredentials?: number;
}

/** How long new credentials live. */
export interface CredentialLifetimes {
  /** Of one that is made without an expiry; undefined if it does not expire. */
  readonly validitySeconds: number | undefined;
  /** Of any; undefined if that is for its maker to say. */
  readonly longestValiditySeconds: number | undefined;
}

/** What the audit calls each kind. */
const actionsOf = {
  secret: { create: "credential.create", delete: "credential.delete" },
  key: { create: "key.create", delete: "key.delete" },
  token: { create: "token.create", delete: "token.delete" },
} as const satisfies Record<CredentialKind, object>;

type CredentialOf<K extends CredentialKind> = Extract<Credential, { kind: K }>;

/** Manages the credentials of service users. */
export class CredentialService {
  readonly #database: Database;
  readonly #feed: Pick<ChangeFeed, "append">;
  readonly #access: Access;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #lifetimes: CredentialLifetimes;
  readonly #maxLive: number;

  constructor(options: CredentialServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#access = options.access;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#lifetimes = options.lifetimes;
    this.#maxLive = options.maxLiveCredentials ?? maxLiveCredentials;
  }

  /** Makes a client secret. @throws as {@link createKeyPair} */
  async createSecret(
    caller: Caller,
    ref: ServiceUserRef,
    draft: CredentialDraft,
  ): Promise<MadeSecret<ClientSecret>> {
    const secret = newSecret("vsts");
    const own = { kind: "secret", secretHash: hashSecret(secret), bootstrap: false } as const;
    return { record: await this.#create(caller, ref, draft, async () => own), secret };
  }

  /** Makes an opaque token. @throws as {@link createKeyPair} */
  async createToken(
    caller: Caller,
    ref: ServiceUserRef,
    draft: CredentialDraft,
  ): Promise<MadeSecret<OpaqueToken>> {
    const secret = newSecret("vstt");
    const own = { kind: "token", secretHash: hashSecret(secret) } as const;
    return { record: await this.#create(caller, ref, draft, async () => own), secret };
  }

  /**
   * Registers the caller's public key, or makes an RSA key pair and answers
   * its private half as PKCS#8 PEM.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND, NOT_AUTHORIZED, ADDRESS_UNPROVEN, TOO_MANY_CREDENTIALS;
   *   INVALID_REQUEST for an expiry that is past or too far away, or a key that is not acceptable.
   */
  async createKeyPair(
    caller: Caller,
    ref: ServiceUserRef,
    draft: CredentialDraft & { readonly publicJwk?: Readonly<Record<string, unknown>> },
  ): Promise<{ record: KeyPair; privateKeyPem?: string }> {
    const { publicJwk, ...rest } = draft;
    if (publicJwk !== undefined) {
      const own = async (id: string) => ({ kind: "key", publicJwk: readPublicJwk(publicJwk, id) }) as const;
      return { record: await this.#create(caller, ref, rest, own) };
    }
    let privateKeyPem = "";
    const record = await this.#create(caller, ref, rest, async (id) => {
      const { publicKey, privateKey } = await generateSigningKeyPair("RS256");
      privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
      return { kind: "key", publicJwk: toPublicJwk(publicKey, id) } as const;
    });
    return { record, privateKeyPem };
  }

  /** Those of one kind, oldest first, expired ones included. @throws DomainError SERVICE_USER_NOT_FOUND */
  async list<K extends CredentialKind>(
    caller: Caller,
    ref: ServiceUserRef,
    kind: K,
  ): Promise<CredentialOf<K>[]> {
    const { organization } = await this.#access.require(caller.principal, ref.org, reads);
    const { reader } = this.#database;
    const serviceUser = await getServiceUserIn(reader, organization.id, ref.id);
    return await store.findCredentials(reader, serviceUser.id, kind);
  }

  /** @throws DomainError SERVICE_USER_NOT_FOUND, CREDENTIAL_NOT_FOUND */
  async getKeyPair(caller: Caller, ref: CredentialRef): Promise<KeyPair> {
    const { reader } = this.#database;
    const orgId = ref.org === "" ? await this.#getOrgOf(caller, ref.id) : await this.#getOrg(caller, ref.org);
    const serviceUser = await getServiceUserIn(reader, orgId, ref.id);
    return requireOf(serviceUser, "key", await store.findCredential(reader, ref.credentialId.toLowerCase()));
  }

  /**
   * Deletes a credential; it and the tokens made with it are refused at once.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND, NOT_AUTHORIZED, CREDENTIAL_NOT_FOUND
   */
  async delete(caller: Caller, ref: CredentialRef, kind: CredentialKind): Promise<void> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      const target = await lockWritable(tx, caller, granted, ref.id);
      const found = await store.findCredential(tx, ref.credentialId.toLowerCase());
      const credential = requireOf(target, kind, found);
      await store.deleteCredential(tx, credential.id);
      await this.#audit.record(tx, caller, {
        action: actionsOf[credential.kind].delete,
        ...toRecorded(credential),
      });
      await this.#feed.append(tx, { topic: "credential", subject: credential.id });
    });
  }

  /**
   * Makes a secret that succeeds another, which lives on for the overlap and
   * never longer than it would have. One transaction.
   *
   * @param overlapSeconds 0 to {@link overlapLimits}; with 0 the old one is refused at once.
   * @param expiresAt when the new one expires; see {@link CredentialDraft}.
   * @throws DomainError as {@link createSecret}; CREDENTIAL_NOT_FOUND
   */
  async rotateSecret(
    caller: Caller,
    ref: CredentialRef,
    { overlapSeconds, expiresAt: asked }: { readonly overlapSeconds: number; readonly expiresAt?: Date },
  ): Promise<MadeSecret<ClientSecret> & { readonly replaced: ClientSecret }> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    requireProven(caller.principal);
    const now = this.#clock.now();
    checkOverlap(overlapSeconds);
    const expiresAt = this.#toExpiry(asked, now);
    const secret = newSecret("vsts");
    return await this.#database.transaction(async (tx) => {
      const target = await lockWritable(tx, caller, granted, ref.id);
      const found = await store.findCredential(tx, ref.credentialId.toLowerCase());
      const old = requireOf(target, "secret", found);
      const replaced = { ...old, expiresAt: endOfOverlap(old, now, overlapSeconds) };
      await store.updateCredentialExpiry(tx, replaced.id, replaced.expiresAt);
      const record: ClientSecret = {
        id: newId(now),
        serviceUserId: target.id,
        orgId: target.orgId,
        kind: "secret",
        title: old.title,
        secretHash: hashSecret(secret),
        bootstrap: false,
        createdAt: now,
        ...(expiresAt && { expiresAt }),
      };
      await this.#insert(tx, record, now);
      const { details, ...about } = toRecorded(replaced);
      await this.#audit.record(tx, caller, {
        action: "credential.rotate",
        ...about,
        details: { ...details, successor_id: record.id },
      });
      await this.#feed.append(tx, { topic: "credential", subject: replaced.id });
      return { record, secret, replaced };
    });
  }

  /** @param makeOwn makes what only this kind has; called once the caller is known to be allowed. */
  async #create<Own extends Pick<Credential, "kind">>(
    caller: Caller,
    ref: ServiceUserRef,
    { title, expiresAt: asked }: CredentialDraft,
    makeOwn: (id: string) => Promise<Own>,
  ): Promise<CredentialOf<Own["kind"]>> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    requireProven(caller.principal);
    const now = this.#clock.now();
    const expiresAt = this.#toExpiry(asked, now);
    await getServiceUserIn(this.#database.reader, granted.organization.id, ref.id);
    const id = newId(now);
    const own = await makeOwn(id);
    return await this.#database.transaction(async (tx) => {
      const target = await lockWritable(tx, caller, granted, ref.id);
      const owner = { serviceUserId: target.id, orgId: target.orgId };
      const base = { ...owner, id, title, createdAt: now, ...(expiresAt && { expiresAt }) };
      const credential = { ...own, ...base } as unknown as CredentialOf<Own["kind"]>;
      await this.#insert(tx, credential, now);
      await this.#audit.record(tx, caller, {
        action: actionsOf[credential.kind].create,
        ...toRecorded(credential),
      });
      return credential;
    });
  }

  /** @throws DomainError INVALID_REQUEST for one that is past, or beyond the longest lifetime. */
  #toExpiry(asked: Date | undefined, now: Date): Date | undefined {
    const { validitySeconds, longestValiditySeconds = Number.POSITIVE_INFINITY } = this.#lifetimes;
    if (asked === undefined) {
      return validitySeconds === undefined ? undefined : new Date(now.getTime() + validitySeconds * 1000);
    }
    const awayMs = asked.getTime() - now.getTime();
    if (!(awayMs > 0)) throw invalidField("expires_at", "must be in the future");
    if (awayMs > longestValiditySeconds * 1000) {
      throw invalidField("expires_at", `must be at most ${longestValiditySeconds} seconds away`);
    }
    return asked;
  }

  async #insert(tx: Tx, credential: Credential, now: Date): Promise<void> {
    const { serviceUserId } = credential;
    await store.deleteExpiredCredentials(tx, serviceUserId, new Date(now.getTime() - expiredKeptMs));
    const liveCount = await store.countLiveCredentials(tx, serviceUserId, now);
    if (liveCount >= this.#maxLive) throw new DomainError("TOO_MANY_CREDENTIALS");
    await store.insertCredential(tx, credential);
  }

  async #getOrg(caller: Caller, org: string): Promise<string> {
    const { organization } = await this.#access.require(caller.principal, org, reads);
    return organization.id;
  }

  /** A service user's own organization; one in which the caller has no role hides its service users. */
  async #getOrgOf(caller: Caller, serviceUserId: string): Promise<string> {
    const found = await findServiceUser(this.#database.reader, serviceUserId.toLowerCase());
    if (found === undefined) throw new DomainError("SERVICE_USER_NOT_FOUND");
    try {
      return await this.#getOrg(caller, found.orgId);
    } catch (error) {
      const isForeign = error instanceof DomainError && error.reason === "NOT_AUTHORIZED";
      throw isForeign ? new DomainError("SERVICE_USER_NOT_FOUND", { cause: error }) : error;
    }
  }
}

function requireOf<K extends CredentialKind>(
  serviceUser: ServiceUser,
  kind: K,
  credential: Credential | undefined,
): CredentialOf<K> {
  if (credential?.serviceUserId !== serviceUser.id || credential.kind !== kind) {
    throw new DomainError("CREDENTIAL_NOT_FOUND");
  }
  return credential as CredentialOf<K>;
}

function checkOverlap(overlapSeconds: number): void {
  if (overlapSeconds >= 0 && overlapSeconds <= overlapLimits.mostSeconds) return;
  throw invalidField("overlap_seconds", `must be 0 to ${overlapLimits.mostSeconds}`);
}

function endOfOverlap(old: ClientSecret, now: Date, overlapSeconds: number): Date {
  const end = new Date(now.getTime() + overlapSeconds * 1000);
  return old.expiresAt !== undefined && old.expiresAt < end ? old.expiresAt : end;
}

/** What a record of a change of a credential carries. */
function toRecorded({ id, title, expiresAt, serviceUserId, orgId }: Credential) {
  const ends = expiresAt && { expires_at: expiresAt.toISOString() };
  return { target: id, orgId, details: { service_user_id: serviceUserId, title, ...ends } };
}
