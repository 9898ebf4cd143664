/**
 * What the edge knows of a request at its head, and what it tells of it once it
 * is over: one line of the log, and a span where there are traces.
 */
import type { Cidr } from "../http/cidr.ts";
import { type ClientAddress, createClientAddressRule } from "../http/client-address.ts";
import {
  findHeader,
  type NodeRequest,
  type NodeResponse,
  toPeerAddress,
  toRawPath,
} from "../http/node-http.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import type { DoWork, RequestInfo, RequestOutcome } from "../lib/request.ts";
import type { RequestSpan, TracedAnswer, Tracing } from "../lib/tracing.ts";
import { otherRoute } from "./operations/metrics.ts";

const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

/** Longest user agent that is kept, in characters. */
const userAgentLength = 512;

/**
 * Makes what the edge knows of a request: its id, taken from `X-Request-Id`
 * when well-formed and made otherwise, and the client's address.
 */
export function createRequestInfoReader(options: {
  readonly trustedProxies: readonly Cidr[];
  readonly clock: Clock;
}): (request: NodeRequest, doWork?: DoWork) => RequestInfo {
  const findClient = createClientAddressRule(options.trustedProxies);
  /** Connections of those who are no proxies of ours: whatever their requests say, they come from there. */
  const strangers = new WeakMap<object, ClientAddress>();

  function find(request: NodeRequest, connection: object | undefined): ClientAddress {
    const known = connection && strangers.get(connection);
    if (known !== undefined) return known;
    const client = findClient({
      peer: toPeerAddress(request),
      xForwardedFor: findHeader(request, "x-forwarded-for"),
      forwarded: findHeader(request, "forwarded"),
    });
    if (connection !== undefined && !client.fromTrustedProxy) strangers.set(connection, client);
    return client;
  }

  return (request, doWork) => {
    const connection = "stream" in request ? request.stream.session : request.socket;
    const { address, fromTrustedProxy } = find(request, connection);
    const sentId = findHeader(request, "x-request-id");
    return {
      requestId: sentId !== undefined && requestIdPattern.test(sentId) ? sentId : newId(options.clock.now()),
      clientAddress: address,
      fromTrustedProxy,
      userAgent: (findHeader(request, "user-agent") ?? "").slice(0, userAgentLength),
      connection,
      outcome: {},
      doWork,
    };
  };
}

/** How often the log says that forwarded headers are overlooked, in milliseconds. */
const warnEveryMs = 3_600_000;

/**
 * Makes what has the log say, once an hour, that a peer whom nobody trusts sends
 * forwarded headers: behind a proxy all visitors then have its one address, and
 * with it one share of every limit.
 */
export function createForwardingWarning(options: {
  readonly log: Log;
  readonly clock: Clock;
}): (request: NodeRequest, info: RequestInfo) => void {
  const { log, clock } = options;
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  return (request, { fromTrustedProxy, clientAddress: peer }) => {
    if (fromTrustedProxy) return;
    const header = ["x-forwarded-for", "forwarded"].find((name) => findHeader(request, name) !== undefined);
    if (header === undefined) return;
    const nowMs = clock.now().getTime();
    if (Math.abs(nowMs - warnedAtMs) < warnEveryMs) return;
    warnedAtMs = nowMs;
    log.warn(
      { peer, header },
      "forwarded headers are overlooked: if this peer is your proxy, add its address to trusted_proxies; until then all visitors behind it count as one",
    );
  };
}

/** Longest path that is logged, in characters. */
const pathLength = 512;

/** What there is to say of a request that is over. */
export interface FinishedRequest {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly info: RequestInfo;
  readonly span: RequestSpan | undefined;
  readonly route: string;
  /** From its head to the end of its answer, in milliseconds. */
  readonly ms: number;
}

/** What the line of a request says beside its id, its time and its trace. */
interface Said extends Pick<NodeRequest, "method" | "httpVersion"> {
  readonly path: string;
  readonly route: string;
  readonly status: number;
  readonly client: string;
  readonly outcome: RequestOutcome;
}

/** The members of a line that say it: those before how long it took, and those after. */
type SaidText = readonly [before: string, after: string];

