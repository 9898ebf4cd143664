/**
 * Where proxies ask: `/frontdoor/{id}/gate/…`, a path for each dialect, whatever
 * the method, and what is shown to visitors under a frontend's own
 * `/.vestibule/…` (`browser-route.ts`).
 *
 * The frontdoor and the dialect follow from the path alone, which the proxy's
 * configuration says; nothing that a visitor can send chooses either.
 */
import { isGone, type NodeRequest, toOriginForm, toPeerAddress } from "../../http/node-http.ts";
import type { PrefixAnswerer, PrefixRoute } from "../../http/plain-route.ts";
import type { RequestInfo } from "../../lib/request.ts";
import { sendAnswer } from "./answer.ts";
import type { Asking, Question } from "./answer-ask.ts";
import { type BrowserRoute, createBrowserAnswerer } from "./browser-route.ts";
import type { Dialect } from "./dialect.ts";
import { problems, sendProblem } from "./problems.ts";

const prefix = "/frontdoor/";
const gate = "/gate";

/** Who answers at a path, or below it, that follows `/gate`. */
interface Place {
  readonly rest: string;
  readonly answerer: PrefixAnswerer;
}

/** Puts the routes of all dialects together. */
export function createGateRoute(
  asking: Asking,
  dialects: readonly Dialect[],
  browserRoutes: readonly BrowserRoute[],
): PrefixRoute {
  const whole: Place[] = [];
  const open: Place[] = [];
  for (const dialect of dialects) {
    const answerer = createDialectAnswerer(asking, dialect);
    whole.push({ rest: dialect.path, answerer });
    if (dialect.takesRest) open.push({ rest: `${dialect.path}/`, answerer });
  }
  for (const route of browserRoutes) {
    const rest = `/browser${route.path}`;
    const read = (request: NodeRequest, info: RequestInfo) => toQuestion(request, info, rest);
    whole.push({ rest, answerer: createBrowserAnswerer(asking, route, `/frontdoor/{id}/gate${rest}`, read) });
  }

  return {
    prefix,
    find(target) {
      const mark = target.indexOf("?");
      const path = mark < 0 ? target : target.slice(0, mark);
      const end = path.indexOf("/", prefix.length);
      if (end < 0 || !path.startsWith(gate, end)) return undefined;
      const at = end + gate.length;
      if (at < path.length && path[at] !== "/") return undefined;
      // Compared where it stands: to cut it out and look it up would take longer.
      const isHere = ({ rest }: Place) => path.startsWith(rest, at);
      const found = whole.find((place) => at + place.rest.length === path.length && isHere(place));
      return (found ?? open.find(isHere))?.answerer ?? nothing;
    },
  };
}

function createDialectAnswerer(asking: Asking, dialect: Dialect): PrefixAnswerer {
  return {
    label: `/frontdoor/{id}/gate${dialect.path}`,
    answer(request, response, info) {
      const answer = asking.answer(dialect, toQuestion(request, info, dialect.path));
      if (!(answer instanceof Promise)) {
        sendAnswer(request, response, answer, info.requestId);
        return undefined;
      }
      return answer.then((made) => {
        if (!isGone(response)) sendAnswer(request, response, made, info.requestId);
      });
    },
    refuse(request, response, info, { retryAfterSeconds = 1 }) {
      const answer = asking.deny(dialect, info, {
        isAllowed: false,
        reason: "UNAVAILABLE",
        retryAfterSeconds,
      });
      sendAnswer(request, response, answer, info.requestId);
    },
  };
}

/** Below `/gate` all paths are the gate's, also those with nothing behind them. */
const nothing: PrefixAnswerer = {
  label: "/frontdoor/{id}/gate",
  answer: (request, response, info) => sendProblem(request, response, info, problems.missing),
  refuse: (request, response, info) => sendProblem(request, response, info, problems.unavailable),
};

function toQuestion(request: NodeRequest, info: RequestInfo, path: string): Question {
  const target = toOriginForm(request.url);
  const end = target.indexOf("/", prefix.length);
  return {
    frontdoorId: target.slice(prefix.length, end).toLowerCase(),
    method: request.method ?? "",
    rest: target.slice(end + gate.length + path.length),
    lines: request.rawHeaders,
    peer: toPeerAddress(request),
    info,
  };
}
