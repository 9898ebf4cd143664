/**
 * Proves service users: by a client secret, an opaque token, a key that signed
 * an assertion, or the subject of an access token whose signature is already
 * known to be good.
 *
 * Reads go through caches that the change feed invalidates, so that a warm
 * proof costs one hash. A secret that does not match what is cached is held
 * against the stored row once more, and an unknown id costs the same one read
 * and one comparison: time tells nothing about which ids exist. Opaque tokens
 * are found by their hash, which tells as little.
 *
 * Every proof asks again whether the credential has expired and whether the
 * service user and its organization are enabled.
 */
import type { KeyObject } from "node:crypto";
import type { InvalidatedCache } from "../changes/cache.ts";
import { andThen, atOnce, type Soon } from "../lib/at-once.ts";
import type { Clock } from "../lib/clock.ts";
import { type CredentialOwner, DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { hashSecret, isMistyped, isSecretOf } from "../lib/secrets.ts";
import type { AssertionKeySource } from "../principals/assertion-key.ts";
import type { TokenSubject } from "../principals/claims.ts";
import type { ServiceUserPrincipal } from "../principals/principal.ts";
import { toPublicKey } from "../signatures/public-jwk.ts";
import {
  type Credential,
  type CredentialKind,
  isExpired,
  type KeyPair,
  type OpaqueToken,
} from "./credential.ts";
import type { ServiceUser } from "./service-user.ts";

/** Reads committed rows; each answers undefined for what is unknown. */
export interface CredentialSource {
  findCredential(id: string): Promise<Credential | undefined>;
  findTokenByHash(hash: string): Promise<OpaqueToken | undefined>;
  findServiceUser(id: string): Promise<ServiceUser | undefined>;
  findOrganizationState(id: string): Promise<"enabled" | "disabled" | undefined>;
}

/** Caches over a {@link CredentialSource}, each invalidated by a topic of the change feed. */
export interface CredentialCaches {
  /** By id. Topic `credential`. */
  readonly credentials: InvalidatedCache<Credential>;
  /** By hash. Topic `credential`, with the token's id as {@link tokenSubjects} says. */
  readonly tokens: InvalidatedCache<OpaqueToken>;
  /** Topic `service-user`. */
  readonly serviceUsers: InvalidatedCache<ServiceUser>;
  /** Topic `organization`. */
  readonly organizationStates: InvalidatedCache<"enabled" | "disabled">;
}

/** What a cached token depends on: for `subjectsOf` of its cache. */
export function tokenSubjects(token: OpaqueToken): readonly string[] {
  return [token.id];
}

/** A service user, and what its organization says to that. */
interface Holder {
  readonly serviceUser: ServiceUser;
  readonly organizationState: "enabled" | "disabled";
}

/** Takes note of successful proofs. Must be cheap, and never throw. */
export interface UseRecorder {
  recordUse(credentialId: string, serviceUserId: string, at: Date): void;
}

/** Proves service users. */
export interface ServiceUserAuthenticator extends AssertionKeySource {
  /**
   * By a client secret under its id, or by an opaque token under its own id or
   * its service user's.
   *
   * @throws DomainError NOT_AUTHENTICATED, PRINCIPAL_DISABLED, ORGANIZATION_DISABLED
   */
  authenticateSecret(id: string, secret: string): Promise<ServiceUserPrincipal>;
  /** @throws DomainError as {@link authenticateSecret} */
  authenticateOpaqueToken(token: string): Promise<ServiceUserPrincipal>;
  /** @throws DomainError USER_NOT_FOUND besides the others, when the service user was deleted. */
  authenticateTokenSubject(subject: TokenSubject): Soon<ServiceUserPrincipal>;
}

/** What a kind of credential is called where an operator reads it. */
const kindNames: Record<CredentialKind, string> = {
  secret: "client secret",
  key: "key pair",
  token: "opaque token",
};

/** Tokens are made here alone: what carries their prefix and a wrong check sum is somebody's own secret. */
function isOpaqueToken(secret: string): boolean {
  return secret.startsWith("vstt_") && !isMistyped("vstt", secret);
}

function refuse(detail: string): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail });
}

function refuseUnknown(id: string): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail: "unknown client id", unknownCredentialId: id });
}

/** What the audit is told of a credential that exists. */
function toOwner({ id, serviceUserId, orgId }: Credential): CredentialOwner {
  return { type: "serviceuser", id: serviceUserId, orgId, credentialId: id };
}

