/** `/.vestibule/start`: where signing in at a frontend begins. */
import { newState } from "../../auth/flows.ts";
import { readField } from "../../html/forms.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import type { Clock } from "../../lib/clock.ts";
import { hashSecret } from "../../lib/secrets.ts";
import type { Rate } from "../../limits/rates.ts";
import { isNavigation } from "../asks/navigation.ts";
import { readReturnPath } from "../decisions/start-url.ts";
import type { BrowserRoute } from "../dialects/browser-route.ts";
import type { SessionJudgement } from "../sessions/judge.ts";
import { type Arrival, type Desk, refuseProgram, sendOn } from "./desk.ts";
import { findFlowMarks, isLoop, newFlowMark, toFlowCookie } from "./flow-cookie.ts";
import { flowSeconds, type GateFlows, type Visit } from "./gate-flows.ts";
import { toFinishUrl, toLoginPath } from "./places.ts";

/** What beginning to sign in stands on. */
export interface StartOptions {
  readonly desk: Desk;
  readonly flows: Pick<GateFlows, "visits">;
  /** How many flows of an address may be on their way. */
  readonly flowLimits: Rate;
  readonly publicUrl: string;
  readonly clock: Clock;
}

/** Makes the route. */
export function createStart({ desk, flows, flowLimits, publicUrl, clock }: StartOptions): BrowserRoute {
  async function begin(arrival: Arrival, path: string, session: SessionJudgement | undefined) {
    const { request, place } = arrival;
    const { frontend, host, origin } = place;
    const [mark = newFlowMark()] = findFlowMarks(request.header, frontend.scheme);
    if (isLoop(mark, clock.now())) return showLoop(arrival, path);
    const counted = flowLimits.take(request.info.clientAddress);
    const state = newState();
    const renews = findRenewal(session);
    const visit: Visit = {
      frontdoorId: frontend.frontdoorId,
      host,
      path,
      asksAgain: mark.asksAgain,
      isSecond: request.query.has("second"),
      counted,
      ...(renews && { renews }),
    };
    await flows.visits.keep(state, {
      strategy: frontend.id,
      browserHash: hashSecret(mark.secret),
      callbackUrl: toFinishUrl(origin, "", ""),
      secret: visit,
      flowSeconds,
    });
    return sendOn(publicUrl + toLoginPath(state), [toFlowCookie(mark, frontend.scheme)]);
  }

  function showLoop(arrival: Arrival, path: string): PlainResponse {
    const { info } = arrival.request;
    info.outcome.reason = "LOGIN_LOOP";
    return desk.show(arrival, {
      status: 400,
      title: "You are being sent round in circles",
      text: "You have signed in several times just now, and are not signed in. Most often the browser does not keep this site's cookie, or what stands in front of the app does not pass it on. Allow cookies for this site and wait half a minute before you try again.",
      next: desk.toAnew(arrival, path),
    });
  }

  return desk.route({ path: "/start" }, async (arrival) => {
    const { request, place } = arrival;
    if (!isNavigation({ method: request.method, headers: request.lines })) return refuseProgram(request);
    if (request.method === "HEAD") return { status: 200 };
    const path = readReturnPath(readField(request.query, "rt"));
    const session = await desk.findSession(arrival);
    if (session?.isGood && !session.isDue) return sendOn(place.origin + path);
    if (place.frontend.logins.length === 0) {
      return desk.show(arrival, {
        status: 403,
        title: "Nobody signs in here by browser",
        text: "This place lets in programs that bring a credential, and has no way for people to sign in.",
      });
    }
    return await begin(arrival, path, session);
  });
}

/** The session that its provider is to be asked about again. */
function findRenewal(judged: SessionJudgement | undefined): Visit["renews"] {
  if (judged === undefined || (!judged.isGood && judged.refusal !== "due")) return undefined;
  const { session } = judged;
  return session && { sessionId: session.id, providerId: session.providerId };
}
