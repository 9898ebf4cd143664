/**
 * Auth providers of a frontdoor: the rules of reading and writing them.
 *
 * A change is one transaction that holds the frontdoor's row: provider,
 * revision, counts, event for watchers, audit record and feed, all or none.
 * A write that changes nothing makes none of them.
 */

import { hash } from "node:crypto";
import type { Action } from "../../audit/actions.ts";
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database, Reader, Tx } from "../../db/database.ts";
import { orTaken } from "../../db/errors.ts";
import { placeOf, type Sealer } from "../../encryption/sealer.ts";
import { checkCondition, type WriteCondition } from "../../http/entity-tag.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { invalidField, invalidRequest } from "../../lib/invalid-request.ts";
import { fromPageToken, type Page, type PageRequest, toPage } from "../../lib/page-token.ts";
import { toSortedJson } from "../../lib/sorted-json.ts";
import { type Caller, type Principal, toActor } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "../frontdoors/access.ts";
import type { Frontdoor } from "../frontdoors/frontdoor.ts";
import { lockFrontdoor } from "../frontdoors/store.ts";
import {
  changedEndpointFields,
  type ProviderData,
  type ProviderType,
} from "../provider-types/provider-type.ts";
import type { ProviderTypes } from "../provider-types/provider-types.ts";
import type { ProviderValidator } from "../provider-types/validate.ts";
import {
  checkCandidate,
  fromCreate,
  fromPatch,
  fromReplace,
  listChanges,
  listOrganizations,
  refuseForeign,
  type State,
  type Stored,
  splitSecrets,
  toName,
  withMasks,
} from "./definition.ts";
import {
  findIdempotentAnswer,
  type IdempotencyRef,
  idempotencyColumn,
  upsertIdempotentAnswer,
} from "./idempotency-store.ts";
import type {
  FieldChange,
  Provider,
  ProviderEvent,
  ProviderSummary,
  Revision,
  RevisionChange,
  StoredProvider,
} from "./provider.ts";
import { openSecrets, sealSecrets } from "./secrets.ts";
import * as store from "./store.ts";

/** A provider as a request names it. */
export interface ProviderRef {
  readonly frontdoorId: string;
  readonly id: string;
}

/** What a caller says of a new provider. */
export interface ProviderDraft {
  readonly name: string;
  readonly type: string;
  readonly enabled: boolean;
  readonly data: ProviderData;
  /** `Idempotency-Key` as sent. */
  readonly idempotencyKey?: string;
}

/** What a PATCH says. What is absent stays. */
export interface ProviderPatch extends WriteCondition {
  readonly name?: string;
  readonly enabled?: boolean;
  readonly type?: string;
  readonly data?: ProviderData;
}

/** What a PUT says. */
export interface ProviderReplacement extends WriteCondition {
  readonly name: string;
  readonly type: string;
  readonly data: ProviderData;
  readonly enabled?: boolean;
}

/** Parts that auth providers stand on. */
export interface ProviderServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly sealer: Sealer;
  readonly types: ProviderTypes;
  readonly validator: ProviderValidator;
  /** Which of these organizations a caller manages, in lower case; that stays so until the transaction ends. */
  readonly holdManagedIds: (
    tx: Tx,
    caller: Principal,
    orgIds: readonly string[],
  ) => Promise<ReadonlySet<string>>;
  /** How many revisions of a provider are kept, the newest ones. */
  readonly maxRevisions?: number;
}

/** Revisions kept of a provider: years of edits by people; a machine that edits all day does not fill the disk. */
const maxKeptRevisions = 1000;

/** Largest number the column of revisions holds. */
const maxRevision = 2 ** 31 - 1;

/** How long an Idempotency-Key stands for its request. */
const idempotencyMs = 24 * 3_600_000;

/** A state that a write asks for, and how it came to be. */
interface NextState {
  readonly state: State;
  readonly change: RevisionChange;
  readonly restoredRevision?: number;
}

/** A state that a write asks of a provider that is stored already. */
interface ChangedState extends NextState {
  readonly change: keyof typeof actionOf;
}

const actionOf = {
  update: "auth_provider.update",
  replace: "auth_provider.replace",
  rollback: "auth_provider.rollback",
} as const satisfies Record<Exclude<RevisionChange, "create">, Action>;

/** What the record of a change carries. */
function toRecorded(frontdoor: Frontdoor, { id, name, type, enabled, revision }: Provider) {
  return {
    target: id,
    orgId: frontdoor.orgId,
    details: {
      frontdoor: frontdoor.id,
      name,
      type,
      enabled: String(enabled),
      revision: String(revision),
    },
  };
}

/** Manages auth providers. */
export class ProviderService {
  readonly #options: ProviderServiceOptions;

