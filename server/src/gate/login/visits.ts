/** A visit as the login at the public URL finds it, and what it says on its pages. */
import type { RenderPage } from "../../html/frame.ts";
import { findPublicUrl } from "../../html/navigation.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../../http/plain-route.ts";
import { redirect } from "../../http/redirect.ts";
import type { Log } from "../../lib/log.ts";
import { toStartUrl } from "../decisions/start-url.ts";
import { type RefusalWords, toWordsPage, type Words } from "../dialects/words.ts";
import type { Directory } from "../directory/directory.ts";
import { toRefusalWords } from "./failures.ts";
import type { GateFlows, Visit } from "./gate-flows.ts";
import { findPlace, type Place } from "./places.ts";

/** What the login at the public URL stands on. */
export interface VisitDeskOptions {
  readonly flows: Pick<GateFlows, "visits">;
  readonly directory: Pick<Directory, "find">;
  readonly render: RenderPage;
  readonly publicUrl: string;
  readonly log: Log;
}

/** A visit that is on its way. */
export interface FoundVisit {
  readonly request: PlainRequest;
  readonly state: string;
  /** Of its flow. */
  readonly id: string;
  readonly visit: Visit;
  /** SHA-256 of the secret in its flow cookie, base64url. */
  readonly browserHash: string;
  readonly createdAt: Date;
  readonly place: Place;
}

/** @see the head of this file */
export class VisitDesk {
  readonly #options: VisitDeskOptions;

  constructor(options: VisitDeskOptions) {
    this.#options = options;
  }

  /** A route of the login: under the public name alone, and what goes wrong is a page. */
  route(route: FunctionRoute): FunctionRoute {
    const { publicUrl, render, log } = this.#options;
    return {
      ...route,
      handle: async (request) => {
        const elsewhere = findPublicUrl(request, publicUrl);
        if (elsewhere !== undefined) return redirect(elsewhere);
        try {
          return await route.handle(request);
        } catch (error) {
          return render(toWordsPage(toRefusalWords(error, request.info, log), request.info));
        }
      },
    };
  }

  /** The visit of a state; otherwise the page that says what has become of it. */
  async find(request: PlainRequest, state: string): Promise<FoundVisit | PlainResponse> {
    const { flows, directory } = this.#options;
    const flow = await flows.visits.findLive(state);
    if (flow === undefined) return this.#showOver(request);
    const visit = flows.visits.unseal(flow);
    const place = await findPlace(directory, visit);
    // Renamed or removed meanwhile: whoever has the host now has not asked for anybody.
    if (place === undefined || place.frontend.id !== flow.strategy) return this.#showGone(request, visit);
    const { id, browserHash, createdAt } = flow;
    return { request, state, id, visit, browserHash, createdAt, place };
  }

  /** Says something about a visit, and whom to ask. */
  show(
    { request, place }: Pick<FoundVisit, "request" | "place">,
    words: Words | RefusalWords,
  ): PlainResponse {
    const about = { requestId: request.info.requestId, host: place.host };
    return this.#options.render(toWordsPage(words, about));
  }

  /** The way back to the frontend, to begin anew: where somebody who is in by now simply goes on. */
  toAnew({ place, visit }: Pick<FoundVisit, "place" | "visit">) {
    return { href: toStartUrl(place.origin, visit.path), label: "Start again" };
  }

  #showOver({ info }: PlainRequest): PlainResponse {
    info.outcome.reason = "INVALID_FLOW";
    const words = {
      status: 400,
      title: "This sign-in is over",
      text: "It took too long, or the link to it is not whole. Nothing is lost: open what you came for again.",
    };
    return this.#options.render(toWordsPage(words, info));
  }

  #showGone({ info }: PlainRequest, { host }: Visit): PlainResponse {
    info.outcome.reason = "UNKNOWN_HOST";
    const words = {
      status: 404,
      title: "Nothing is set up there any more",
      text: `While you were signing in, ${host} was closed, or moved to another address.`,
    };
    return this.#options.render(toWordsPage(words, { requestId: info.requestId, host }));
  }
}

/** Tells a page from a visit. */
export function isPage(found: FoundVisit | PlainResponse): found is PlainResponse {
  return "status" in found;
}
