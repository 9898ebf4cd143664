/**
 * Custom frontends of a frontdoor: the rules.
 *
 * Owns the host names, the providers each accepts and its policy. It never
 * decides over a request to a frontend.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database, Reader, Tx } from "../../db/database.ts";
import { orTaken } from "../../db/errors.ts";
import { checkCondition, toTag, type WriteCondition } from "../../http/entity-tag.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import { type Page, type PageRequest, toPageById } from "../../lib/page-token.ts";
import { toSortedJson } from "../../lib/sorted-json.ts";
import type { Caller } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "../frontdoors/access.ts";
import type { Frontdoor } from "../frontdoors/frontdoor.ts";
import { lockFrontdoor } from "../frontdoors/store.ts";
import { isFreeHeader } from "../provider-types/schema-parts.ts";
import { findProvider, findProviderIds } from "../providers/store.ts";
import type { CustomFrontend, FrontendAtHost, FrontendDefinition } from "./frontend.ts";
import { isLoopback, toHostname } from "./hostname.ts";
import { toPolicy } from "./policy.ts";
import * as store from "./store.ts";

/** A frontend as a request names it. */
export interface FrontendRef {
  readonly frontdoorId: string;
  readonly id: string;
}

/** Parts that custom frontends stand on. */
export interface FrontendServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** Manages custom frontends. */
export class FrontendService {
  readonly #options: FrontendServiceOptions;

  constructor(options: FrontendServiceOptions) {
    this.#options = options;
  }

  /** @throws DomainError HOSTNAME_TAKEN, INVALID_REQUEST and those of `frontdoorAccess` */
  async create(caller: Caller, frontdoorId: string, request: FrontendDefinition): Promise<CustomFrontend> {
    const frontdoor = await this.#options.frontdoorAccess.require(caller.principal, frontdoorId, "write");
    const wanted = toWanted(request);
    const now = this.#options.clock.now();
    const draft = { id: newId(now), frontdoorId: frontdoor.id, ...wanted };
    return await this.#write(caller, frontdoor, "custom_frontend.create", async (tx) => {
      await checkProviders(tx, draft);
      await store.insertFrontend(tx, draft, now);
      return await getFrontendIn(tx, draft);
    });
  }

  /** @throws DomainError CUSTOM_FRONTEND_NOT_FOUND and those of `frontdoorAccess` */
  async get(caller: Caller, ref: FrontendRef): Promise<CustomFrontend> {
    const { frontdoorAccess, database } = this.#options;
    const { id: frontdoorId } = await frontdoorAccess.require(caller.principal, ref.frontdoorId, "read");
    return await getFrontendIn(database.reader, { frontdoorId, id: ref.id });
  }

  /** Oldest first. @throws DomainError those of `frontdoorAccess` */
  async list(caller: Caller, frontdoorId: string, page: PageRequest): Promise<Page<CustomFrontend>> {
    const { frontdoorAccess, database } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "read");
    const list = ["ListCustomFrontends", frontdoor.id];
    return await toPageById(list, page, (range) => store.findFrontends(database.reader, frontdoor.id, range));
  }

  /**
   * What a definition would be if it were stored, with its providers. Stores nothing.
   *
   * @throws DomainError INVALID_REQUEST
   */
  async draft(frontdoor: Frontdoor, request: FrontendDefinition): Promise<Omit<FrontendAtHost, "isOpen">> {
    const wanted = toWanted(request);
    const { reader } = this.#options.database;
    const found = await Promise.all(wanted.providerIds.map((id) => findProvider(reader, id)));
    const providers = found.map((provider, index) => {
      if (provider?.frontdoorId !== frontdoor.id) throw unknownProvider(index);
      return provider;
    });
    const isActive = providers.some(({ enabled }) => enabled);
    return { ...wanted, id: "", frontdoorId: frontdoor.id, orgId: frontdoor.orgId, isActive, providers };
  }

  /**
   * @throws DomainError CUSTOM_FRONTEND_NOT_FOUND, PRECONDITION_FAILED, HOSTNAME_TAKEN,
   *   INVALID_REQUEST and those of `frontdoorAccess`
   */
  async replace(
    caller: Caller,
    ref: FrontendRef,
    request: FrontendDefinition,
    condition: WriteCondition = {},
  ): Promise<CustomFrontend> {
    const frontdoor = await this.#options.frontdoorAccess.require(caller.principal, ref.frontdoorId, "write");
    const wanted = toWanted(request);
    return await this.#write(caller, frontdoor, "custom_frontend.replace", async (tx) => {
      const stored = await getFrontendIn(tx, { frontdoorId: frontdoor.id, id: ref.id });
      checkCondition(toFrontendTag(stored), condition);
      const draft = { id: stored.id, frontdoorId: frontdoor.id, ...wanted };
      await checkProviders(tx, draft);
      await store.updateFrontend(tx, draft, this.#options.clock.now());
      return await getFrontendIn(tx, draft);
    });
  }

  /** @throws DomainError CUSTOM_FRONTEND_NOT_FOUND, PRECONDITION_FAILED and those of `frontdoorAccess` */
  async delete(caller: Caller, ref: FrontendRef, condition: WriteCondition = {}): Promise<void> {
    const frontdoor = await this.#options.frontdoorAccess.require(caller.principal, ref.frontdoorId, "write");
    await this.#write(caller, frontdoor, "custom_frontend.delete", async (tx) => {
      const frontend = await getFrontendIn(tx, { frontdoorId: frontdoor.id, id: ref.id });
      checkCondition(toFrontendTag(frontend), condition);
      await store.deleteFrontend(tx, frontend.id);
      return frontend;
    });
  }

  /** One transaction with its audit record, in which no provider of the frontdoor comes or goes. */
  async #write(
    caller: Caller,
    frontdoor: Frontdoor,
    action: "custom_frontend.create" | "custom_frontend.replace" | "custom_frontend.delete",
    write: (tx: Tx) => Promise<CustomFrontend>,
  ): Promise<CustomFrontend> {
    const { database, feed, audit } = this.#options;
    return await orTaken(
      database.transaction(async (tx) => {
        const seq = await lockFrontdoor(tx, frontdoor.id);
        if (seq === undefined) throw frontdoorNotFound(frontdoor.id, "deleted meanwhile");
        const frontend = await write(tx);
        await audit.record(tx, caller, {
          action,
          target: frontend.id,
          orgId: frontdoor.orgId,
          details: {
            frontdoor: frontdoor.id,
            hostname: frontend.hostname,
            providers: frontend.providerIds.join(", "),
          },
        });
        await feed.append(tx, { topic: "frontdoor", subject: frontdoor.id });
        return frontend;
      }),
      "HOSTNAME_TAKEN",
    );
  }
}

