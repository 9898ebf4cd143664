/**
 * The edge: every request of either HTTP version enters here and is handed to
 * a plain route, an RPC handler, REST, or nobody. Here is what every request
 * goes through (its id, its line of the log, cross-origin sharing, its turn);
 * each kind of answer has a folder of its own, and none of them knows this one.
 *
 * Routes are matched on the raw path, in this order: prefixes, plain routes, RPC
 * methods, REST, methods that a known service does not have. Nothing is decoded
 * or normalised first, so that no two spellings reach one handler. The edge holds
 * no rule of any noun; it turns requests into calls and refusals into answers.
 */
import { setImmediate } from "node:timers/promises";
import type { ServiceRegistration } from "../assembly/services.ts";
import type { Cidr } from "../http/cidr.ts";
import { createClientAddressRule } from "../http/client-address.ts";
import {
  answerAfterBody,
  joinRepeatedCredentials,
  type NodeRequest,
  type NodeResponse,
  sayContinue,
  toRawPath,
} from "../http/node-http.ts";
import { type FunctionRoute, type PlainRoute, type PrefixRoute, sendPlain } from "../http/plain-route.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { Tracing } from "../lib/tracing.ts";
import type { Admission } from "./admission.ts";
import { CallLimits } from "./calls/call-limits.ts";
import { createCors } from "./cors.ts";
import { toOauthError, toPlainError } from "./errors/errors.ts";
import type { Guests } from "./errors/guests.ts";
import { createTranslator } from "./errors/translate.ts";
import { createFrontierAliases, type FrontierMethod } from "./frontier/alias.ts";
import { setStrictTransport } from "./hsts.ts";
import { createInterceptors, type PrincipalChain } from "./interceptors/interceptors.ts";
import { createOpenApiRoute } from "./openapi/route.ts";
import type { Health } from "./operations/health.ts";
import { type Metrics, otherRoute } from "./operations/metrics.ts";
import { createOperations } from "./operations/operations.ts";
import { findAnswerer, sendRefusal, servePlainRoute, servePrefixRoute } from "./plain-route.ts";
import {
  beginRequestSpan,
  createForwardingWarning,
  createRequestInfoReader,
  logRequest,
  toTracedAnswer,
} from "./request-info.ts";
import { createRest, type Rest } from "./rest/rest.ts";
import { isRpcRequest, sendRpcRefusal, sendUnknownService } from "./rpc/refusal.ts";
import { createRpcs, type Rpc, serveRpc } from "./rpc/rpc.ts";
import { createTurns } from "./turns.ts";

/** What the edge is made of. */
export interface EdgeOptions {
  /** Health, ping, metrics and the OpenAPI document come on their own. */
  readonly routes: readonly PlainRoute[];
  readonly prefixRoutes: readonly PrefixRoute[];
  /** Our own services. Health, reflection and Frontier's aliases come on their own. */
  readonly services: readonly ServiceRegistration[];
  /** Answers people, not programs, who come by a browser to a path with nothing behind it. */
  readonly lost?: FunctionRoute["handle"];
  /** Methods of `services` that answer under Frontier's names as well. */
  readonly frontierMethods: readonly FrontierMethod[];
  readonly principals: PrincipalChain;
  readonly health: Health;
  /** Who is let in when there is more to do than can be done. */
  readonly admission: Pick<Admission, "isOpenAt" | "enter" | "noteAnswered">;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Absent when traces are off. */
  readonly tracing?: Tracing | undefined;
  readonly clock: Clock;
  /** Origin of the public URL, without a path: `https://id.example.com`. */
  readonly publicOrigin: string;
  /** Exact origins that may call with credentials. */
  readonly allowedOrigins: readonly string[];
  /** Whether browsers send the session cookie with what pages of other sites ask for. */
  readonly cookieCrossesSites: boolean;
  /** Whether answers tell browsers to come by https alone from now on. */
  readonly strictTransport: boolean;
  readonly trustedProxies: readonly Cidr[];
  readonly limits: EdgeLimits;
  /** Whether calls of the plain kind are answered without the library's adapter; the answers are the same. */
  readonly directCalls: boolean;
  /** For services that are not of our schemas. */
  readonly guests?: Guests;
  /** Ends the calls that are still running as `unavailable`, when the process must end. */
  readonly shutdownSignal?: AbortSignal;
}

