/**
 * Sign-in as a browser sees it: cookies in, cookies out.
 *
 * RPC handlers, callback routes and pages all come through here, so that a
 * session is begun, replaced and ended in one way.
 */

import { randomBytes } from "node:crypto";
import type { SessionHeadersConfig } from "../config/config.ts";
import { findCookies } from "../http/node-http.ts";
import { fromBase64url, toBase64url } from "../lib/base64url.ts";
import type { RequestInfo } from "../lib/request.ts";
import { sessionCookieName } from "../principals/presented.ts";
import type { Caller, Principal, UserPrincipal } from "../principals/principal.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import { toBegunCookies } from "../sessions/begun-cookies.ts";
import type { SessionCookies } from "../sessions/cookie.ts";
import { readDevice } from "../sessions/device.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import type { BegunSession } from "../sessions/service.ts";
import type { LiveSession } from "../sessions/session.ts";
import type { BeginFlow, BegunFlow, FinishFlow, FlowPreview, SignInService } from "./service.ts";

/** A request from a browser, or from whatever keeps cookies as one. */
export interface BrowserRequest {
  readonly header: Headers;
  readonly info: RequestInfo;
  /** Who is calling, as far as known. */
  readonly principal: Principal | undefined;
}

/** What a browser is to be told besides the answer. */
export interface BrowserAnswer {
  /** Values of `Set-Cookie`. */
  readonly setCookies: readonly string[];
}

/** A flow just begun. */
export interface BegunInBrowser extends BrowserAnswer {
  readonly flow: BegunFlow;
}

/** A flow that came to a good end. */
export interface FinishedInBrowser extends BrowserAnswer {
  /** Where the person asked to go. */
  readonly returnTo: string | undefined;
  /** Absent when a passkey was registered, which makes no session, and while the person is asked. */
  readonly begun: BegunSession | undefined;
  /** As of `FinishedSignIn`: the person is to be asked first. */
  readonly waysToKeep: readonly string[] | undefined;
}

/** Parts that signing in by browser stands on: the service, the cookies, the headers of a device. */
export interface BrowserSignInOptions {
  readonly service: SignInService;
  readonly sessions: {
    signOut(caller: Caller & { readonly principal: UserPrincipal }): Promise<void>;
  };
  readonly authenticator: Pick<SessionAuthenticator, "findByCookie" | "findCookies">;
  readonly cookies: Pick<SessionCookies, "toSetCookies" | "toClearCookies" | "toClearStrays">;
  readonly knownBrowsers: Pick<KnownBrowsers, "readKeys" | "toSetCookie">;
  readonly deviceHeaders: SessionHeadersConfig;
  readonly browsers: Browsers;
}

/** @see the head of this file */
export class BrowserSignIn {
  readonly #options: BrowserSignInOptions;

  constructor(options: BrowserSignInOptions) {
    this.#options = options;
  }

  /** Begins a flow, in the browser that asks. @throws DomainError as `SignInService.begin` */
  async begin(
    asked: Pick<BeginFlow, "strategyName" | "email" | "returnTo" | "callbackUrl" | "reauthenticate">,
    { header, info, principal }: BrowserRequest,
  ): Promise<BegunInBrowser> {
    const { service, browsers, knownBrowsers } = this.#options;
    const browser = browsers.get(header);
    const browserKeys = knownBrowsers.readKeys(header);
    const flow = await service.begin({ ...asked, browser, browserKeys, principal, info });
    const dead = await this.clearDeadSession(header);
    return { flow, setCookies: [...browsers.toSetCookies(browser), ...(dead ?? [])] };
  }

