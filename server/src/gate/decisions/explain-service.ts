/**
 * Explanations of decisions, for the managers of a frontdoor: the rules.
 *
 * Whoever asks has credentials judged, and has this server speak to issuers:
 * it takes the right to write, a rate, and an end.
 */
import type { Reader } from "../../db/database.ts";
import type { FrontdoorAccess } from "../../frontdoor/frontdoors/access.ts";
import type { Frontdoor } from "../../frontdoor/frontdoors/frontdoor.ts";
import type { FrontendAtHost, FrontendDefinition } from "../../frontdoor/frontends/frontend.ts";
import { toWildcard } from "../../frontdoor/frontends/hostname.ts";
import { findFrontendAtHost } from "../../frontdoor/frontends/store.ts";
import type { ProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Rate } from "../../limits/rates.ts";
import type { Caller } from "../../principals/principal.ts";
import { type RequestLine, readAsk } from "../asks/read-ask.ts";
import { type GateFrontend, toGateFrontend, versionOf } from "../directory/frontend.ts";
import type { Explain, Explanation } from "./explain.ts";

/** A visitor's request, before any proxy. */
export interface DescribedVisit extends RequestLine {
  /** Header names and values by turns. */
  readonly lines: readonly string[];
}

/** What an explanation is made from, for whom, and how often. */
export interface ExplainServiceOptions {
  readonly reader: Reader;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly types: ProviderTypes;
  /** A definition as it would be stored. @throws DomainError INVALID_REQUEST */
  readonly draftFrontend: (
    frontdoor: Frontdoor,
    definition: FrontendDefinition,
  ) => Promise<Omit<FrontendAtHost, "isOpen">>;
  readonly findOrganizationState: (orgId: string) => Promise<"enabled" | "disabled" | undefined>;
  readonly explain: Explain;
  /** By organization. */
  readonly rate: Pick<Rate, "take">;
  /** Longest time of an explanation. */
  readonly maxSeconds?: number;
}

/** Explains decisions. */
export class ExplainService {
  readonly #options: ExplainServiceOptions;

  constructor(options: ExplainServiceOptions) {
    this.#options = options;
  }

  /**
   * What the gate decides about a request, at a stored frontend or at the one
   * that is described.
   *
   * @throws DomainError INVALID_REQUEST, TOO_MANY_EXPLANATIONS, UNAVAILABLE and those of `frontdoorAccess`
   */
  async explain(
    caller: Caller,
    frontdoorId: string,
    visit: DescribedVisit,
    definition: FrontendDefinition | undefined,
  ): Promise<Explanation> {
    const { frontdoorAccess, rate, explain, maxSeconds = 10 } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "test");
    rate.take(frontdoor.orgId);
    const { requestId, clientAddress, userAgent } = caller.request;
    const ask = readAsk({ ...visit, frontdoorId: frontdoor.id, requestId, clientAddress, userAgent });
    const frontend = typeof ask === "string" ? undefined : await this.#find(frontdoor, ask.host, definition);
    return await within(maxSeconds, explain(ask, frontend));
  }

  async #find(
    frontdoor: Frontdoor,
    host: string,
    definition: FrontendDefinition | undefined,
  ): Promise<GateFrontend | undefined> {
    const { reader, types, draftFrontend, findOrganizationState } = this.#options;
    if (definition === undefined) {
      const stored = await findFrontendAtHost(reader, frontdoor.id, host);
      return stored && toGateFrontend(stored, versionOf(stored), types);
    }
    const isOpen = (await findOrganizationState(frontdoor.orgId)) === "enabled";
    const draft = { ...(await draftFrontend(frontdoor, definition)), isOpen };
    const isAtHost = draft.hostname === host || draft.hostname === toWildcard(host);
    return isAtHost ? toGateFrontend(draft, versionOf(draft), types) : undefined;
  }
}

/** @throws DomainError UNAVAILABLE when it takes longer */
async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    const detail = `no decision within ${seconds} s`;
    timer = setTimeout(() => reject(new DomainError("UNAVAILABLE", { detail })), seconds * 1000);
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
  }
}