/** The latest that was said: what proxies ask, and programs call, is mostly the same again, and to compare it takes less time. */
let latest: { readonly said: Said; readonly text: SaidText } | undefined;

/** Logs the one line of a request. Headers, query and bodies are never logged: they may hold secrets. */
export function logRequest(log: Log, { request, response, info, span, route, ms }: FinishedRequest): void {
  const { outcome, clientAddress: client } = info;
  const { method = "", httpVersion } = request;
  const path = toRawPath(request.url).slice(0, pathLength);
  const status = response.headersSent ? response.statusCode : 0;
  const said = { method, httpVersion, path, route, status, client, outcome };
  if (latest === undefined || !isSame(said, latest.said)) {
    // A copy: work may go on, and say more of what came of it, when its caller has gone.
    latest = { said: { ...said, outcome: { ...outcome } }, text: toSaidText(said) };
  }
  const [before, after] = latest.text;
  const trace = member("trace_id", span?.traceId) + member("span_id", span?.spanId);
  const members = `"requestId":"${info.requestId}"${before},"ms":${Math.round(ms * 10) / 10}${after}${trace}`;
  log.infoText(members, "request");
}

function isSame(one: Said, other: Said): boolean {
  const [of, beside] = [one.outcome, other.outcome];
  return (
    one.method === other.method &&
    one.httpVersion === other.httpVersion &&
    one.path === other.path &&
    one.route === other.route &&
    one.status === other.status &&
    one.client === other.client &&
    of.code === beside.code &&
    of.principal === beside.principal &&
    of.credentialKind === beside.credentialKind &&
    of.reason === beside.reason &&
    of.detail === beside.detail
  );
}

/** Quoted is what others can choose: to look through a text takes longer than to write it. */
function toSaidText({ method = "", httpVersion, path, route, status, client, outcome }: Said): SaidText {
  const { code, principal, credentialKind, reason, detail } = outcome;
  const before = [
    `,"method":${quote(method)},"path":${route === path ? `"${path}"` : quote(path)}`,
    `,"http":"${httpVersion}","status":${status}${word("code", code)}`,
  ];
  const after = [
    `,"client":${quote(client)}${member("principal", principal)}${word("credentialKind", credentialKind)}`,
    `${word("reason", reason)}${member("detail", detail)}`,
    // Said where it is more than the path: the template of a REST route.
    member("route", route === path || route === otherRoute ? undefined : route),
  ];
  // Joined, a text is in one piece, and not put together anew with each line that has it.
  return [before.join(""), after.join("")];
}

/** A member of a JSON object that has others before it; nothing of what there is nothing to say of. */
function member(name: string, value: string | undefined): string {
  return value === undefined ? "" : `,"${name}":${quote(value)}`;
}

/** The same of a word or an id of ours. */
function word(name: string, value: string | undefined): string {
  return value === undefined ? "" : `,"${name}":"${value}"`;
}

/** A text in JSON. */
const quote: (text: string) => string = JSON.stringify;

/** Begins the span of a request. */
export function beginRequestSpan(tracing: Tracing, request: NodeRequest, info: RequestInfo): RequestSpan {
  return tracing.beginRequest({
    method: request.method ?? "",
    httpVersion: request.httpVersion,
    fromTrustedProxy: info.fromTrustedProxy,
    traceparent: findHeader(request, "traceparent"),
    tracestate: findHeader(request, "tracestate"),
  });
}

/** What a span says of an answer that is over. */
export function toTracedAnswer(
  { request, response, info }: { request: NodeRequest; response: NodeResponse; info: RequestInfo },
  route: string,
  isRpc: boolean,
): TracedAnswer {
  const isKnown = route !== otherRoute;
  return {
    route: isKnown ? route : undefined,
    path: isKnown ? toRawPath(request.url) : undefined,
    rpcSystem: isRpc ? toRpcSystem(request) : undefined,
    status: response.headersSent ? response.statusCode : 0,
    outcome: info.outcome,
  };
}

/** gRPC-Web is gRPC in another frame. */
function toRpcSystem(request: NodeRequest): "connectrpc" | "grpc" {
  return findHeader(request, "content-type")?.startsWith("application/grpc") ? "grpc" : "connectrpc";
}
