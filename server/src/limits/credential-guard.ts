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
import { andThen, atOnce, type Soon } from "../lib/at-once.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type CredentialJudge, type GuardedJudge, isRefusal, type Proof } from "../principals/judge.ts";
import { credentialKindNames, type PresentedCredential } from "../principals/presented.ts";
import { toPrincipalLabel } from "../principals/principal.ts";
import type { FailureLimits } from "./failure-limits.ts";

/** What was refused: the kind as it is noted, and the client id of a secret. */
interface RefusedCredential {
  readonly kind: string;
  /** As it is presented. Recorded only if it is an id, for it might be a secret in the wrong field. */
  readonly clientId?: string | undefined;
}

/** Where failures are counted and recorded. */
export interface CredentialGuardOptions {
  readonly failures: FailureLimits;
  readonly audit: Pick<AuditTrail, "refuse">;
}

/** Puts the guard before a judge. All that one guard stands before share its limits. */
export type CredentialGuard = (judge: CredentialJudge) => GuardedJudge;

function toRefused(presented: PresentedCredential): RefusedCredential {
  const clientId = presented.kind === "basic" ? presented.id : undefined;
  return { kind: credentialKindNames[presented.kind], clientId };
}

/** @see the head of this file */
export function createCredentialGuard(options: CredentialGuardOptions): CredentialGuard {
  const { failures, audit } = options;

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
    return (await failures.count(request.clientAddress, refused.clientId)) ?? refusal;
  }

  function refuse(request: RequestInfo, detail: string, presented?: PresentedCredential): never {
    const { credentialKind: kind = "malformed" } = request.outcome;
    const refusal = new DomainError("NOT_AUTHENTICATED", { detail });
    record(request, presented === undefined ? { kind } : toRefused(presented), refusal);
    throw failures.countHere(request.clientAddress) ?? refusal;
  }

  function judgeAndNote(
    judge: CredentialJudge,
    presented: PresentedCredential,
    request: RequestInfo,
  ): Soon<Proof> {
    const { outcome, clientAddress } = request;
    const judging = andThen(
      atOnce(() => judge.judge(presented)),
      (proof) => {
        outcome.credentialKind = proof.principal.credentialKind;
        outcome.principal = toPrincipalLabel(proof.principal);
        if (presented.kind === "basic") failures.noteGood(clientAddress, presented.id);
        return proof;
      },
    );
    if (!(judging instanceof Promise)) return judging;
    return judging.catch(async (error) => {
      throw isRefusal(error) ? await onRefused(request, presented, error) : error;
    });
  }

  async function judgeSecret(
    judge: CredentialJudge,
    presented: PresentedCredential<"basic">,
    request: RequestInfo,
  ): Promise<Proof> {
    const usedUp = await failures.findUsedUp(request.clientAddress, presented.id);
    if (usedUp === undefined) return await judgeAndNote(judge, presented, request);
    record(request, toRefused(presented), usedUp);
    throw usedUp;
  }

  return (judge) => ({
    refuse,
    judge: (presented, request) =>
      atOnce(() => {
        if (presented.kind === "malformed") return refuse(request, presented.detail);
        request.outcome.credentialKind = credentialKindNames[presented.kind];
        return presented.kind === "basic"
          ? judgeSecret(judge, presented, request)
          : judgeAndNote(judge, presented, request);
      }),
  });
}
