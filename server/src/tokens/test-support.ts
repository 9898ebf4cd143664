/** Key pairs, assertions and fakes. For tests only. */
import { generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import type { AuditEvent, AuditRefusal, AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type CredentialGuard, createCredentialGuard } from "../limits/credential-guard.ts";
import { createFailureLimits } from "../limits/failure-limits.ts";
import type { AssertionKey } from "../principals/assertion-key.ts";
import type { ServiceUserPrincipal } from "../principals/principal.ts";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { signWith } from "../signatures/signing.ts";
import {
  createDescribeOrganizations,
  type DescribeOrganizations,
  type HeldOrganization,
  type OrganizationClaimRules,
} from "./organization-claims.ts";

export const serviceUserId = "019a0000-0000-7000-8000-000000000001";
export const credentialId = "019a0000-0000-7000-8000-000000000003";
export const orgId = "019a0000-0000-7000-8000-000000000002";

/** A service user that proved itself by a secret, unless changed. */
export function toServiceUser(change: Partial<ServiceUserPrincipal> = {}): ServiceUserPrincipal {
  return {
    type: "serviceuser",
    id: serviceUserId,
    orgId,
    role: "viewer",
    superuser: false,
    credentialId,
    authVia: "client_credentials",
    credentialKind: "client_secret",
    ...change,
  };
}

/** A request that nothing is known of yet. */
export function newRequestInfo(): RequestInfo {
  return { requestId: "r1", clientAddress: "192.0.2.1", fromTrustedProxy: false, userAgent: "", outcome: {} };
}

/** An audit trail that keeps what it is told. */
export function createMemoryAudit() {
  const events: AuditEvent[] = [];
  const refusals: AuditRefusal[] = [];
  const trail: AuditTrail = {
    record: async (_tx, _caller, event) => void events.push(event),
    recordOwn: async (_tx, _agent, event) => void events.push(event),
    note: (_caller, event) => void events.push(event),
    refuse: (_request, refusal) => void refusals.push(refusal),
  };
  return { trail, events, refusals };
}

/** Knows the organizations of every person, {@link orgId} as `acme` among them by its name. */
export function createTestOrganizations(
  held: readonly HeldOrganization[],
  claims: OrganizationClaimRules = { addOrgIds: true, addOrganizations: true },
): DescribeOrganizations {
  const feed = { isConfirmed: () => true, subscribe: () => () => {} };
  const options = { feed, topics: [], maxEntries: 10 };
  return createDescribeOrganizations({
    claims,
    findOrganizations: async () => ({ enabled: held, disabledIds: [], isComplete: true }),
    findMembership: async (_, org) => held.find(({ id, name }) => id === org || name === org),
    findOrganizationName: async (id) => (id === orgId ? "acme" : undefined),
    caches: { people: new InvalidatedCache(options), names: new InvalidatedCache(options) },
  });
}

/** A guard that never has enough. */
export function createTestGuard(audit: Pick<AuditTrail, "refuse">): CredentialGuard {
  const counts = { total: () => 0, add: () => 1, addTogether: async () => 1, secondsUntilBelow: () => 1 };
  const goodClients = { note: () => {}, isKnown: async () => false };
  const failures = createFailureLimits({ counts, goodClients, perClient: 20, perAddress: 100 });
  return createCredentialGuard({ failures, audit });
}

/** A key pair and its registration. */
export interface TestKey extends AssertionKey {
  readonly privateKey: KeyObject;
}

/** Makes a key pair of the service user, its id that of the credential. */
export function newAssertionKey(algorithm: SigningAlgorithm = "ES256"): TestKey {
  const { privateKey, publicKey } =
    algorithm === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : algorithm === "RS256"
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ed25519");
  return { serviceUserId, orgId, credentialId, algorithm, publicKey, privateKey };
}

/** Encodes header and payload of a JWS. */
export function encodeParts(header: object, payload: unknown): string {
  return [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
}

/** Signs an assertion that is good at `now`, unless changed; a member changed to undefined is left out. */
export function signAssertion(
  key: TestKey,
  now: Date,
  change: { header?: object; claims?: object; audience?: string } = {},
): string {
  const seconds = Math.floor(now.getTime() / 1000);
  const header = { alg: key.algorithm, typ: "JWT", kid: key.credentialId, ...change.header };
  const claims = {
    iss: key.serviceUserId,
    sub: key.serviceUserId,
    aud: change.audience ?? "https://id.example.org",
    iat: seconds,
    exp: seconds + 300,
    jti: randomUUID(),
    ...change.claims,
  };
  const signed = encodeParts(header, claims);
  const signature = signWith(key.algorithm, key.privateKey, Buffer.from(signed));
  return `${signed}.${signature.toString("base64url")}`;
}

/** A signature by another hash or curve than the key's algorithm says. */
export function signOddly(key: TestKey, signed: string): string {
  return sign("sha512", Buffer.from(signed), { key: key.privateKey, dsaEncoding: "ieee-p1363" }).toString(
    "base64url",
  );
}
