/**
 * The way to a provider and back.
 *
 * A trip is bound to the browser that began it, and to the provider: its answer
 * counts at that provider's own path alone, so that what one provider was told
 * is never taken for another's (RFC 9700 §4.4.2). A code is known to all
 * processes to have been sent before it leaves, whatever it is answered with.
 */
import { isSameBrowser, newState } from "../../auth/flows.ts";
import { consumeCode } from "../../auth/sent-code-store.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database } from "../../db/database.ts";
import type { ProviderInstance } from "../../frontdoor/provider-types/provider-type.ts";
import { providerPaths, toCallbackUrl } from "../../frontdoor/provider-types/provider-urls.ts";
import { type FormBrowsers, readField } from "../../html/forms.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../../http/plain-route.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { hashSecret } from "../../lib/secrets.ts";
import type { Rate } from "../../limits/rates.ts";
import { readBroughtError } from "../../openid/refusal.ts";
import type { GateProvider } from "../directory/frontend.ts";
import type { GateSessionService } from "../sessions/service.ts";
import type { Admission, OtherWay } from "./admission.ts";
import { sendOn } from "./desk.ts";
import { flowSeconds, type GateFlows, type Trip } from "./gate-flows.ts";
import type { Way } from "./own-login.ts";
import { toLoginPath } from "./places.ts";
import { type FoundVisit, isPage, type VisitDesk } from "./visits.ts";

/** What trips stand on. */
export interface ProviderTripsOptions {
  readonly desk: VisitDesk;
  readonly admission: Admission;
  readonly flows: Pick<GateFlows, "trips">;
  readonly flowLimits: Rate;
  readonly browsers: FormBrowsers;
  readonly database: Database;
  /** A provider with its secrets in clear. */
  readonly openProvider: (provider: GateProvider) => Promise<ProviderInstance>;
  readonly sessions: Pick<GateSessionService, "endById">;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly publicUrl: string;
  readonly clock: Clock;
}

/** A trip whose browser is back, at the place it is to be. */
interface Return {
  readonly found: FoundVisit;
  readonly provider: GateProvider;
  readonly trip: Trip;
}

/** What a provider answers that was to show nothing, and had to (OpenID Connect Core 1.0 §3.1.2.6). */
const askErrors: ReadonlySet<string> = new Set([
  "login_required",
  "interaction_required",
  "account_selection_required",
  "consent_required",
]);

/** @see the head of this file */
export class ProviderTrips {
  readonly #options: ProviderTripsOptions;

  constructor(options: ProviderTripsOptions) {
    this.#options = options;
  }

  /** Sends somebody off. */
  async begin(found: FoundVisit, provider: GateProvider): Promise<Way> {
    const { flows, flowLimits, browsers, openProvider, publicUrl } = this.#options;
    const { login } = provider.type;
    if (login?.kind !== "provider") throw new Error(`${provider.type.name} sends nobody anywhere`);
    const { request, visit } = found;
    const asked = readField(request.query, "ask");
    const isSilent = visit.renews?.providerId === provider.id && asked === "";
    const counted = flowLimits.take(request.info.clientAddress);
    try {
      // The visit's own state comes first: an answer that comes too late still leads back.
      const state = `${found.state}.${newState()}`;
      const callbackUrl = toCallbackUrl(publicUrl, provider.id);
      const asksAgain = visit.asksAgain || asked === "again";
      const prompt = isSilent ? "none" : asksAgain ? "again" : undefined;
      const instance = await openProvider(provider);
      const { endpoint, secret } = await login.begin(instance, {
        callbackUrl,
        state,
        ...(prompt && { prompt }),
      });
      const browser = browsers.get(request.header);
      await flows.trips.keep(state, {
        strategy: provider.id,
        browserHash: hashSecret(browser),
        callbackUrl,
        secret: {
          secret,
          revision: provider.revision,
          isSilent,
          isSecond: request.query.has("second"),
          counted,
        },
        flowSeconds,
      });
      return { url: endpoint, setCookies: browsers.toSetCookies(browser) };
    } catch (error) {
      flowLimits.giveBack(counted);
      if (!(error instanceof DomainError)) throw error;
      const { findings, kind, detail = error.message } = error;
      const [{ admission }, again] = [this.#options, this.#toOthers(found)];
      if (findings !== undefined) return { page: admission.showFailure(found, provider, error, again) };
      if (kind !== "unavailable") throw error;
      return { page: admission.showRefusal(found, provider, { reason: "unavailable", detail }, again) };
    }
  }

  /** The route that providers answer at, each at its own path. */
  get callback(): FunctionRoute {
    const path = `${providerPaths.callback}/{id}`;
    return this.#options.desk.route({ method: "GET", path, handle: (request) => this.#takeBack(request) });
  }

  async #takeBack(request: PlainRequest): Promise<PlainResponse> {
    if (request.method === "HEAD") return { status: 200 };
    const { flows, desk, browsers } = this.#options;
    const providerId = request.path.slice(providerPaths.callback.length + 1);
    const state = readField(request.query, "state");
    const [visitState = ""] = state.split(".");
    const found = await desk.find(request, visitState);
    if (isPage(found)) return found;
    const flow = await flows.trips.findLive(state);
    if (flow === undefined) return this.#showOver(found);
    const trip = flows.trips.unseal(flow);
    if (flow.strategy !== providerId) return this.#showElsewhere(found, "a trip to another provider");
    if (!isSameBrowser(browsers.find(request.header), flow.browserHash)) {
      if (trip.isSecond) return this.#showElsewhere(found, "a trip of another browser");
      // Another tab began at the same time, and its cookie took the place of this one's.
      return sendOn(this.#toHere(found, { with: providerId, second: "1" }));
    }
    const code = readField(request.query, "code");
    const isFresh = await this.#consume(flow.id, code);
    if (!isFresh) return this.#showOver(found);
    const provider = found.place.frontend.logins.find(({ id }) => id === providerId);
    if (provider === undefined) return this.#showTakenAway(found);
    if (request.query.has("error") || code === "") return await this.#showNo({ found, provider, trip });
    return await this.#finish({ found, provider, trip }, code);
  }

  /** Ends a trip, and marks its code as sent; false when another answer was faster, or the code was sent before. */
  async #consume(id: string, code: string): Promise<boolean> {
    const { flows, database, clock } = this.#options;
    return await database.transaction(async (tx) => {
      if (!(await flows.trips.consume(tx, id))) return false;
      return code === "" || (await consumeCode(tx, code, clock.now()));
    });
  }