/** What one request may take. */
export interface EdgeLimits {
  /** Largest body or message, after decompression. */
  readonly bodyBytes: number;
  /** Longest time of a unary call. */
  readonly requestSeconds: number;
}

/** Called once per request by the HTTP/1.1 server and the HTTP/2 server alike. Never throws. */
export type RequestListener = (request: NodeRequest, response: NodeResponse) => void;

/** What is known of a request that the listener refused. */
export interface RefusedRequest {
  readonly httpVersion: string;
  /** 0 when nothing was answered. */
  readonly status: number;
  readonly fault: string;
  readonly peer: string;
}

/** The edge, ready to take requests. */
export interface Edge {
  readonly handle: RequestListener;
  /** Logs and counts a request that was refused before it could be handled, as it would any other. */
  noteRefused(refusal: RefusedRequest): void;
  /**
   * Reads the routes of REST and compiles the rules of every request message, so
   * that hardly a caller waits for that. To be done once requests are taken,
   * since they need not wait for it: what comes earlier waits for the rules of
   * its own message alone, and for the routes if it may be REST's.
   *
   * @throws Error for annotations that do not fit, as `createRest` says
   */
  warmUp(): Promise<void>;
}

/** One for all: where it is thrown is of no interest, and to note that for each takes time that there is not. */
const overloaded = new DomainError("OVERLOADED", { retryAfterSeconds: 1 });

/**
 * Builds the edge.
 *
 * @throws Error for two routes with one method and path, or an alias of a
 *   method that nobody answers
 */