/** @param why goes before the credential's name, e.g. `expired`. */
function refuseKnown(credential: Credential, why: string): never {
  throw new DomainError("NOT_AUTHENTICATED", {
    detail: `${why}: ${describe(credential)}`,
    owner: toOwner(credential),
  });
}

/** What a client secret is held against; keys and tokens are none. */
function secretHashOf(credential: Credential | undefined): string | undefined {
  return credential?.kind === "secret" ? credential.secretHash : undefined;
}

/** Names a credential for its owner, in the log and the audit. */
function describe({ kind, id, title, serviceUserId }: Credential): string {
  return `${kindNames[kind]} ${id} ${JSON.stringify(title)} of service user ${serviceUserId}`;
}

/** Finds what proofs are held against, in memory first. */
function createLookup(source: CredentialSource, caches: CredentialCaches) {
  function findCredential(id: string): Promise<Credential | undefined> {
    return caches.credentials.get(id, () => source.findCredential(id));
  }

  /** What is at hand is taken without waiting: a promise costs a warm proof more than a look-up. */
  function peekMatchingSecret(id: string, secret: string): Credential | undefined {
    const cached = caches.credentials.peek(id);
    // Compared in every case, so that an unknown id takes as many hashes as a wrong secret.
    return isSecretOf(secret, secretHashOf(cached)) ? cached : undefined;
  }

  async function getMatchingSecret(id: string, secret: string): Promise<Credential> {
    const stored = await caches.credentials.refresh(id, () => source.findCredential(id));
    const isMatch = isSecretOf(secret, secretHashOf(stored));
    if (stored?.kind !== "secret") refuseUnknown(id);
    if (!isMatch) refuseKnown(stored, isMistyped("vsts", secret) ? "mistyped secret" : "wrong secret");
    return stored;
  }

  async function getToken(token: string): Promise<OpaqueToken> {
    if (isMistyped("vstt", token)) refuse("mistyped opaque token");
    const hash = hashSecret(token);
    const found = await caches.tokens.get(hash, () => source.findTokenByHash(hash));
    return found ?? refuse("unknown opaque token");
  }

  function peekHolder(id: string): Holder | undefined {
    const serviceUser = caches.serviceUsers.peek(id);
    const organizationState = serviceUser && caches.organizationStates.peek(serviceUser.orgId);
    return organizationState && { serviceUser, organizationState };
  }

  /** undefined when it was deleted, or its organization and it with that, whatever is still cached of it. */
  async function findHolder(id: string): Promise<Holder | undefined> {
    const serviceUser = await caches.serviceUsers.get(id, () => source.findServiceUser(id));
    if (serviceUser === undefined) return undefined;
    const { orgId } = serviceUser;
    const organizationState = await caches.organizationStates.get(orgId, () =>
      source.findOrganizationState(orgId),
    );
    return organizationState && { serviceUser, organizationState };
  }

  return { findCredential, peekMatchingSecret, getMatchingSecret, getToken, peekHolder, findHolder };
}

/** @param credentialId of what was presented, for the audit. */
function checkEnabled({ serviceUser, organizationState }: Holder, credentialId: string): void {
  const { id, orgId } = serviceUser;
  if (serviceUser.state !== "disabled" && organizationState === "enabled") return;
  const owner = { type: "serviceuser", id, orgId, credentialId } as const;
  if (serviceUser.state === "disabled") {
    throw new DomainError("PRINCIPAL_DISABLED", { detail: `service user ${id} is disabled`, owner });
  }
  const detail = `organization ${orgId} of service user ${id} is disabled`;
  throw new DomainError("ORGANIZATION_DISABLED", { detail, owner });
}

/** What an access token was made from is gone. */
function refuseDeleted({ id, orgId }: ServiceUser, credentialId: string): never {
  throw new DomainError("NOT_AUTHENTICATED", {
    detail: `the token's credential ${credentialId} was deleted`,
    owner: { type: "serviceuser", id, orgId, credentialId },
  });
}

