/**
 * The cookie by which a frontend knows the browser again that it sent to the
 * login: 256 random bits, the same in all tabs, of which flows keep a hash.
 * Beside them it counts how often somebody was let in, for a loop to be seen,
 * and says whether somebody signed out. That much is the browser's own
 * business: whoever forges it is asked once more, or less, themselves.
 */
import { randomBytes } from "node:crypto";
import type { FrontendScheme } from "../../frontdoor/frontends/frontend.ts";
import { findCookies } from "../../http/node-http.ts";
import { toBase64url } from "../../lib/base64url.ts";
import { gateFlowCookies } from "../directory/frontend.ts";

/** What the cookie holds. */
export interface FlowMark {
  readonly secret: string;
  /** How often somebody came back from the login since `sinceMs`. */
  readonly returns: number;
  /** The first of those. Milliseconds since the epoch, whole seconds. */
  readonly sinceMs: number;
  /** Whether the next login asks who one is, whoever knows. */
  readonly asksAgain: boolean;
}

/** Coming back so often within so short a time is a loop. */
const mostReturns = 3;
const loopMs = 30_000;

/** How long a browser is known, in seconds: longer where it has to be asked again, lest it forget that. */
const maxAge = 86_400;
const maxAgeSignedOut = 30 * 86_400;

const form = /^([\w-]{43})\.(\d{1,4})\.(\d{1,11})(\.again)?$/;

/** Every well-formed mark that a browser sent: several, by http, where a neighbour set one too. */
export function findFlowMarks(header: Headers, scheme: FrontendScheme): readonly FlowMark[] {
  return findCookies(header, gateFlowCookies[scheme]).flatMap((value) => {
    const [, secret, returns, since, again] = form.exec(value) ?? [];
    if (secret === undefined) return [];
    const sinceMs = Number(since) * 1000;
    return [{ secret, returns: Number(returns), sinceMs, asksAgain: again !== undefined }];
  });
}

/** Of a browser that has none. */
export function newFlowMark(): FlowMark {
  return { secret: toBase64url(randomBytes(32)), returns: 0, sinceMs: 0, asksAgain: false };
}

/** The mark of a browser that comes back from the login, and need not be asked again. */
export function countReturn(mark: FlowMark, now: Date): FlowMark {
  const isFresh = !isRecent(mark, now);
  const sinceMs = isFresh ? Math.floor(now.getTime() / 1000) * 1000 : mark.sinceMs;
  return { ...mark, returns: isFresh ? 1 : Math.min(mark.returns + 1, 9_999), sinceMs, asksAgain: false };
}

/** Whether somebody is sent to and fro, and should be told instead. */
export function isLoop(mark: FlowMark, now: Date): boolean {
  return mark.returns >= mostReturns && isRecent(mark, now);
}

function isRecent({ sinceMs }: FlowMark, now: Date): boolean {
  return Math.abs(now.getTime() - sinceMs) <= loopMs;
}

/** `Set-Cookie` of a mark. */
export function toFlowCookie(mark: FlowMark, scheme: FrontendScheme): string {
  const { secret, returns, sinceMs, asksAgain } = mark;
  const value = `${secret}.${returns}.${sinceMs / 1000}${asksAgain ? ".again" : ""}`;
  return toGateCookie(gateFlowCookies[scheme], value, asksAgain ? maxAgeSignedOut : maxAge, scheme);
}

/** `Set-Cookie` of a cookie of a frontend's host and of no other. Never `Strict`: people come back from another site. */
export function toGateCookie(
  name: string,
  value: string,
  maxAgeSeconds: number,
  scheme: FrontendScheme,
): string {
  const secure = scheme === "https" ? " Secure;" : "";
  return `${name}=${value}; Path=/;${secure} HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;
}