  async #finish({ found, provider, trip }: Return, code: string): Promise<PlainResponse> {
    const { admission, flowLimits, openProvider, publicUrl } = this.#options;
    const { login } = provider.type;
    if (login?.kind !== "provider") return this.#showTakenAway(found);
    const issuer = readField(found.request.query, "iss");
    const loggedIn = await login.finish(await openProvider(provider), {
      code,
      callbackUrl: toCallbackUrl(publicUrl, provider.id),
      secret: trip.secret,
      ...(issuer !== "" && { issuer }),
    });
    const href = toLoginPath(found.state, { with: provider.id, ask: "again" });
    const otherwise = { href, label: "Use another account" };
    if (!loggedIn.allowed) return admission.showRefusal(found, provider, loggedIn, otherwise);
    const { identity, kept, renewAt, sid } = loggedIn;
    const denial = admission.findDenial(found, provider, identity, otherwise);
    if (denial !== undefined) return denial;
    const url = await admission.makeCode(found, {
      provider: { id: provider.id, revision: trip.revision },
      identity,
      renewAt,
      ...(kept && { kept }),
      ...(sid !== undefined && { sid }),
    });
    flowLimits.giveBack(trip.counted);
    return sendOn(url);
  }

  async #showNo({ found, provider, trip }: Return): Promise<PlainResponse> {
    const error = readField(found.request.query, "error");
    const { renews } = found.visit;
    if (trip.isSilent && renews !== undefined && askErrors.has(error)) {
      const { sessions, database, feed } = this.#options;
      await database.transaction(async (tx) => {
        await feed.append(tx, ...(await sessions.endById(tx, renews.sessionId)));
      });
      return sendOn(this.#toHere(found, { with: provider.id, ask: "here" }));
    }
    const description = readField(found.request.query, "error_description");
    const { isDeclined, refusal } = readBroughtError(provider.name, { error, description }, found.state);
    if (!isDeclined && error !== "") {
      return this.#options.admission.showFailure(found, provider, refusal, this.#toOthers(found));
    }
    const { outcome } = found.request.info;
    Object.assign(outcome, { code: "permission_denied", reason: "PROVIDER_DENIED", detail: refusal.detail });
    return this.#options.desk.show(found, {
      status: 403,
      title: "You are not signed in",
      text: "The sign-in was not completed at the provider. Nothing has changed: try again, or choose another way.",
      next: this.#toOthers(found),
    });
  }

  #showOver(found: FoundVisit): PlainResponse {
    found.request.info.outcome.reason = "INVALID_FLOW";
    return this.#options.desk.show(found, {
      status: 400,
      title: "This sign-in is over",
      text: "It took too long, or was finished already. Nothing is lost: start again.",
      next: this.#options.desk.toAnew(found),
    });
  }

  #showElsewhere(found: FoundVisit, detail: string): PlainResponse {
    Object.assign(found.request.info.outcome, { reason: "INVALID_AUTH_STATE", detail });
    return this.#options.desk.show(found, {
      status: 400,
      title: "This sign-in began elsewhere",
      text: "It can only be finished in the browser where it began, and by the provider it began with. Start again here.",
      next: this.#options.desk.toAnew(found),
    });
  }

  #showTakenAway(found: FoundVisit): PlainResponse {
    found.request.info.outcome.reason = "UNSUPPORTED_STRATEGY";
    return this.#options.desk.show(found, {
      status: 400,
      title: "That way to sign in was taken away",
      text: "While you were signing in, those who run the place decided to take nobody's word from there any more.",
      next: this.#toOthers(found),
    });
  }

  #toHere({ state }: FoundVisit, query: Parameters<typeof toLoginPath>[1]): string {
    return this.#options.publicUrl + toLoginPath(state, query);
  }

  #toOthers({ state, visit }: FoundVisit): OtherWay {
    const query = visit.renews && ({ ask: "here" } as const);
    return { href: toLoginPath(state, query), label: "Try again" };
  }
}
