/**
 * Where proxies ask: `/frontdoor/{id}/gate/…`, a path for each dialect, whatever
 * the method, and what is shown to visitors under the proxy's own
 * `/.vestibule/…`: for now the keys that assertions are verified by.
 *
 * The frontdoor and the dialect follow from the path alone, which the proxy's
 * configuration says; nothing that a visitor can send chooses either.
 */
import {
  isGone,
  LazyHeaders,
  type NodeRequest,
  type NodeResponse,
  toOriginForm,
  toPeerAddress,
} from "../../http/node-http.ts";
import {
  type PlainRequest,
  type PlainResponse,
  type PrefixAnswerer,
  type PrefixRoute,
  sendPlain,
} from "../../http/plain-route.ts";
import type { ErrorKind } from "../../lib/errors.ts";
import type { RequestInfo } from "../../lib/request.ts";
import { type GateAnswer, leaveBody, noStore, sendAnswer } from "./answer.ts";
import type { Asking, Question } from "./answer-ask.ts";
import type { Dialect } from "./dialect.ts";

const prefix = "/frontdoor/";
const gate = "/gate";

/** What is served for browsers and apps, by its path behind `/gate/browser`. */
export interface BrowserRoute {
  readonly path: string;
  readonly handle: (request: Pick<PlainRequest, "header">) => PlainResponse | Promise<PlainResponse>;
}

/** Puts the routes of all dialects together. */
export function createGateRoute(
  asking: Asking,
  dialects: readonly Dialect[],
  browserRoutes: readonly BrowserRoute[],
): PrefixRoute {
  const whole = new Map<string, PrefixAnswerer>(
    browserRoutes.map((route) => {
      const path = `/browser${route.path}`;
      return [path, createBrowserAnswerer(asking, path, route)];
    }),
  );
  const open: (readonly [path: string, answerer: PrefixAnswerer])[] = [];
  for (const dialect of dialects) {
    const answerer = createDialectAnswerer(asking, dialect);
    whole.set(dialect.path, answerer);
    if (dialect.takesRest) open.push([`${dialect.path}/`, answerer]);
  }

  return {
    prefix,
    find(target) {
      const mark = target.indexOf("?");
      const path = mark < 0 ? target : target.slice(0, mark);
      const end = path.indexOf("/", prefix.length);
      if (end < 0 || !path.startsWith(gate, end)) return undefined;
      const rest = path.slice(end + gate.length);
      if (rest !== "" && !rest.startsWith("/")) return undefined;
      return whole.get(rest) ?? open.find(([start]) => rest.startsWith(start))?.[1] ?? nothing;
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

function createBrowserAnswerer(asking: Asking, path: string, { handle }: BrowserRoute): PrefixAnswerer {
  return {
    label: `/frontdoor/{id}/gate${path}`,
    async answer(request, response, info) {
      if (!(await asking.isProven(toQuestion(request, info, path)))) {
        return sendProblem(request, response, info, problems.unproven);
      }
      if (request.method !== "GET" && request.method !== "HEAD") {
        return sendProblem(request, response, info, problems.method);
      }
      const answer = await handle({ header: new LazyHeaders(request) });
      if (isGone(response)) return;
      leaveBody(request, response);
      sendPlain(response, answer, info.requestId);
    },
    refuse(request, response, info) {
      sendProblem(request, response, info, problems.unavailable);
    },
  };
}

/** What is said where no decision is. */
interface Problem {
  readonly code: ErrorKind;
  readonly answer: GateAnswer;
}

function toProblem(status: number, code: ErrorKind, message: string, ...more: readonly string[]): Problem {
  const head = [...noStore, "Content-Type", "application/json", "X-Content-Type-Options", "nosniff", ...more];
  return { code, answer: { status, head, body: JSON.stringify({ code, message }) } };
}

const problems = {
  unproven: toProblem(403, "permission_denied", "not authorized"),
  method: toProblem(405, "unimplemented", "method not allowed", "Allow", "GET, HEAD"),
  missing: toProblem(404, "not_found", "not found"),
  unavailable: toProblem(503, "unavailable", "temporarily unavailable, try again", "Retry-After", "1"),
} as const;

function sendProblem(
  request: NodeRequest,
  response: NodeResponse,
  { requestId, outcome }: RequestInfo,
  { code, answer }: Problem,
): void {
  outcome.code = code;
  sendAnswer(request, response, answer, requestId);
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
    frontdoorId: target.slice(prefix.length, end),
    method: request.method ?? "",
    rest: target.slice(end + gate.length + path.length),
    lines: request.rawHeaders,
    peer: toPeerAddress(request),
    info,
  };
}
