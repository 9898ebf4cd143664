/**
 * Dry runs of providers: what would work, before anybody depends on it.
 *
 * A run makes this server speak to others, and a stored secret may be part of
 * what it says: it needs the right to write, and goes by the rules of a write.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import type { Reader } from "../../db/database.ts";
import type { Sealer } from "../../encryption/sealer.ts";
import { DomainError } from "../../lib/errors.ts";
import { type EndTurn, FairQueue } from "../../lib/fair-queue.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import type { Caller, Principal } from "../../principals/principal.ts";
import type { FrontdoorAccess } from "../frontdoors/access.ts";
import type { Frontdoor } from "../frontdoors/frontdoor.ts";
import { dryRunProvider } from "../provider-types/dry-run.ts";
import type {
  ProviderCheck,
  ProviderData,
  ProviderInstance,
  ProviderSample,
  ProviderType,
} from "../provider-types/provider-type.ts";
import type { ProviderTypes } from "../provider-types/provider-types.ts";
import type { ProviderValidator } from "../provider-types/validate.ts";
import {
  checkKept,
  fromCreate,
  fromPatch,
  listOrganizations,
  refuseEmpty,
  refuseForeign,
} from "./definition.ts";
import { openSecrets } from "./secrets.ts";
import { getProviderIn } from "./service.ts";

/** What a caller wants to try. */
export interface DryRunDraft {
  readonly frontdoorId: string;
  /** Of the stored provider; empty for a definition that is not stored. */
  readonly id: string;
  readonly type?: string;
  /** The definition, or a merge patch to the stored one. */
  readonly data?: ProviderData;
  readonly sample: ProviderSample;
}

/** Parts that dry runs stand on, and how many go at once. */
export interface DryRunServiceOptions {
  readonly reader: Reader;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly audit: AuditTrail;
  readonly sealer: Sealer;
  readonly types: ProviderTypes;
  readonly validator: ProviderValidator;
  /** Which of these organizations a caller manages, in lower case. */
  readonly findManagedIds: (
    reader: Reader,
    caller: Principal,
    orgIds: readonly string[],
  ) => Promise<ReadonlySet<string>>;
  /** Whom an organization counts for, where all share what there is. */
  readonly findTenant: (orgId: string) => Promise<string>;
  /** How many runs may be under way at once, of all organizations, and with those that wait of one. */
  readonly maxRuns?: number;
  readonly maxRunsPerOrganization?: number;
  /** Longest run with its wait: less than a call may take, so that what is known by then is answered. */
  readonly maxSeconds?: number;
  /** Makes what aborts after that, in milliseconds. For tests. */
  readonly abortAfter?: (ms: number) => AbortSignal;
}

/** Runs dry runs. */
export class DryRunService {
  readonly #options: DryRunServiceOptions;
  /** Runs under way or waiting, by the organization they are for. */
  readonly #asked = new Map<string, number>();
  /** A run waits for servers of its author's choice: one tenant's must not be in everybody's way. */
  readonly #turns: FairQueue;

  constructor(options: DryRunServiceOptions) {
    this.#options = options;
    const { maxRuns: slots = 16 } = options;
    const share = { perTenant: Math.ceil(slots / 2), reserved: Math.floor(slots / 8) };
    this.#turns = new FairQueue({ slots, ...share, maxWaiting: 500 });
  }