export function createEdge(options: EdgeOptions): Edge {
  const aliases = createFrontierAliases(options.frontierMethods, options.services);
  const operations = createOperations(
    options,
    [...options.services, ...aliases].map(({ service }) => service),
  );
  const {
    rpcs,
    rest: allRest,
    warmUp,
  } = createCalls(options, [...options.services, ...operations.services], aliases);
  const plain = indexRoutes([...options.routes, ...operations.routes, createOpenApiRoute(options)]);
  const templates = new Set([...plain.keys()].filter((path) => path.endsWith(anySegment)));
  const servicePaths = new Set([...rpcs.keys()].map(toServicePath));
  const readInfo = createRequestInfoReader(options);
  const warnOfForwarding = createForwardingWarning(options);
  const findClient = createClientAddressRule(options.trustedProxies);
  const turnsOf = createTurns();
  const applyCors = createCors(options.allowedOrigins);
  const { log, metrics, tracing, limits, publicOrigin, lost, strictTransport, admission, prefixRoutes } =
    options;

  /** The path of the routes that a request's is one of; itself where there are none. */
  function findPlace(path: string): string {
    if (plain.has(path)) return path;
    const start = path.slice(0, path.lastIndexOf("/") + 1);
    const template = start + anySegment.slice(1);
    return path.length > start.length && templates.has(template) ? template : path;
  }

  /** Answers the request, or refuses it; the result names its route for the metrics. */
  function dispatch(
    request: NodeRequest,
    response: NodeResponse,
    info: RequestInfo,
    refusal?: DomainError,
  ): string {
    const answerer = findAnswerer(prefixRoutes, request.url);
    if (answerer !== undefined) {
      servePrefixRoute(answerer, request, response, info, { log, refusal });
      return answerer.label;
    }
    warnOfForwarding(request, info);
    sayContinue(request, response);
    const path = toRawPath(request.url);
    if (strictTransport) setStrictTransport(response);
    const rpc = rpcs.get(path);
    const place = rpc === undefined ? findPlace(path) : path;
    const routes = plain.get(place);
    const found = routes && findRoute(routes, request);
    // What answers calls, and routes by a function, says it in the head with all else.
    const saysId = found !== undefined ? !("raw" in found) : rpc !== undefined && isCall(request, refusal);
    if (!saysId) response.setHeader("x-request-id", info.requestId);
    const rest = routes === undefined && rpc === undefined ? allRest.find(request) : undefined;
    const route = routes !== undefined || rpc !== undefined ? place : (rest?.label ?? otherRoute);
    const hasService = () => servicePaths.has(toServicePath(path));
    if (applyCors(request, response, routes?.values())) {
      return route;
    }
    if (refusal !== undefined) {
      answerAfterBody(request, limits.bodyBytes, () => {
        if (rpc !== undefined || isRpcRequest(request)) sendRpcRefusal(request, response, info, refusal);
        else if (rest !== undefined) rest.refuse(response, info, refusal);
        else sendRefusal(response, refusal, info, log, found?.refusals);
      });
    } else if (routes !== undefined) {
      if (found === undefined) {
        answerAfterBody(request, limits.bodyBytes, () => sendMethodNotAllowed(response, routes));
      } else {
        void servePlainRoute(found, request, response, info, { bodyBytes: limits.bodyBytes, log });
      }
    } else if (rpc !== undefined) {
      serveRpc(rpc, request, response, info, { publicOrigin, log });
    } else if (rest !== undefined) {
      void rest.serve(request, response, info);
    } else if (hasService() || isRpcRequest(request)) {
      const refuse = hasService() ? sendRpcRefusal : sendUnknownService;
      const missing = new DomainError("NOT_IMPLEMENTED");
      answerAfterBody(request, limits.bodyBytes, () => refuse(request, response, info, missing));
    } else if (lost !== undefined && isNavigation(request)) {
      void servePlainRoute({ method: "GET", path, handle: lost }, request, response, info, {
        bodyBytes: limits.bodyBytes,
        log,
      });
    } else {
      const missing = new DomainError("NOT_FOUND");
      answerAfterBody(request, limits.bodyBytes, () => sendRefusal(response, missing, info, log));
    }
    return route;
  }

  const handle: RequestListener = (request, response) => {
    const beganAtMs = performance.now();
    const info = readInfo(request, turnsOf(request, response));
    const isVital = operations.isVital(request.url);
    const span = tracing && beginRequestSpan(tracing, request, info);
    metrics.begin();
    let route: string = otherRoute;
    // Tells of the end in every case, also of a caller that goes away.
    response.on("close", () => {
      info.outcome.code ??= toCode(response);
      const ms = performance.now() - beganAtMs;
      metrics.end(route, info.outcome, ms / 1000);
      logRequest(log, { request, response, info, span, route, ms });
      span?.end(toTracedAnswer({ request, response, info }, route, rpcs.has(route)));
      // Who asks for health by a connection of its own never waits for its turn.
      if (!isVital && isKept(response)) admission.noteAnswered(request.socket);
    });
    const answer = (refusal?: DomainError) => {
      try {
        joinRepeatedCredentials(request);
        route = span
          ? span.run(() => dispatch(request, response, info, refusal))
          : dispatch(request, response, info, refusal);
      } catch (error) {
        log.error({ requestId: info.requestId, err: error }, "request failed");
        response.destroy();
      }
    };
    if (admission.isOpenAt(beganAtMs) || isVital) {
      answer();
    } else {
      admission.enter({
        atMs: beganAtMs,
        connection: "stream" in request ? undefined : request.socket,
        // Nothing need be done for who has gone while it waited.
        begin: () => hasEnded(response) || answer(),
        refuse: () => hasEnded(response) || answer(overloaded),
      });
    }
  };

  function noteRefused({ httpVersion, status, fault, peer }: RefusedRequest): void {
    const { address } = findClient({ peer, xForwardedFor: undefined, forwarded: undefined });
    const code = status === 0 ? "canceled" : "client_error";
    metrics.begin();
    metrics.end(otherRoute, { code }, 0);
    log.info({ http: httpVersion, status, code, client: address, detail: fault }, "request");
  }

  return { handle, noteRefused, warmUp };
}

/** Not `isGone`: an answer that waits for the one before it on its connection has no socket yet. */
function hasEnded(response: NodeResponse): boolean {
  return "stream" in response ? response.stream.destroyed : response.destroyed;
}

/** Whether an answer by HTTP/1.1 is over and its connection may bring another request. */
function isKept(response: NodeResponse): boolean {
  return "shouldKeepAlive" in response && response.shouldKeepAlive && !response.req.socket.destroyed;
}

