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
import type { Database } from "../../db/database.ts";
import { readField } from "../../html/forms.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Rate } from "../../limits/rates.ts";
import { readDevice } from "../../sessions/device.ts";
import { readReturnPath, toStartUrl } from "../decisions/start-url.ts";
import type { BrowserRoute } from "../dialects/browser-route.ts";
import type { GateSessionService } from "../sessions/service.ts";
import { type Arrival, type Desk, sendOn } from "./desk.ts";
import {
  countReturn,
  type FlowMark,
  findFlowMarks,
  isLoop,
  toFlowCookie,
  toGateCookie,
} from "./flow-cookie.ts";
import type { Code, GateFlows } from "./gate-flows.ts";

/** What letting people in stands on. */
export interface FinishOptions {
  readonly desk: Desk;
  readonly flows: Pick<GateFlows, "codes">;
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
    const { provider } = code.session;
    const isHere = code.frontdoorId === request.frontdoorId && code.host === place.host;
    // One that was taken away meanwhile, or disabled in between, vouches for nobody any more.
    const isVouchedFor = place.frontend.logins.some(
      ({ id, sessionsFrom }) => id === provider.id && sessionsFrom <= provider.revision,
    );
    return isHere && isVouchedFor ? { id: flow.id, browserHash: flow.browserHash, code } : undefined;
  }

  /** Begins the session of a code; undefined when the code was used meanwhile. Answers its cookie. */
  async function letIn(arrival: Arrival, { id, code }: FoundCode): Promise<string | undefined> {
    const { request, place } = arrival;
    const { frontend, host } = place;
    const cookie = await database.transaction(async (tx) => {
      if (!(await flows.codes.consume(tx, id))) return undefined;
      const begun = await sessions.begin(tx, {
        ...code.session,
        identity: { ...code.session.identity, dependsOn: [] },
        frontend,
        host,
        maxAgeSeconds: frontend.sessionMaxAge,
        device: readDevice(deviceHeaders, request.header, request.info),
      });
      const { provider, identity } = code.session;
      await audit.recordOwn(tx, "server", {
        action: "gate_session.create",
        orgId: frontend.orgId,
        target: begun.session.id,
        details: {
          frontdoor: frontend.frontdoorId,
          frontend: frontend.id,
          provider: provider.id,
          subject: identity.subject,
        },
      });
      await feed.append(tx, ...begun.changes);
      return begun.cookie;
    });
    if (cookie !== undefined) flowLimits.giveBack(code.counted);
    return cookie;
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
    if (found !== undefined && mark !== undefined) {
      const cookie = await letIn(arrival, found);
      if (cookie !== undefined) return toPath(arrival, path, mark, cookie);
    }
    if (session?.isGood && !session.isDue) return sendOn(place.origin + path);
    const [first] = marks;
    if (first === undefined) return showBlocked(desk, arrival, path);
    if (found !== undefined && mark === undefined && !isLoop(first, clock.now())) {
      // Another tab began at the same time, and its cookie took the place of this one's.
      const counted = toFlowCookie(
        { ...countReturn(first, clock.now()), asksAgain: first.asksAgain },
        place.frontend.scheme,
      );
      return sendOn(toStartUrl(place.origin, path), [counted]);
    }
    return showExpired(desk, arrival, path);
  });
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
