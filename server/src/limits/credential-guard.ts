/**
 * Stands before every judgement of a machine's credential: bounds how often one
 * can be wrong, and puts each refusal into the audit trail.
 *
 * Failures count per address and client id, and per address; never per client
 * id alone, or a stranger could lock a machine out. Only failures count, and
 * only a client that has failed is ever looked up: a success costs no access to
 * the database.
 *
 * - A secret from an address that used up its failures is refused unjudged,
 *   unless this process saw the same client succeed from there before.
 * - Signed tokens, assertions and opaque tokens cannot be guessed and are judged
 *   in any case: a good one is never refused, a bad one hears that there were
 *   too many.
 * - Of attempts made at the same time, no more than allowed hear that they were
 *   wrong, however many were judged.
 */
import type { AuditTrail } from "../audit/audit.ts";
import { toAddressBlock } from "../http/address-block.ts";
import { DomainError, type ErrorKind } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { createLru } from "../lib/lru.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type Principal, toPrincipalLabel } from "../principals/principal.ts";

/** A credential as it is presented. */
export interface PresentedProof {
  /** `client_secret`, `opaque_token`, `key_pair`, `access_token`, `session`; noted for log, metrics and audit. */
  readonly kind: string;
  /**
   * Of a secret that is presented with one, as it is presented. Recorded only
   * if it is an id, for it might be a secret in the wrong field.
   */
  readonly clientId?: string | undefined;
}

/** What the guard asks of the counts. Totals are of a rolling minute. */
export interface FailureCounts {
  total(key: string): number;
  add(key: string): number;
  secondsUntilBelow(key: string, limit: number): number;
}

export interface CredentialGuardOptions {
  readonly counts: FailureCounts;
  readonly audit: Pick<AuditTrail, "refuse">;
  /** Failures per (address, client id) and minute. */
  readonly perClient: number;
  /** Failures per address and minute. */
  readonly perAddress: number;
  /** Hears which limit someone is refused by. */
  readonly onLimit?: (limit: FailureLimit) => void;
}

/** What is bounded. */
export type FailureLimit = "client_failures" | "address_failures";

/** Stands before every judgement of a machine's credential. */
export interface CredentialGuard {
  /**
   * Has a credential judged, and notes in the request's outcome whose it was.
   *
   * @throws DomainError TOO_MANY_FAILURES, and what `judge` throws
   */
  judge(request: RequestInfo, proof: PresentedProof, judge: () => Promise<Principal>): Promise<Principal>;
  /** Refuses what was presented and needs no judging: it could not be read. */
  refuse(request: RequestInfo, proof: PresentedProof, detail: string): never;
}

/** Kinds of refusal that say something about a credential; all others, such as an outage, do not count. */
const failures: ReadonlySet<ErrorKind> = new Set([
  "unauthenticated",
  "permission_denied",
  "not_found",
  "failed_precondition",
]);

/** Bounds of what is remembered, in entries. */
const rememberedAddresses = 10_000;
const rememberedClients = 20_000;

/** @see the head of this file */
export function createCredentialGuard(options: CredentialGuardOptions): CredentialGuard {
  const { counts, audit, perClient, perAddress, onLimit } = options;
  const blocks = createLru<string, string>(rememberedAddresses);
  const knownGood = createLru<string, true>(rememberedClients);

  function toBlock(address: string): string {
    const known = blocks.get(address);
    if (known !== undefined) return known;
    const block = toAddressBlock(address);
    blocks.set(address, block);
    return block;
  }

  /** All texts that are no id count as one client: they must neither be kept nor fill the memory. */
  function toClientKey(block: string, clientId: string): string {
    return `client ${block} ${isUuid(clientId) ? clientId.toLowerCase() : "-"}`;
  }

  function tooMany(key: string, limit: number): DomainError {
    const isOfClient = key.split(" ")[0] === "client";
    onLimit?.(isOfClient ? "client_failures" : "address_failures");
    return new DomainError("TOO_MANY_FAILURES", {
      retryAfterSeconds: counts.secondsUntilBelow(key, limit),
      detail: `${isOfClient ? "this client" : "this address"} failed ${limit} times in a minute`,
    });
  }

  /** The limit that is used up before a credential is judged, if one is. */
  function findUsedUp(block: string, clientId: string): DomainError | undefined {
    const addressKey = `address ${block}`;
    const ofAddress = counts.total(addressKey);
    if (ofAddress === 0) return undefined;
    const clientKey = toClientKey(block, clientId);
    if (counts.total(clientKey) >= perClient) return tooMany(clientKey, perClient);
    if (ofAddress < perAddress || knownGood.get(clientKey) === true) return undefined;
    return tooMany(addressKey, perAddress);
  }

  /** Counts a failure. Answers the limit it exceeds, if it does. */
  function count(block: string, clientId: string | undefined): DomainError | undefined {
    const addressKey = `address ${block}`;
    const isAddressOver = counts.add(addressKey) > perAddress;
    if (clientId !== undefined) {
      const clientKey = toClientKey(block, clientId);
      if (counts.add(clientKey) > perClient) return tooMany(clientKey, perClient);
    }
    return isAddressOver ? tooMany(addressKey, perAddress) : undefined;
  }

  function record(request: RequestInfo, { kind, clientId }: PresentedProof, refusal: DomainError): void {
    const { reason, detail, owner, unknownCredentialId } = refusal;
    const presentedId = clientId !== undefined && isUuid(clientId) ? clientId.toLowerCase() : undefined;
    const credentialId = owner?.credentialId ?? unknownCredentialId ?? presentedId;
    audit.refuse(request, {
      action: "credential.refuse",
      reason,
      credentialKind: kind,
      ...(unknownCredentialId !== undefined && { isUnknown: true }),
      ...(detail !== undefined && { detail }),
      ...(owner && { actor: { type: owner.type, id: owner.id } }),
      ...(owner?.orgId !== undefined && { orgId: owner.orgId }),
      ...(credentialId !== undefined && { credentialId, target: { type: "credential", id: credentialId } }),
    });
  }

  /** Counts and records a refusal; answers what the caller is to hear. */
  function onRefused(request: RequestInfo, proof: PresentedProof, refusal: DomainError): DomainError {
    record(request, proof, refusal);
    if (proof.kind === "session") return refusal;
    return count(toBlock(request.clientAddress), proof.clientId) ?? refusal;
  }

  return {
    async judge(request, proof, judge) {
      const { outcome } = request;
      outcome.credentialKind = proof.kind;
      const block = toBlock(request.clientAddress);
      const usedUp = proof.clientId === undefined ? undefined : findUsedUp(block, proof.clientId);
      if (usedUp !== undefined) {
        record(request, proof, usedUp);
        throw usedUp;
      }
      try {
        const principal = await judge();
        outcome.credentialKind = principal.credentialKind;
        outcome.principal = toPrincipalLabel(principal);
        if (proof.clientId !== undefined) knownGood.set(toClientKey(block, proof.clientId), true);
        return principal;
      } catch (error) {
        if (error instanceof DomainError && failures.has(error.kind)) throw onRefused(request, proof, error);
        throw error;
      }
    },
    refuse(request, proof, detail) {
      throw onRefused(request, proof, new DomainError("NOT_AUTHENTICATED", { detail }));
    },
  };
}
