/**
 * What a frontend shows under `/.vestibule/…`: its proxy passes these paths on
 * to `/frontdoor/{id}/gate/browser/…`, and is asked for its token as with
 * every ask.
 *
 * Where a visitor is comes in `X-Forwarded-Host` alone, which the proxy sets,
 * whatever its dialect. Unlike an ask such a request is a visitor's own: it has
 * a method, a query and, by POST, a body that mean something.
 */
import { isGone, LazyHeaders, type NodeRequest, noBody, readBody, toRawQuery } from "../../http/node-http.ts";
import {
  type PlainRequest,
  type PlainResponse,
  type PrefixAnswerer,
  sendPlain,
} from "../../http/plain-route.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { VisitorHeaders } from "../asks/ask.ts";
import { readHost } from "../asks/read-ask.ts";
import { findOnlyLine, readVisitorHeaders } from "../asks/visitor-headers.ts";
import { leaveBody } from "./answer.ts";
import type { Asking, Question } from "./answer-ask.ts";
import { problems, sendProblem } from "./problems.ts";

/** A visitor's request of a frontend's own page. */
export interface BrowserRequest extends PlainRequest {
  /** In lower case, from the route. */
  readonly frontdoorId: string;
  /** The visitor's, as asks have it; undefined where the proxy does not say it exactly once. */
  readonly host: string | undefined;
  /** By the grammar of asks. */
  readonly lines: VisitorHeaders;
}

/** A page, or another thing, by its path behind `/gate/browser`. */
export interface BrowserRoute {
  readonly path: string;
  /** Whether forms are sent to it. */
  readonly takesForms?: true;
  readonly handle: (request: BrowserRequest) => PlainResponse | Promise<PlainResponse>;
}

/** Longest form that is read, in bytes. */
const longestForm = 16 * 1024;

/** Has a route answer visitors. @param read makes a question of what a proxy sends */
export function createBrowserAnswerer(
  asking: Asking,
  route: BrowserRoute,
  label: string,
  read: (request: NodeRequest, info: RequestInfo) => Question,
): PrefixAnswerer {
  function toBrowserRequest(
    request: NodeRequest,
    question: Question,
    lines: VisitorHeaders,
    body: Uint8Array,
  ): BrowserRequest {
    const host = findOnlyLine(lines, "x-forwarded-host");
    const scheme = findOnlyLine(lines, "x-forwarded-proto");
    return {
      method: question.method,
      path: route.path,
      query: new URLSearchParams(toRawQuery(request.url)),
      header: new LazyHeaders(request),
      body,
      info: { ...question.info, clientAddress: asking.findVisitorAddress(question) },
      frontdoorId: question.frontdoorId,
      host: host === undefined ? undefined : readHost({ scheme, host }),
      lines,
    };
  }

  return {
    label,
    async answer(request, response, info) {
      // Bytes may follow that are no request (CVE-2026-73548).
      if (!("stream" in response) && request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
      const question = read(request, info);
      if (!(await asking.isProven(question))) return sendProblem(request, response, info, problems.unproven);
      const isForm = question.method === "POST" && route.takesForms === true;
      if (!isForm && question.method !== "GET" && question.method !== "HEAD") {
        return sendProblem(request, response, info, problems[route.takesForms ? "getOrPost" : "getOnly"]);
      }
      const lines = readVisitorHeaders(question.lines);
      if (typeof lines === "string") return sendProblem(request, response, info, problems.refused);
      const body = isForm ? await readBody(request, longestForm) : noBody;
      const answer = await route.handle(toBrowserRequest(request, question, lines, body));
      if (isGone(response)) return;
      leaveBody(request, response);
      sendPlain(response, answer, info.requestId);
    },
    refuse(request, response, info) {
      sendProblem(request, response, info, problems.unavailable);
    },
  };
}
