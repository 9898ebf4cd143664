import type { KeyObject } from "node:crypto";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import type { AssertionUse } from "./presented.ts";
import type { ServiceUserPrincipal } from "./principal.ts";

/** The public half of a key pair that a service user signs its assertions with. */
export interface AssertionKey {
  readonly credentialId: string;
  readonly serviceUserId: string;
  readonly orgId: string;
  /** The one algorithm it is good for, whatever a header says. */
  readonly algorithm: SigningAlgorithm;
  readonly publicKey: KeyObject;
  readonly expiresAt?: Date;
}

/** What judging assertions needs: keys by id, and the principal once a signature is good. */
export interface AssertionKeySource {
  /** The key of an id, expired or not; undefined when there is none. */
  findAssertionKey(kid: string): Promise<AssertionKey | undefined>;
  /**
   * The holder of a key whose signature was verified.
   *
   * @throws DomainError NOT_AUTHENTICATED (expired, deleted, another's), PRINCIPAL_DISABLED,
   *   ORGANIZATION_DISABLED
   */
  authenticateKey(
    key: Pick<AssertionKey, "credentialId" | "serviceUserId">,
    use: AssertionUse,
  ): Promise<ServiceUserPrincipal>;
}