/** The entity tag of all that is shown of a frontend, whether it is active included. */
export function toFrontendTag({ id, frontdoorId, ...shown }: CustomFrontend): string {
  return toTag(toSortedJson(shown));
}

function toWanted(request: FrontendDefinition): FrontendDefinition {
  const ids = request.providerIds.map((id) => id.toLowerCase());
  const twice = ids.findIndex((id, index) => ids.indexOf(id) !== index);
  if (twice >= 0) throw invalidProvider(twice, "must not be given twice");
  const hostname = toHostname(request.hostname);
  if (request.scheme === "http" && !isLoopback(hostname)) {
    throw invalidField("scheme", "must be https: http is for localhost and 127.0.0.1 alone");
  }
  if (request.assertionHeader !== "" && !isAssertionHeader(request.assertionHeader)) {
    throw invalidField(
      "assertion_header",
      "must be a header name of letters, digits and hyphens such as X-JWT-Assertion, without another meaning",
    );
  }
  return { ...request, hostname, providerIds: ids, policy: toPolicy(request.policy) };
}

/** Not where API keys come from unless their provider says otherwise, either. */
function isAssertionHeader(name: string): boolean {
  return isFreeHeader(name) && name.toLowerCase() !== "x-api-key";
}

async function checkProviders(
  tx: Tx,
  { frontdoorId, providerIds }: { readonly frontdoorId: string; readonly providerIds: readonly string[] },
): Promise<void> {
  const known = await findProviderIds(tx, frontdoorId, providerIds);
  const unknown = providerIds.findIndex((id) => !known.has(id));
  if (unknown >= 0) throw unknownProvider(unknown);
}

function unknownProvider(index: number): DomainError {
  return invalidProvider(index, "must be the id of an auth provider of the same frontdoor");
}

function invalidProvider(index: number, description: string): DomainError {
  return invalidField(`auth_provider_ids[${index}]`, description);
}

async function getFrontendIn(reader: Reader, { frontdoorId, id }: FrontendRef): Promise<CustomFrontend> {
  const frontend = await store.findFrontend(reader, id.toLowerCase());
  if (frontend?.frontdoorId !== frontdoorId) throw new DomainError("CUSTOM_FRONTEND_NOT_FOUND");
  return frontend;
}
