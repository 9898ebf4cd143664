/**
 * The guard before every judgement of a machine's credential: bounds how often one
 * can be wrong, and puts each refusal into the audit trail.
 *
 * This room owns the counts of what strangers could do without end: failures,
 * sign-ins begun, codes guessed, mails. It never says whether a credential is
 * good.
 *
 * Failures count per address and client id, and per address; never per client
 * id alone, or a stranger could lock a machine out. Only failures count, and
 * only a client that has failed is ever looked up: a success costs no access to
 * the database.
 *
 * - A secret from an address that used up its failures is refused unjudged,
 *   unless the same client succeeded from there before, at whichever process.
 * - Signed tokens, assertions and opaque tokens cannot be guessed and are judged
 *   in any case: a good one is never refused, a bad one hears that there were
 *   too many.
 * - Of attempts made at the same time, no more than allowed hear that they were
 *   wrong, however many were judged and by however many processes.
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

/** Counts of failed credentials that the guard asks. Totals are of a rolling minute. */
export interface FailureCounts {
  total(key: string): number;
  add(key: string): number;
  /** Counts one event and answers its place among those of all processes. Never rejects. */
  addTogether(key: string): Promise<number>;
  secondsUntilBelow(key: string, limit: number): number;
}

/** Clients that proved themselves, each from a block of addresses. Neither throws nor rejects. */
export interface GoodClients {
  note(client: { readonly block: string; readonly clientId: string }): void;
  isKnown(client: { readonly block: string; readonly clientId: string }): Promise<boolean>;
}

export interface CredentialGuardOptions {
  readonly counts: FailureCounts;
  readonly goodClients: GoodClients;
  readonly audit: Pick<AuditTrail, "refuse">;
  /** Failures per (address, client id) and minute. */
  readonly perClient: number;
  /** Failures per address and minute. */
  readonly perAddress: number;
  /** Hears which limit someone is refused by. */
  readonly onLimit?: (limit: FailureLimit) => void;
}

/** Names of the limits on failed credentials. */
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

function toClient(block: string, clientId: string) {
  return { block, clientId: clientId.toLowerCase() };
}

/** @see the head of this file */
export function createCredentialGuard(options: CredentialGuardOptions): CredentialGuard {
  const { counts, goodClients, audit, perClient, perAddress, onLimit } = options;
  const blocks = createLru<string, string>(rememberedAddresses);

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
  async function findUsedUp(block: string, clientId: string): Promise<DomainError | undefined> {
    const addressKey = `address ${block}`;
    const ofAddress = counts.total(addressKey);
    if (ofAddress === 0) return undefined;
    const clientKey = toClientKey(block, clientId);
    if (counts.total(clientKey) >= perClient) return tooMany(clientKey, perClient);
    if (ofAddress < perAddress) return undefined;
    const isKnown = isUuid(clientId) && (await goodClients.isKnown(toClient(block, clientId)));
    return isKnown ? undefined : tooMany(addressKey, perAddress);
  }

  /** Counts a failure. Answers the limit it exceeds, if it does. */
  async function count(block: string, clientId: string | undefined): Promise<DomainError | undefined> {
    const addressKey = `address ${block}`;
    const clientKey = clientId === undefined ? undefined : toClientKey(block, clientId);
    const [ofAddress, ofClient] = await Promise.all([
      counts.addTogether(addressKey),
      clientKey === undefined ? 0 : counts.addTogether(clientKey),
    ]);
    if (clientKey !== undefined && ofClient > perClient) return tooMany(clientKey, perClient);
    return ofAddress > perAddress ? tooMany(addressKey, perAddress) : undefined;
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
      ...(credentialId !== undefined && { credentialId, target: credentialId }),
    });
  }

  /** Counts and records a refusal; answers what the caller is to hear. */
  async function onRefused(
    request: RequestInfo,
    proof: PresentedProof,
    refusal: DomainError,
  ): Promise<DomainError> {
    record(request, proof, refusal);
    if (proof.kind === "session") return refusal;
    return (await count(toBlock(request.clientAddress), proof.clientId)) ?? refusal;
  }

  return {
    async judge(request, proof, judge) {
      const { outcome } = request;
      outcome.credentialKind = proof.kind;
      const block = toBlock(request.clientAddress);
      const usedUp = proof.clientId === undefined ? undefined : await findUsedUp(block, proof.clientId);
      if (usedUp !== undefined) {
        record(request, proof, usedUp);
        throw usedUp;
      }
      try {
        const principal = await judge();
        outcome.credentialKind = principal.credentialKind;
        outcome.principal = toPrincipalLabel(principal);
        if (proof.clientId !== undefined) goodClients.note(toClient(block, proof.clientId));
        return principal;
      } catch (error) {
        if (error instanceof DomainError && failures.has(error.kind))
          throw await onRefused(request, proof, error);
        throw error;
      }
    },
    refuse(request, proof, detail) {
      // Nothing was guessed: what this process counts is enough.
      record(request, proof, new DomainError("NOT_AUTHENTICATED", { detail }));
      const addressKey = `address ${toBlock(request.clientAddress)}`;
      if (counts.add(addressKey) > perAddress) throw tooMany(addressKey, perAddress);
      throw new DomainError("NOT_AUTHENTICATED", { detail });
    },
  };
}