  /**
   * The checks of a run, each as soon as it is known. Waits its turn when too
   * many runs are under way.
   *
   * @param signal ends the run early and quietly.
   * @throws DomainError INVALID_REQUEST, AUTH_PROVIDER_NOT_FOUND,
   *   TOO_MANY_DRY_RUNS and those of `frontdoorAccess`, before the first check
   */
  async *test(caller: Caller, draft: DryRunDraft, signal: AbortSignal): AsyncGenerator<ProviderCheck> {
    const { frontdoorAccess, audit, validator, findTenant, maxSeconds = 25 } = this.#options;
    const { abortAfter = (ms) => AbortSignal.timeout(ms) } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, draft.frontdoorId, "test");
    const { type, provider, stored } = await this.#toInstance(frontdoor, draft);
    await this.#checkOrganizations(caller, type, provider, stored);
    const limit = abortAfter(maxSeconds * 1000);
    const either = AbortSignal.any([signal, limit]);
    this.#countRun(frontdoor.orgId, 1);
    let endTurn: EndTurn | undefined;
    try {
      const tenant = caller.principal.superuser ? undefined : await findTenant(frontdoor.orgId);
      endTurn = await this.#turns.wait(tenant, either);
      if (signal.aborted) return;
      if (endTurn === undefined) throw new DomainError("TOO_MANY_DRY_RUNS");
      audit.note(caller, {
        action: "auth_provider.test",
        ...(provider.id !== undefined && { target: provider.id }),
        orgId: frontdoor.orgId,
        details: { frontdoor: frontdoor.id, type: type.name },
      });
      const run = { type, validator, provider, sample: draft.sample, signal: either };
      const isComplete = yield* dryRunProvider(run);
      if (!isComplete && !signal.aborted) yield toTimeLimitCheck(maxSeconds);
    } finally {
      endTurn?.();
      this.#countRun(frontdoor.orgId, -1);
    }
  }

  #countRun(orgId: string, change: 1 | -1): void {
    const { maxRunsPerOrganization = 4 } = this.#options;
    const own = (this.#asked.get(orgId) ?? 0) + change;
    if (change > 0 && own > maxRunsPerOrganization) throw new DomainError("TOO_MANY_DRY_RUNS");
    if (own > 0) this.#asked.set(orgId, own);
    else this.#asked.delete(orgId);
  }

  async #toInstance(
    frontdoor: Frontdoor,
    { id, type: typeName, data = {} }: DryRunDraft,
  ): Promise<{
    readonly type: ProviderType;
    readonly provider: ProviderInstance;
    /** As stored, if it is. */
    readonly stored: ProviderData;
  }> {
    const { reader, sealer, types, validator } = this.#options;
    const { orgId } = frontdoor;
    if (id === "") {
      const type = types.find(typeName ?? "");
      if (type === undefined) {
        throw invalidField("type", `must be one of ${types.list.map(({ name }) => name).join(", ")}`);
      }
      const candidate = fromCreate(type, data);
      refuseEmpty(candidate);
      return { type, provider: { orgId, data: candidate.data }, stored: {} };
    }
    const stored = await getProviderIn(reader, frontdoor.id, id);
    if (typeName !== undefined && typeName !== stored.type) {
      throw invalidField("type", `must be ${stored.type}: the type of a provider never changes`);
    }
    const type = types.get(stored.type);
    const owner = { providerId: stored.id, revision: stored.revision };
    const current = { data: stored.data, secrets: openSecrets(sealer, owner, stored.sealedSecrets) };
    const candidate = fromPatch(type, current, data);
    refuseEmpty(candidate);
    // Data that does not fit is told of by the first check, and nothing is sent then.
    if (validator.validate(type.name, candidate.data).length === 0) checkKept(type, current, candidate);
    return { type, provider: { id: stored.id, orgId, data: candidate.data }, stored: stored.data };
  }

  /** As of a write: a run must not tell who the members of any organization are. */
  async #checkOrganizations(
    { principal }: Caller,
    type: ProviderType,
    { orgId, data }: ProviderInstance,
    stored: ProviderData,
  ): Promise<void> {
    const { reader, validator, findManagedIds } = this.#options;
    // Data that does not fit is told of by the first check, and judges nobody.
    if (validator.validate(type.name, data).length > 0) return;
    const known = new Set([orgId, ...listOrganizations(type, stored).map(({ id }) => id)]);
    const named = listOrganizations(type, data).filter(({ id }) => !known.has(id));
    if (named.length === 0) return;
    const ids = named.map(({ id }) => id);
    refuseForeign(named, await findManagedIds(reader, principal, ids));
  }
}

/** The check of a run whose servers take their time, each of them within bounds. */
function toTimeLimitCheck(seconds: number): ProviderCheck {
  return {
    name: "time_limit",
    ok: false,
    detail: `not finished within ${seconds} s, what is missing was not checked: the servers, or the names they have, answer too slowly for people to wait for them`,
  };
}
