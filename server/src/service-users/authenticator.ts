/**
 * Proves service users: by a client secret, or by the subject of an access
 * token whose signature is already known to be good.
 *
 * Reads go through caches that the change feed invalidates, so that a warm
 * proof costs one hash. A secret that does not match what is cached is held
 * against the stored row once more, and an unknown id costs the same one read
 * and one comparison: time tells nothing about which ids exist.
 */
import type { InvalidatedCache } from "../changes/cache.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { isMistyped, isSecretOf } from "../lib/secrets.ts";
import type { AuthVia, ServiceUserPrincipal } from "../principals/principal.ts";
import type { ServiceUser, ServiceUserSecret } from "./service-user.ts";

/** What a service user's proof depends on besides its credential. */
export interface ServiceUserStanding {
  readonly serviceUser: ServiceUser;
  readonly organizationState: "enabled" | "disabled";
}

/** Reads committed rows; each answers undefined for an unknown id. */
export interface CredentialSource {
  findSecret(id: string): Promise<ServiceUserSecret | undefined>;
  findServiceUser(id: string): Promise<ServiceUser | undefined>;
  findOrganizationState(id: string): Promise<"enabled" | "disabled" | undefined>;
}

/** Caches over a {@link CredentialSource}, one for each topic of the change feed. */
export interface CredentialCaches {
  /** Topic `credential`. */
  readonly secrets: InvalidatedCache<ServiceUserSecret>;
  /** Topic `service-user`. */
  readonly serviceUsers: InvalidatedCache<ServiceUser>;
  /** Topic `organization`. */
  readonly organizationStates: InvalidatedCache<"enabled" | "disabled">;
}

/** What an access token says of its service user. */
export interface ServiceUserTokenSubject {
  readonly serviceUserId: string;
  readonly credentialId: string;
  readonly authVia: AuthVia;
  readonly tokenId: string;
}

/** Proves service users. */
export interface ServiceUserAuthenticator {
  /** @throws DomainError NOT_AUTHENTICATED, PRINCIPAL_DISABLED, ORGANIZATION_DISABLED */
  authenticateSecret(id: string, secret: string): Promise<ServiceUserPrincipal>;
  /** @throws DomainError USER_NOT_FOUND besides the others, when the service user was deleted. */
  authenticateTokenSubject(subject: ServiceUserTokenSubject): Promise<ServiceUserPrincipal>;
}

function refuse(detail: string): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail });
}

/** @see {@link ServiceUserAuthenticator} */
export function createServiceUserAuthenticator(options: {
  readonly source: CredentialSource;
  readonly caches: CredentialCaches;
  readonly clock: Clock;
}): ServiceUserAuthenticator {
  const { source, caches, clock } = options;

  async function findMatchingSecret(id: string, secret: string): Promise<ServiceUserSecret> {
    const cached = caches.secrets.peek(id);
    // Compared in every case, so that an unknown id takes as many hashes as a wrong secret.
    if (isSecretOf(secret, cached?.secretHash) && cached !== undefined) return cached;
    const stored = await caches.secrets.refresh(id, () => source.findSecret(id));
    const isMatch = isSecretOf(secret, stored?.secretHash);
    if (stored === undefined) refuse("unknown client id");
    if (!isMatch) refuse(isMistyped("vsts", secret) ? "mistyped client secret" : "wrong client secret");
    return stored;
  }

  function checkExpiry(secret: ServiceUserSecret): void {
    if (secret.expiresAt !== undefined && secret.expiresAt <= clock.now()) {
      refuse(`client secret ${secret.id} expired at ${secret.expiresAt.toISOString()}`);
    }
  }

  async function findEnabled(id: string): Promise<ServiceUser | undefined> {
    const serviceUser = await caches.serviceUsers.get(id, () => source.findServiceUser(id));
    if (serviceUser === undefined) return undefined;
    if (serviceUser.state === "disabled") {
      throw new DomainError("PRINCIPAL_DISABLED", { detail: `service user ${id} is disabled` });
    }
    const { orgId } = serviceUser;
    const state = await caches.organizationStates.get(orgId, () => source.findOrganizationState(orgId));
    if (state !== "enabled") throw new DomainError("ORGANIZATION_DISABLED");
    return serviceUser;
  }

  function toPrincipal(
    serviceUser: ServiceUser,
    credential: ServiceUserSecret,
    proof: Pick<ServiceUserPrincipal, "authVia" | "credentialKind" | "tokenId">,
  ): ServiceUserPrincipal {
    return {
      type: "serviceuser",
      id: serviceUser.id,
      orgId: serviceUser.orgId,
      role: serviceUser.role,
      superuser: serviceUser.superuser,
      credentialId: credential.id,
      ...(credential.expiresAt === undefined ? {} : { credentialExpiresAt: credential.expiresAt }),
      ...proof,
    };
  }

  return {
    async authenticateSecret(id, secret) {
      if (!isUuid(id)) refuse("client id is not a UUID");
      const credential = await findMatchingSecret(id.toLowerCase(), secret);
      checkExpiry(credential);
      const serviceUser = await findEnabled(credential.serviceUserId);
      if (serviceUser === undefined) refuse(`service user ${credential.serviceUserId} was deleted`);
      return toPrincipal(serviceUser, credential, {
        authVia: "client_credentials",
        credentialKind: "client_secret",
      });
    },
    async authenticateTokenSubject({ serviceUserId, credentialId, authVia, tokenId }) {
      const serviceUser = await findEnabled(serviceUserId);
      if (serviceUser === undefined) throw new DomainError("USER_NOT_FOUND");
      const credential = await caches.secrets.get(credentialId, () => source.findSecret(credentialId));
      if (credential?.serviceUserId !== serviceUserId) refuse("the token's credential was deleted");
      checkExpiry(credential);
      return toPrincipal(serviceUser, credential, { authVia, credentialKind: "access_token", tokenId });
    },
  };
}