  /** Ends a flow, and signs the browser in. @throws DomainError as `SignInService.finish` */
  async finish(
    answer: Omit<FinishFlow, "browsers" | "browserKeys" | "principal" | "sessions" | "device" | "info">,
    request: BrowserRequest,
  ): Promise<FinishedInBrowser> {
    const { header, info, principal } = request;
    const { service, browsers, knownBrowsers } = this.#options;
    const { begun, returnTo, waysToKeep } = await service.finish({
      ...answer,
      browsers: browsers.find(header),
      browserKeys: knownBrowsers.readKeys(header),
      principal,
      sessions: await this.findSessions(header),
      device: readDevice(this.#options.deviceHeaders, header, info),
      info,
    });
    if (begun !== undefined) info.outcome.principal = `user:${begun.session.userId}`;
    const own = begun === undefined ? [] : toBegunCookies(begun, this.#options);
    // The one that is replaced may be of another domain than the one that takes its place.
    const setCookies = [...(begun ? this.clearStrays(header, 1) : []), ...own];
    return { returnTo, begun, waysToKeep, setCookies };
  }

  /** Looks at a flow without changing it. @throws DomainError INVALID_FLOW */
  async peek(state: string, { header, info }: Pick<BrowserRequest, "header" | "info">): Promise<FlowPreview> {
    return await this.#options.service.peek(state, { browsers: this.#options.browsers.find(header), info });
  }

  /** Keeps a provider's posted answer, whoever brings it. @throws DomainError as `SignInService.keepPosted` */
  async keepPosted(...posted: Parameters<SignInService["keepPosted"]>): Promise<void> {
    await this.#options.service.keepPosted(...posted);
  }

  /** Ends a flow whose provider answered by an error, at a route of ours. @throws DomainError as `SignInService.abandon` */
  async abandon(
    state: string,
    { header, info }: Pick<BrowserRequest, "header" | "info">,
    answer: Parameters<SignInService["abandon"]>[2],
  ): Promise<void> {
    await this.#options.service.abandon(
      state,
      { browsers: this.#options.browsers.find(header), info },
      answer,
    );
  }

  /** Ends every session that a request comes with, and clears the cookie, dead or not. */
  async signOut({ header, info, principal }: BrowserRequest): Promise<BrowserAnswer> {
    const { sessions, cookies } = this.#options;
    const principals = (await this.findSessions(header)).map(toPrincipal);
    const strays = this.clearStrays(header, principals.length > 0 ? 2 : 1);
    if (principal?.type === "user") principals.push(principal);
    for (const each of principals) await sessions.signOut({ principal: each, request: info });
    return { setCookies: [...strays, ...cookies.toClearCookies()] };
  }

  /** The live sessions in a request's cookies that count, usually one; their users may be disabled. */
  async findSessions(header: Headers): Promise<LiveSession[]> {
    const { authenticator } = this.#options;
    const found = new Map<string, LiveSession>();
    for (const cookie of await authenticator.findCookies(header)) {
      const session = await authenticator.findByCookie(cookie);
      if (session !== undefined) found.set(session.id, session);
    }
    return [...found.values()];
  }

  /** `Set-Cookie` that clears a session cookie which is no good any more; undefined at once where there is none. */
  clearDeadSession(header: Headers): Promise<string[]> | undefined {
    return findCookies(header, sessionCookieName).length === 0 ? undefined : this.#clearDead(header);
  }

  async #clearDead(header: Headers): Promise<string[]> {
    const isLive = (await this.findSessions(header)).length > 0;
    // One that does not count is a neighbour's, and may be of a domain above.
    return [...this.clearStrays(header, isLive ? 2 : 1), ...(isLive ? [] : this.toClearCookies())];
  }

  /**
   * `Set-Cookie` that clears every session cookie but our own, where a request
   * comes with several: one of an earlier `domain`, or a neighbour's. Where
   * cookies are not bound, RPC refuses the request for as long as one of them is
   * no good.
   *
   * @param least how many are several.
   */
  clearStrays(header: Headers, least = 2): readonly string[] {
    const isFewer = findCookies(header, sessionCookieName).length < least;
    return isFewer ? [] : this.#options.cookies.toClearStrays();
  }

  /** `Set-Cookie` that makes the browser forget its session. */
  toClearCookies(): readonly string[] {
    return this.#options.cookies.toClearCookies();
  }
}

/** Who signs out: enough for the audit, whatever else they may do. */
function toPrincipal({ id, userId, email, emailProven, expiresAt }: LiveSession): UserPrincipal {
  return {
    type: "user",
    id: userId,
    email,
    emailProven,
    superuser: false,
    sessionId: id,
    sessionExpiresAt: expiresAt,
    authVia: "session",
    credentialKind: "session",
  };
}

/**
 * Name of the cookie that says which browser a flow belongs to.
 *
 * It holds 256 random bits, the same in all tabs; a flow keeps their hash. It
 * proves nothing but that two requests came from one browser: that whoever ends
 * a sign-in is who began it.
 */
const browserCookieName = "vestibule_browser";

/**
 * Name under which the same value goes by https, and is then the one that
 * counts: only this very host can set it (RFC 6265bis §4.1.3.2), while the
 * plain name may have been put there by a neighbour under the same domain, who
 * would have a browser end a sign-in that is not its own.
 */
const hostCookieName = `__Host-${browserCookieName}`;

/** How long a browser is remembered after its last `Authenticate`, in seconds. */
const maxAgeSeconds = 86_400;

/** How the browser's cookie is set. */
export interface BrowserCookieOptions {
  /** Whether browsers come by https. */
  readonly secure: boolean;
  /** Whether pages of other sites may sign in: the session's `same_site` is `none`. */
  readonly crossSite: boolean;
}

/** Tells browsers apart. */
export interface Browsers {
  /** The browser a request came from: every well-formed value it sent, usually one. */
  find(header: Headers): string[];
  /** The browser a request came from, or a new one. */
  get(header: Headers): string;
  /** `Set-Cookie` that has the browser remembered. */
  toSetCookies(browser: string): string[];
}

/** @see {@link Browsers} */
export function createBrowsers({ secure, crossSite }: BrowserCookieOptions): Browsers {
  const names = secure ? [browserCookieName, hostCookieName] : [browserCookieName];
  const nameThatCounts = secure ? hostCookieName : browserCookieName;
  // Never `SameSite=Strict`: providers send people back from their own site.
  const sameSite = crossSite ? "None" : "Lax";
  const attributes = `Max-Age=${maxAgeSeconds}; Path=/; HttpOnly; SameSite=${sameSite}${secure ? "; Secure" : ""}`;

  function find(header: Headers): string[] {
    return findCookies(header, nameThatCounts).filter((value) => fromBase64url(value)?.length === 32);
  }

  return {
    find,
    get: (header) => find(header)[0] ?? toBase64url(randomBytes(32)),
    toSetCookies: (browser) => names.map((name) => `${name}=${browser}; ${attributes}`),
  };
}