/**
 * How the services are called: over RPC by path, and those of ours over REST.
 *
 * @param own all that are called by their own names
 */
function createCalls(
  options: EdgeOptions,
  own: readonly ServiceRegistration[],
  aliases: readonly ServiceRegistration[],
): {
  rpcs: Map<string, Rpc>;
  rest: Rest;
  warmUp: () => Promise<void>;
} {
  const interceptors = createInterceptors({
    principals: options.principals,
    origins: [options.publicOrigin, ...options.allowedOrigins],
    crossSite: options.cookieCrossesSites,
  });
  const rpc = {
    translator: createTranslator({
      log: options.log,
      bodyBytes: options.limits.bodyBytes,
      guests: options.guests,
    }),
    interceptors: interceptors.chain,
    bodyBytes: options.limits.bodyBytes,
    directCalls: options.directCalls,
    ...(options.guests !== undefined && { registry: options.guests.registry }),
    limits: new CallLimits({
      requestSeconds: options.limits.requestSeconds,
      shutdownSignal: options.shutdownSignal,
    }),
  };
  const rpcs = new Map([...createRpcs(own, rpc), ...createRpcs(aliases, { ...rpc, protoFieldNames: true })]);
  const { publicOrigin, services } = options;
  const rest = createRest({ ...rpc, services, publicOrigin });
  return {
    rpcs,
    rest,
    warmUp: async () => {
      await setImmediate();
      rest.warm();
      await interceptors.warm(own.map(({ service }) => service));
    },
  };
}

function indexRoutes(routes: readonly PlainRoute[]): Map<string, Map<string, PlainRoute>> {
  const index = new Map<string, Map<string, PlainRoute>>();
  for (const route of routes) {
    const byMethod = index.get(route.path) ?? new Map<string, PlainRoute>();
    if (byMethod.has(route.method)) {
      throw new Error(`two routes for ${route.method} ${route.path}`);
    }
    index.set(route.path, byMethod.set(route.method, route));
  }
  return index;
}

/** The route of a request's method. A GET route answers HEAD as well. */
function findRoute(
  routes: ReadonlyMap<string, PlainRoute>,
  { method = "" }: NodeRequest,
): PlainRoute | undefined {
  return routes.get(method === "HEAD" && !routes.has("HEAD") ? "GET" : method);
}

/** Whether an RPC takes the request, and no other answer of the edge. */
function isCall({ method }: NodeRequest, refusal: DomainError | undefined): boolean {
  return method !== "OPTIONS" && refusal === undefined;
}

/** Whether a browser wants a page to show: it says so, or an old one asks for HTML first. */
function isNavigation({ method, headers }: NodeRequest): boolean {
  const isRead = method === "GET" || method === "HEAD";
  const mode = headers["sec-fetch-mode"];
  return (
    isRead && (mode === undefined ? /^\s*text\/html\b/i.test(headers.accept ?? "") : mode === "navigate")
  );
}

/** How the path of a route ends that answers every last segment. */
const anySegment = "/{id}";

/** `/vestibule.v1.AuthService/` of `/vestibule.v1.AuthService/AuthToken`. */
function toServicePath(path: string): string {
  return path.slice(0, path.indexOf("/", 1) + 1);
}

function sendMethodNotAllowed(response: NodeResponse, routes: ReadonlyMap<string, PlainRoute>): void {
  const methods = [...routes.keys()];
  const allow = methods.includes("GET") ? [...methods, "HEAD"] : methods;
  const isOauth = [...routes.values()].some(({ refusals }) => refusals === "oauth");
  const refusal = new DomainError("METHOD_NOT_ALLOWED");
  const answer = isOauth ? toOauthError(refusal) : toPlainError(refusal);
  sendPlain(response, { ...answer, headers: { ...answer.headers, allow: allow.join(", ") } });
}

/** What an answer is called that is over when nobody has said so; one that was cut is not finished. */
function toCode(response: NodeResponse): string {
  if (!response.headersSent || !response.writableEnded) return "canceled";
  if (response.statusCode < 400) return "ok";
  return response.statusCode < 500 ? "client_error" : "server_error";
}