  constructor(options: ProviderServiceOptions) {
    this.#options = options;
  }

  /** @throws DomainError FRONTDOOR_NOT_FOUND, AUTH_PROVIDER_NOT_FOUND */
  async get(caller: Caller, ref: ProviderRef): Promise<Provider> {
    const { frontdoorAccess, database } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "read");
    return toProvider(await getProviderIn(database.reader, frontdoor.id, ref.id));
  }

  /**
   * Creates a provider, or answers what the first request under the same key
   * was answered.
   *
   * @throws DomainError NAME_TAKEN, IDEMPOTENCY_KEY_REUSED, INVALID_REQUEST and those of `frontdoorAccess`
   */
  async create(caller: Caller, frontdoorId: string, draft: ProviderDraft): Promise<ProviderSummary> {
    const { frontdoorAccess, database, validator, audit } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "write");
    const type = this.#findType(draft.type);
    const name = toName(draft.name);
    const candidate = fromCreate(type, draft.data);
    checkCandidate(type, validator, undefined, candidate);
    const state = { name, enabled: draft.enabled, ...splitSecrets(type, candidate.data) };
    const repetition = this.#toRepetition(caller, frontdoor, draft);
    return await orTaken(
      database.transaction(async (tx) => {
        const seq = await this.#lock(tx, frontdoor);
        const answered = await repetition?.find(tx);
        if (answered !== undefined) return answered;
        await this.#checkOrganizations(tx, caller, frontdoor, type, state.data);
        const now = this.#options.clock.now();
        const summary = { id: newId(now), name, type: type.name, enabled: draft.enabled };
        const next = { state, change: "create" } as const;
        const revision = this.#toRevision(caller, { id: summary.id, number: 1 }, next, []);
        const write = { frontdoorId: frontdoor.id, provider: summary, revision, changeSeq: seq + 1 };
        await store.insertProvider(tx, write);
        const data = withMasks(state.data, Object.keys(state.secrets));
        const provider = { ...summary, revision: 1, data };
        await this.#publish(tx, frontdoor, { seq: seq + 1, event: "created", provider });
        await audit.record(tx, caller, {
          action: "auth_provider.create",
          ...toRecorded(frontdoor, provider),
        });
        await repetition?.store(tx, summary);
        await this.#options.feed.append(tx, { topic: "frontdoor", subject: frontdoor.id });
        return summary;
      }),
      "NAME_TAKEN",
    );
  }

  /** Changes what is given. @throws DomainError as of `replace` */
  async update(caller: Caller, ref: ProviderRef, patch: ProviderPatch): Promise<Provider> {
    const name = patch.name === undefined ? undefined : toName(patch.name);
    return await this.#change(caller, ref, patch, async (_tx, stored, type, current) => {
      if (patch.type !== undefined) refuseOtherType(stored, patch.type);
      const candidate = fromPatch(type, current, patch.data ?? {});
      checkCandidate(type, this.#options.validator, current, candidate);
      const state = {
        name: name ?? stored.name,
        enabled: patch.enabled ?? stored.enabled,
        ...splitSecrets(type, candidate.data),
      };
      return { state, change: "update" };
    });
  }

  /**
   * Replaces name and data.
   *
   * @throws DomainError AUTH_PROVIDER_NOT_FOUND, PRECONDITION_FAILED, NAME_TAKEN,
   *   INVALID_REQUEST and those of `frontdoorAccess`
   */
  async replace(caller: Caller, ref: ProviderRef, replacement: ProviderReplacement): Promise<Provider> {
    const name = toName(replacement.name);
    return await this.#change(caller, ref, replacement, async (_tx, stored, type, current) => {
      refuseOtherType(stored, replacement.type);
      const candidate = fromReplace(type, current, replacement.data);
      checkCandidate(type, this.#options.validator, current, candidate);
      const enabled = replacement.enabled ?? stored.enabled;
      return { state: { name, enabled, ...splitSecrets(type, candidate.data) }, change: "replace" };
    });
  }

  /**
   * Makes a provider what it was at a revision, secrets included.
   *
   * @throws DomainError REVISION_NOT_FOUND and those of `replace`
   */
  async rollback(
    caller: Caller,
    ref: ProviderRef,
    { revision: number, ...condition }: WriteCondition & { readonly revision: number },
  ): Promise<Provider> {
    return await this.#change(caller, ref, condition, async (tx, stored, type) => {
      const revision = await store.findRevision(tx, stored.id, number);
      if (revision === undefined) throw new DomainError("REVISION_NOT_FOUND");
      const { name, enabled, data } = revision;
      const secrets = openSecrets(this.#options.sealer, revision, revision.sealedSecrets);
      const candidate = { data: { ...data, ...secrets }, kept: [], empty: [] };
      checkCandidate(type, this.#options.validator, undefined, candidate);
      return { state: { name, enabled, data, secrets }, change: "rollback", restoredRevision: number };
    });
  }

  /**
   * Deletes a provider with its revisions and keys.
   *
   * @throws DomainError AUTH_PROVIDER_NOT_FOUND, PRECONDITION_FAILED and those of `frontdoorAccess`
   */
  async delete(caller: Caller, ref: ProviderRef, condition: WriteCondition): Promise<void> {
    const { frontdoorAccess, database, audit } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "write");
    await database.transaction(async (tx) => {
      const seq = await this.#lock(tx, frontdoor);
      const stored = await getProviderIn(tx, frontdoor.id, ref.id);
      checkCondition(toEntityTag(stored.revision), condition);
      await store.deleteProvider(tx, stored);
      const provider = { ...toSummary(stored), revision: stored.revision, data: {} };
      await this.#publish(tx, frontdoor, { seq: seq + 1, event: "deleted", provider });
      await audit.record(tx, caller, { action: "auth_provider.delete", ...toRecorded(frontdoor, provider) });
      await this.#options.feed.append(tx, { topic: "frontdoor", subject: frontdoor.id });
    });
  }

  /** Newest first. @throws DomainError AUTH_PROVIDER_NOT_FOUND and those of `frontdoorAccess` */
  async listRevisions(caller: Caller, ref: ProviderRef, page: PageRequest): Promise<Page<Revision>> {
    const { frontdoorAccess, database } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "read");
    const { id } = await getProviderIn(database.reader, frontdoor.id, ref.id);
    const list = ["ListAuthProviderRevisions", id];
    const [before] = fromPageToken(list, page.token, ["integer"]) ?? [maxRevision];
    const limits = { before: Math.min(Math.max(before, 0), maxRevision), limit: page.size + 1 };
    const rows = await store.findRevisions(database.reader, id, limits);
    return toPage(rows, page.size, list, ({ revision }) => [revision]);
  }

  async #change(
    caller: Caller,
    ref: ProviderRef,
    condition: WriteCondition,
    make: (tx: Tx, stored: StoredProvider, type: ProviderType, current: Stored) => Promise<ChangedState>,
  ): Promise<Provider> {
    const {
      frontdoorAccess,
      database,
      types,
      sealer,
      maxRevisions = maxKeptRevisions,
      audit,
    } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "write");
    return await orTaken(
      database.transaction(async (tx) => {
        const seq = await this.#lock(tx, frontdoor);
        const stored = await getProviderIn(tx, frontdoor.id, ref.id);
        checkCondition(toEntityTag(stored.revision), condition);
        const owner = { providerId: stored.id, revision: stored.revision };
        const current = { data: stored.data, secrets: openSecrets(sealer, owner, stored.sealedSecrets) };
        const type = types.get(stored.type);
        const next = await make(tx, stored, type, current);
        const changes = listChanges({ ...stored, ...current }, next.state);
        if (changes.length === 0) return toProvider(stored);
        if (!isOnlyDisabled(changes, next.state)) {
          await this.#checkOrganizations(tx, caller, frontdoor, type, next.state.data);
        }
        const number = stored.revision + 1;
        const revision = this.#toRevision(caller, { id: stored.id, number }, next, changes);
        const { name, enabled } = next.state;
        const summary = { ...toSummary(stored), name, enabled };
        const write = { frontdoorId: frontdoor.id, provider: summary, revision, changeSeq: seq + 1 };
        const isOther = changedEndpointFields(type, stored.data, next.state.data).length > 0;
        // Nobody whom it proved before is known by it any more, whatever becomes of it later.
        const sessionsFrom = isOther || !enabled ? number : stored.sessionsFrom;
        await store.updateProvider(tx, { ...write, sessionsFrom }, stored);
        await store.deleteRevisionsUpTo(tx, stored.id, number - maxRevisions);
        const provider = {
          ...summary,
          revision: number,
          data: withMasks(next.state.data, Object.keys(next.state.secrets)),
        };
        await this.#publish(tx, frontdoor, { seq: seq + 1, event: "updated", provider });
        const { details, ...about } = toRecorded(frontdoor, provider);
        await audit.record(tx, caller, {
          action: actionOf[next.change],
          ...about,
          details: { ...details, changed: changes.map(({ field }) => field).join(", ") },
        });
        await this.#options.feed.append(tx, { topic: "frontdoor", subject: frontdoor.id });
        return provider;
      }),
      "NAME_TAKEN",
    );
  }

  /** The frontdoor's own organization is the caller's, or they would not write here. */
  async #checkOrganizations(
    tx: Tx,
    { principal }: Caller,
    { orgId }: Frontdoor,
    type: ProviderType,
    data: ProviderData,
  ): Promise<void> {
    const named = listOrganizations(type, data).filter(({ id }) => id !== orgId);
    if (named.length === 0) return;
    const ids = named.map(({ id }) => id);
    refuseForeign(named, await this.#options.holdManagedIds(tx, principal, ids));
  }

  /** Place of the newest change. From here on nobody else writes in the frontdoor. */
  async #lock(tx: Tx, { id }: Frontdoor): Promise<number> {
    const seq = await lockFrontdoor(tx, id);
    if (seq === undefined) throw frontdoorNotFound(id, "deleted meanwhile");
    return seq;
  }

  #toRevision(
    { principal }: Caller,
    { id, number }: { readonly id: string; readonly number: number },
    { state, change, restoredRevision }: NextState,
    changes: Revision["changes"],
  ): Revision {
    const owner = { providerId: id, revision: number };
    return {
      ...owner,
      name: state.name,
      enabled: state.enabled,
      data: state.data,
      sealedSecrets: sealSecrets(this.#options.sealer, owner, state.secrets),
      change,
      ...(restoredRevision !== undefined && { restoredRevision }),
      changes,
      author: toActor(principal),
      createdAt: this.#options.clock.now(),
    };
  }

  /** Tells watchers. */
  async #publish(
    tx: Tx,
    frontdoor: Frontdoor,
    told: { readonly seq: number; readonly event: ProviderEvent; readonly provider: Provider },
  ): Promise<void> {
    await store.insertChange(tx, { frontdoorId: frontdoor.id, ...told }, this.#options.clock.now());
  }

  #findType(name: string): ProviderType {
    const { types } = this.#options;
    const type = types.find(name);
    if (type !== undefined) return type;
    throw invalidField("type", `must be one of ${types.list.map((each) => each.name).join(", ")}`);
  }

  /** Finding and storing the answer of a request that may be repeated; undefined without a key. */
  #toRepetition(
    { principal }: Caller,
    frontdoor: Frontdoor,
    { idempotencyKey: key, ...draft }: ProviderDraft,
  ) {
    if (key === undefined) return undefined;
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw invalidRequest("Idempotency-Key must be of 1 to 255 visible ASCII characters");
    }
    const { sealer, clock } = this.#options;
    const ref: IdempotencyRef = { callerId: principal.id, frontdoorId: frontdoor.id, key };
    const place = placeOf(idempotencyColumn, [ref.callerId, ref.frontdoorId, key]);
    // A client that tries again may write the members of data in another order: maps of protobuf have none.
    const request = hash("sha256", toSortedJson(draft), "buffer");
    return {
      async find(tx: Tx): Promise<ProviderSummary | undefined> {
        const found = await findIdempotentAnswer(tx, ref, clock.now());
        if (found === undefined) return undefined;
        if (!sealer.open(place, found.sealedRequest).equals(request)) {
          throw new DomainError("IDEMPOTENCY_KEY_REUSED");
        }
        return found.answer;
      },
      async store(tx: Tx, answer: ProviderSummary): Promise<void> {
        const stored = { sealedRequest: sealer.seal(place, request), answer };
        await upsertIdempotentAnswer(tx, ref, stored, new Date(clock.now().getTime() + idempotencyMs));
      },
    };
  }
}

