/** What all pages at a frontend's own host have in common: which frontend it is, who is in already, how things are said. */
import type { RenderPage } from "../../html/frame.ts";
import { findCookies } from "../../http/node-http.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import { toLocation } from "../../http/redirect.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { toStartUrl } from "../decisions/start-url.ts";
import type { BrowserRequest, BrowserRoute } from "../dialects/browser-route.ts";
import { type RefusalWords, toWordsPage, type Words } from "../dialects/words.ts";
import type { Directory } from "../directory/directory.ts";
import type { JudgeSession, SessionJudgement } from "../sessions/judge.ts";
import { toRefusalWords } from "./failures.ts";
import { findPlace, type Place } from "./places.ts";

/** What a frontend's own pages stand on. */
export interface DeskOptions {
  readonly directory: Pick<Directory, "find">;
  readonly judgeSession: JudgeSession;
  readonly render: RenderPage;
  readonly log: Log;
}

/** A visitor's request at a frontend. */
export interface Arrival {
  readonly request: BrowserRequest;
  readonly place: Place;
}

/** @see the head of this file */
export class Desk {
  readonly #options: DeskOptions;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** A route that is told where its visitor is; what goes wrong is a page. */
  route(
    route: Omit<BrowserRoute, "handle">,
    handle: (arrival: Arrival) => PlainResponse | Promise<PlainResponse>,
  ): BrowserRoute {
    return {
      ...route,
      handle: async (request) => {
        try {
          const place = await this.#findPlace(request);
          return place === undefined ? this.#showNowhere(request) : await handle({ request, place });
        } catch (error) {
          const words = toRefusalWords(error, request.info, this.#options.log);
          return this.#options.render({ ...toWordsPage(words, request.info), isAlone: true });
        }
      },
    };
  }

  /** What a visitor's session at the frontend comes to; undefined for none, and for several. */
  async findSession({ request, place }: Arrival): Promise<SessionJudgement | undefined> {
    const { frontend, host } = place;
    const [cookie, ...others] = findCookies(request.header, frontend.sessionCookie);
    if (cookie === undefined || others.length > 0) return undefined;
    return await this.#options.judgeSession(frontend, host, cookie);
  }

  /** Says something on a page, and whom to ask. */
  show(
    { request, place }: Arrival,
    words: Words | RefusalWords,
    setCookies: readonly string[] = [],
  ): PlainResponse {
    const page = toWordsPage(words, { requestId: request.info.requestId, host: place.host });
    return this.#options.render({ ...page, setCookies, isAlone: true });
  }

  /** The way to begin anew, for a page in words. */
  toAnew({ place }: Arrival, path: string): Words["next"] {
    return { href: toStartUrl(place.origin, path), label: "Start again" };
  }

  async #findPlace({ frontdoorId, host, info }: BrowserRequest): Promise<Place | undefined> {
    if (host === undefined) info.outcome.detail = "the proxy does not say X-Forwarded-Host exactly once";
    return host === undefined ? undefined : await findPlace(this.#options.directory, { frontdoorId, host });
  }

  #showNowhere({ info }: BrowserRequest): PlainResponse {
    info.outcome.code = "not_found";
    const words = {
      status: 404,
      title: "Nothing is set up at this address",
      text: "The address may be mistyped, or whoever runs this place has closed it.",
    };
    return this.#options.render({ ...toWordsPage(words, info), isAlone: true });
  }
}

/** Sends a browser on, and tells nobody where it comes from. */
export function sendOn(url: string, setCookies: readonly string[] = []): PlainResponse {
  return {
    status: 303,
    headers: {
      location: toLocation(url),
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      ...(setCookies.length > 0 && { "set-cookie": [...setCookies] }),
    },
  };
}

/** What a program is told that comes where people do. */
export function refuseProgram({ info }: BrowserRequest): PlainResponse {
  info.outcome.code = "unauthenticated";
  return {
    status: 401,
    headers: { "cache-control": "no-store", "www-authenticate": "Bearer" },
    body: { code: "unauthenticated", message: new DomainError("NOT_AUTHENTICATED").message },
  };
}