/** @see {@link ServiceUserAuthenticator} */
export function createServiceUserAuthenticator(options: {
  readonly source: CredentialSource;
  readonly caches: CredentialCaches;
  readonly usage: UseRecorder;
  readonly clock: Clock;
}): ServiceUserAuthenticator {
  const { source, caches, usage, clock } = options;
  const lookup = createLookup(source, caches);
  const { findCredential, getToken, peekHolder, findHolder } = lookup;
  // Credentials are replaced in their cache, never changed, so a key lives as long as its row is cached.
  const publicKeys = new WeakMap<KeyPair, KeyObject>();

  function checkExpiry(credential: Credential): void {
    if (isExpired(credential, clock.now())) {
      refuseKnown(credential, `expired at ${credential.expiresAt?.toISOString()}`);
    }
  }

  /** The end of every proof: the credential fits, all else is asked here. */
  function toPrincipal(
    serviceUser: ServiceUser,
    credential: Credential,
    proof: Pick<ServiceUserPrincipal, "authVia" | "credentialKind" | "tokenId">,
  ): ServiceUserPrincipal {
    usage.recordUse(credential.id, serviceUser.id, clock.now());
    return {
      type: "serviceuser",
      id: serviceUser.id,
      orgId: serviceUser.orgId,
      role: serviceUser.role,
      superuser: serviceUser.superuser,
      credentialId: credential.id,
      credentialExpiresAt: credential.expiresAt,
      ...proof,
    };
  }

  function admit(
    credential: Credential,
    holder: Holder | undefined,
    proof: Pick<ServiceUserPrincipal, "authVia" | "credentialKind">,
  ): ServiceUserPrincipal {
    checkExpiry(credential);
    if (holder === undefined) refuseKnown(credential, "service user was deleted");
    checkEnabled(holder, credential.id);
    return toPrincipal(holder.serviceUser, credential, proof);
  }

  async function authenticateOpaqueToken(token: string, id?: string): Promise<ServiceUserPrincipal> {
    const found = await getToken(token);
    if (id !== undefined && id !== found.id && id !== found.serviceUserId) {
      refuseKnown(found, "presented under a foreign id");
    }
    const holder = peekHolder(found.serviceUserId) ?? (await findHolder(found.serviceUserId));
    return admit(found, holder, { authVia: "opaque_token", credentialKind: "opaque_token" });
  }

  return {
    async authenticateSecret(id, secret) {
      if (!isUuid(id)) refuse("client id is not a UUID");
      if (isOpaqueToken(secret)) return await authenticateOpaqueToken(secret, id.toLowerCase());
      const key = id.toLowerCase();
      const credential =
        lookup.peekMatchingSecret(key, secret) ?? (await lookup.getMatchingSecret(key, secret));
      const { serviceUserId } = credential;
      const holder = peekHolder(serviceUserId) ?? (await findHolder(serviceUserId));
      return admit(credential, holder, { authVia: "client_credentials", credentialKind: "client_secret" });
    },

    authenticateOpaqueToken: (token) => authenticateOpaqueToken(token),

    async findAssertionKey(kid) {
      const found = isUuid(kid) ? await findCredential(kid) : undefined;
      // To the letter, whatever a database makes of upper case (RFC 7515 §4.1.4).
      if (found?.kind !== "key" || found.id !== kid) return undefined;
      const publicKey = publicKeys.get(found) ?? toPublicKey(found.publicJwk);
      publicKeys.set(found, publicKey);
      return {
        credentialId: found.id,
        serviceUserId: found.serviceUserId,
        orgId: found.orgId,
        algorithm: found.publicJwk.alg,
        publicKey,
        ...(found.expiresAt && { expiresAt: found.expiresAt }),
      };
    },

    async authenticateKey({ serviceUserId, credentialId }, authVia) {
      const found = await findCredential(credentialId);
      if (found?.kind !== "key" || found.serviceUserId !== serviceUserId)
        refuse(`key pair ${credentialId} was deleted`);
      const holder = peekHolder(serviceUserId) ?? (await findHolder(serviceUserId));
      return admit(found, holder, { authVia, credentialKind: "key_pair" });
    },

    authenticateTokenSubject: ({ id: serviceUserId, credentialId, authVia, tokenId }) =>
      atOnce(() =>
        andThen(peekHolder(serviceUserId) ?? findHolder(serviceUserId), (holder) => {
          if (holder === undefined) throw new DomainError("USER_NOT_FOUND");
          const { serviceUser } = holder;
          checkEnabled(holder, credentialId);
          const finding = caches.credentials.peek(credentialId) ?? findCredential(credentialId);
          return andThen(finding, (credential) => {
            if (credential?.serviceUserId !== serviceUserId) refuseDeleted(serviceUser, credentialId);
            checkExpiry(credential);
            return toPrincipal(serviceUser, credential, { authVia, credentialKind: "access_token", tokenId });
          });
        }),
      ),
  };
}