/** Who manages a frontdoor may close what somebody with more roles has opened there. */
function isOnlyDisabled(changes: readonly FieldChange[], { enabled }: State): boolean {
  return !enabled && changes.every(({ field }) => field === "enabled");
}

/** A provider of this frontdoor. @throws DomainError AUTH_PROVIDER_NOT_FOUND */
export async function getProviderIn(
  reader: Reader,
  frontdoorId: string,
  id: string,
): Promise<StoredProvider> {
  const stored = await store.findProvider(reader, id.toLowerCase());
  if (stored?.frontdoorId !== frontdoorId) throw new DomainError("AUTH_PROVIDER_NOT_FOUND");
  return stored;
}

function toSummary({ id, name, type, enabled }: ProviderSummary): ProviderSummary {
  return { id, name, type, enabled };
}

/** A stored provider as it may be shown. */
function toProvider(stored: StoredProvider): Provider {
  const { revision, data, sealedSecrets } = stored;
  return { ...toSummary(stored), revision, data: withMasks(data, Object.keys(sealedSecrets)) };
}

/** The entity tag (RFC 9110 §8.8.3) of a revision. */
export function toEntityTag(revision: number): string {
  return `"${revision}"`;
}

function refuseOtherType(stored: StoredProvider, type: string): void {
  if (type !== stored.type)
    throw invalidField("type", `must be ${stored.type}: the type of a provider never changes`);
}
