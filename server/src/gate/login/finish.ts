/**
 * `/.vestibule/finish`: where people come back to with a code, and are in.
 *
 * A code is good once, at the very frontdoor, frontend and host that it was
 * made for, in the browser that has the visit's flow cookie. Anywhere else it
 * is as unknown, and stays good where it belongs.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import { isSameBrowser } from "../../auth/flows.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { SessionHeadersConfig } from "../../config/config.ts";
import type { Database, Tx } from "../../db/database.ts";
import { readField } from "../../html/forms.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Rate } from "../../limits/rates.ts";
import { readDevice } from "../../sessions/device.ts";
import { readReturnPath, toStartUrl } from "../decisions/start-url.ts";
import type { BrowserRoute } from "../dialects/browser-route.ts";
import type { GateSession } from "../sessions/gate-session.ts";
import { toCreateEvent } from "../sessions/records.ts";
import type { GateSessionService } from "../sessions/service.ts";
import { type Arrival, type Desk, sendOn } from "./desk.ts";
import { countReturn, type FlowMark, findFlowMarks, toFlowCookie, toGateCookie } from "./flow-cookie.ts";
import type { Code, GateFlows, ProvenSession } from "./gate-flows.ts";
import type { Place } from "./places.ts";

/** What letting people in stands on. */
export interface FinishOptions {
  readonly desk: Desk;
  readonly flows: Pick<GateFlows, "codes" | "visits">;
  readonly sessions: Pick<GateSessionService, "begin">;
  readonly flowLimits: Pick<Rate, "giveBack">;
  readonly database: Pick<Database, "transaction">;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly deviceHeaders: SessionHeadersConfig;
  readonly clock: Clock;
}

/** A code that is for this place. */
interface FoundCode {
  readonly id: string;
  readonly browserHash: string;
  readonly code: Code;
}

/** Makes the route. */
export function createFinish(options: FinishOptions): BrowserRoute {
  const { desk, flows, sessions, flowLimits, database, feed, audit, deviceHeaders, clock } = options;

  async function findCode({ request, place }: Arrival): Promise<FoundCode | undefined> {
    const flow = await flows.codes.findLive(readField(request.query, "code"));
    if (flow === undefined || flow.strategy !== place.frontend.id) return undefined;
    const code = flows.codes.unseal(flow);
    const isHere = code.frontdoorId === request.frontdoorId && code.host === place.host;
    const isGood = isHere && (await isVouchedFor(place, code.session));
    return isGood ? { id: flow.id, browserHash: flow.browserHash, code } : undefined;
  }

  /** Ends a code for whoever is in already as who it says: other tabs go by the cookie that they have. */
  async function goOn({ id, code }: FoundCode): Promise<boolean> {
    const ended = await database.transaction((tx) => end(tx, id, code));
    ended?.();
    return ended !== undefined;
  }

  /** Ends a code; undefined when it was used meanwhile. Answers what is to be done once that is sure. */
  async function end(tx: Tx, id: string, { visitId, counted }: Code): Promise<(() => void) | undefined> {
    if (!(await flows.codes.consume(tx, id))) return undefined;
    const isFirst = await flows.visits.noteEnd(tx, visitId);
    return () => isFirst && flowLimits.giveBack(counted);
  }

  /** Begins the session of a code; undefined when the code was used meanwhile. Answers its cookie. */
  async function letIn(
    arrival: Arrival,
    { id, code }: FoundCode,
    replaced: string | undefined,
  ): Promise<string | undefined> {
    const { request, place } = arrival;
    const { frontend, host } = place;
    const done = await database.transaction(async (tx) => {
      const ended = await end(tx, id, code);
      if (ended === undefined) return undefined;
      const begun = await sessions.begin(tx, {
        ...(replaced !== undefined && { renews: replaced }),
        ...code.session,
        identity: { ...code.session.identity, dependsOn: [] },
        frontend,
        host,
        maxAgeSeconds: frontend.sessionMaxAge,
        device: readDevice(deviceHeaders, request.header, request.info),
      });
      // One that was renewed in place is no new one.
      if (begun.session.id !== code.session.renews) {
        await audit.recordOwn(tx, "server", toCreateEvent(begun.session, frontend.orgId));
      }
      await feed.append(tx, ...begun.changes);
      return { ended, cookie: begun.cookie };
    });
    done?.ended();
    return done?.cookie;
  }

  function toPath(arrival: Arrival, path: string, mark: FlowMark, cookie?: string): PlainResponse {
    const { frontend, origin } = arrival.place;
    const { scheme, sessionCookie, sessionMaxAge } = frontend;
    const counted = toFlowCookie(countReturn(mark, clock.now()), scheme);
    const own = cookie === undefined ? [] : [toGateCookie(sessionCookie, cookie, sessionMaxAge, scheme)];
    return sendOn(origin + path, [...own, counted]);
  }

  return desk.route({ path: "/finish" }, async (arrival) => {
    const { request, place } = arrival;
    if (request.method === "HEAD") return { status: 200 };
    const path = readReturnPath(readField(request.query, "rt"));
    const marks = findFlowMarks(request.header, place.frontend.scheme);
    const found = await findCode(arrival);
    const session = await desk.findSession(arrival);
    const mark = found && marks.find(({ secret }) => isSameBrowser([secret], found.browserHash));
    const live = session?.isGood && !session.isDue ? session : undefined;
    if (found !== undefined && mark !== undefined) {
      if (live && isOf(live, found.code)) {
        if (await goOn(found)) return toPath(arrival, path, mark);
      } else {
        const cookie = await letIn(arrival, found, live?.session.id);
        if (cookie !== undefined) return toPath(arrival, path, mark, cookie);
      }
    }
    if (live) return sendOn(place.origin + path);
    if (marks.length === 0) return showBlocked(desk, arrival, path);
    if (found !== undefined && mark === undefined && !found.code.isSecond) {
      // Another tab began at the same time, and its cookie took the place of this one's.
      return sendOn(`${toStartUrl(place.origin, path)}&second=1`);
    }
    return showExpired(desk, arrival, path);
  });
}

/** Whether a session is of the very person, by the very provider, that a code is for. */
function isOf({ session }: { readonly session: GateSession }, { session: proven }: Code): boolean {
  return session.providerId === proven.provider.id && session.subject === proven.identity.subject;
}

/** Whether a provider that proved somebody still may: it may have been taken away, or they may have signed out. */
async function isVouchedFor({ frontend }: Place, proven: ProvenSession): Promise<boolean> {
  const { provider, parentSessionId } = proven;
  const found = frontend.logins.find(({ id }) => id === provider.id);
  if (found === undefined || provider.revision < found.sessionsFrom) return false;
  const { login } = found.type;
  if (login?.kind !== "own" || parentSessionId === undefined) return true;
  return (await login.judge(found.instance, parentSessionId)).allowed;
}

function showBlocked(desk: Desk, arrival: Arrival, path: string): PlainResponse {
  arrival.request.info.outcome.reason = "INVALID_AUTH_STATE";
  return desk.show(arrival, {
    status: 400,
    title: "This browser keeps no cookies here",
    text: "Without them nobody can stay signed in, or this sign-in began in another browser. Allow cookies for this site, then start again.",
    next: desk.toAnew(arrival, path),
  });
}

function showExpired(desk: Desk, arrival: Arrival, path: string): PlainResponse {
  arrival.request.info.outcome.reason = "INVALID_FLOW";
  return desk.show(arrival, {
    status: 400,
    title: "This sign-in is over",
    text: "It took too long, or was finished already. Nothing is lost: start again.",
    next: desk.toAnew(arrival, path),
  });
}
