/**
 * The guard before the judge of credentials: bounds how often one can be wrong,
 * and puts each refusal into the audit trail.
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
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { createLru } from "../lib/lru.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type CredentialJudge, type GuardedJudge, isRefusal } from "../principals/judge.ts";
import { credentialKindNames, type PresentedCredential } from "../principals/presented.ts";
import { toPrincipalLabel } from "../principals/principal.ts";

/** What was refused: the kind as it is noted, and the client id of a secret. */
interface RefusedCredential {
  readonly kind: string;
  /** As it is presented. Recorded only if it is an id, for it might be a secret in the wrong field. */
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

/** Puts the guard before a judge. All that one guard stands before share its limits. */
export type CredentialGuard = (judge: CredentialJudge) => GuardedJudge;

/** Bounds of what is remembered, in entries. */
const rememberedAddresses = 10_000;

function toRefused(presented: PresentedCredential): RefusedCredential {
  const clientId = presented.kind === "basic" ? presented.id : undefined;
  return { kind: credentialKindNames[presented.kind], clientId };
}

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

  function record(request: RequestInfo, { kind, clientId }: RefusedCredential, refusal: DomainError): void {
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
    presented: PresentedCredential,
    refusal: DomainError,
  ): Promise<DomainError> {
    const refused = toRefused(presented);
    record(request, refused, refusal);
    if (presented.kind === "session") return refusal;
    return (await count(toBlock(request.clientAddress), refused.clientId)) ?? refusal;
  }

  function refuse(request: RequestInfo, detail: string, presented?: PresentedCredential): never {
    const { credentialKind: kind = "malformed" } = request.outcome;
    const refusal = new DomainError("NOT_AUTHENTICATED", { detail });
    record(request, presented === undefined ? { kind } : toRefused(presented), refusal);
    // Nothing was guessed: what this process counts is enough.
    const addressKey = `address ${toBlock(request.clientAddress)}`;
    if (counts.add(addressKey) > perAddress) throw tooMany(addressKey, perAddress);
    throw refusal;
  }

  return (guarded) => ({
    refuse,
    async judge(presented, request) {
      if (presented.kind === "malformed") return refuse(request, presented.detail);
      const { outcome } = request;
      outcome.credentialKind = credentialKindNames[presented.kind];
      const block = toBlock(request.clientAddress);
      const usedUp = presented.kind === "basic" ? await findUsedUp(block, presented.id) : undefined;
      if (usedUp !== undefined) {
        record(request, toRefused(presented), usedUp);
        throw usedUp;
      }
      try {
        const proof = await guarded.judge(presented);
        outcome.credentialKind = proof.principal.credentialKind;
        outcome.principal = toPrincipalLabel(proof.principal);
        if (presented.kind === "basic") goodClients.note(toClient(block, presented.id));
        return proof;
      } catch (error) {
        throw isRefusal(error) ? await onRefused(request, presented, error) : error;
      }
    },
  });
}
