/**
 * `/.vestibule/logout`: ends the session at the frontend, and only there.
 *
 * A GET asks, and changes nothing; the answer has to come from a page of the
 * frontend's own. The next login asks who one is, whoever else still knows:
 * signing out would otherwise be undone by the next click.
 */

import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database } from "../../db/database.ts";
import { readField } from "../../html/forms.ts";
import type { RenderPage } from "../../html/frame.ts";
import { html } from "../../html/html.ts";
import { findCookies } from "../../http/node-http.ts";
import { isFromOwnPage } from "../../http/own-origin.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import { DomainError } from "../../lib/errors.ts";
import { ownPath, readReturnPath } from "../decisions/start-url.ts";
import type { BrowserRoute } from "../dialects/browser-route.ts";
import { isSessionCookie } from "../sessions/judge.ts";
import type { GateSessionService } from "../sessions/service.ts";
import { type Arrival, type Desk, sendOn } from "./desk.ts";
import { findFlowMarks, newFlowMark, toFlowCookie, toGateCookie } from "./flow-cookie.ts";
import type { Place } from "./places.ts";

/** What signing out stands on. */
export interface LogoutOptions {
  readonly desk: Desk;
  readonly render: RenderPage;
  readonly sessions: Pick<GateSessionService, "endByCookie">;
  readonly database: Pick<Database, "transaction">;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: Pick<AuditTrail, "recordOwn">;
}

/** Of the cookies that a browser sends, a neighbour may have set some; each costs a transaction. */
const mostCookies = 5;

const action = `${ownPath}logout`;

/** Makes the route. */
export function createLogout(options: LogoutOptions): BrowserRoute {
  const { desk, render, sessions, database, feed, audit } = options;

  async function end({ frontend, host }: Place, cookie: string): Promise<void> {
    await database.transaction(async (tx) => {
      const [ended] = await sessions.endByCookie(tx, { frontendId: frontend.id, host }, cookie);
      if (ended === undefined) return;
      await audit.recordOwn(tx, "server", {
        action: "gate_session.sign_out",
        orgId: frontend.orgId,
        target: ended.subject,
        details: { frontdoor: frontend.frontdoorId, host },
      });
      await feed.append(tx, ended);
    });
  }

  function ask({ request, place }: Arrival): PlainResponse {
    const returnPath = readField(request.query, "rt");
    return render({
      title: "Sign out",
      isAlone: "with forms",
      body: html`<section class="card">
<h1>Sign out</h1>
<p class="lead">of <strong class="address">${place.host}</strong></p>
<form method="post" action="${action}">
${returnPath !== "" && html`<input type="hidden" name="rt" value="${returnPath}">`}
<button class="primary">Sign out</button>
</form>
</section>`,
    });
  }

  async function signOut(arrival: Arrival): Promise<PlainResponse> {
    const { request, place } = arrival;
    const { scheme, sessionCookie, paths } = place.frontend;
    if (!isFromOwnPage(request.header, place.origin)) throw new DomainError("CROSS_ORIGIN");
    const cookies = new Set(findCookies(request.header, sessionCookie).filter(isSessionCookie));
    for (const cookie of [...cookies].slice(0, mostCookies)) await end(place, cookie);
    const [mark = newFlowMark()] = findFlowMarks(request.header, scheme);
    const setCookies = [
      toGateCookie(sessionCookie, "", 0, scheme),
      toFlowCookie({ ...mark, asksAgain: true }, scheme),
    ];
    const form = new URLSearchParams(Buffer.from(request.body).toString("utf8"));
    const asked = readField(form, "rt");
    const path = readReturnPath(asked);
    const [bare = ""] = path.split("?");
    if (asked !== "" && path === asked && paths(bare) === "public")
      return sendOn(place.origin + path, setCookies);
    const words = {
      title: "You are signed out",
      text: `This browser is no longer signed in at ${place.host}. Where you signed in, you may still be.`,
      next: { href: `${place.origin}/`, label: "Sign in again" },
    };
    return desk.show(arrival, words, setCookies);
  }

  return desk.route({ path: "/logout", takesForms: true }, async (arrival) =>
    arrival.request.method === "POST" ? await signOut(arrival) : ask(arrival),
  );
}
