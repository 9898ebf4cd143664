/**
 * From a proxy's question to its answer, whatever the dialect.
 *
 * Until the proxy has proven itself nothing it says is read, and from then on
 * by the grammar alone. Everything that is not clear is a denial, said in the
 * dialect's own words; nothing here waits for anything that is in memory.
 */
import type { Cidr } from "../../http/cidr.ts";
import { createClientAddressRule } from "../../http/client-address.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { GateAsk } from "../asks/ask.ts";
import { type DescribedRequest, type RequestLine, readAsk } from "../asks/read-ask.ts";
import { findJoinedLines, findOnlyLine, proxyTokenHeader } from "../asks/visitor-headers.ts";
import type { Decide, GateDecision, GateDenied } from "../decisions/decision.ts";
import type { Asker } from "../decisions/record.ts";
import { fitsIntoHead, type GateAnswer } from "./answer.ts";
import { toDenial } from "./denial.ts";
import type { Dialect, ProxyRequest } from "./dialect.ts";

/** What asking takes. */
export interface AskingOptions {
  /**
   * Whether a token that came by a connection is one of a frontdoor's; at once
   * where that is in memory. Of what is no id of a frontdoor it is not.
   */
  readonly isProxyToken: (
    frontdoorId: string,
    token: string,
    connection: object | undefined,
  ) => boolean | Promise<boolean>;
  readonly decide: Decide;
  /** Takes note of a denial that `decide` has not made. Cheap, and never throws. */
  readonly noteDenied: (asker: Asker, denied: GateDenied) => void;
  readonly trustedProxies: readonly Cidr[];
  /** Whether answers say why, in `X-Vestibule-Reason`. */
  readonly tellsReasons: boolean;
  readonly log: Log;
}

/** A proxy's question, and where it came in. */
export interface Question extends ProxyRequest {
  /** As in the route, in lower case. */
  readonly frontdoorId: string;
  /** Address of the proxy. */
  readonly peer: string;
  readonly info: RequestInfo;
}

/** What is common to all dialects. */
export interface Asking {
  /** Whether the proxy that asks has proven itself. @throws DomainError UNAVAILABLE, rejecting, when that cannot be told */
  isProven(question: Question): boolean | Promise<boolean>;
  /** Address of the visitor, of whom a proxy asks that has proven itself. */
  findVisitorAddress(question: Pick<Question, "lines" | "peer">): string;
  /** Answers a question; at once where everything is in memory. */
  answer(dialect: Dialect, question: Question): GateAnswer | Promise<GateAnswer>;
  /** Denies a question that is not to be read. */
  deny(dialect: Dialect, info: RequestInfo, denied: GateDenied): GateAnswer;
}

/**
 * How long a proxy's token and a decision may take each, in milliseconds:
 * proxies wait for ten seconds, and make an error of their own of what is late.
 */
const longestMs = 4_000;

const tooLate: GateDenied = { isAllowed: false, reason: "UNAVAILABLE", detail: "it took too long to tell" };

/** What a promise settles with, or what is said in its place when it takes too long. */
async function inTime<T>(promise: Promise<T>, late: () => T): Promise<T> {
  const { promise: end, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(() => resolve("late"), longestMs);
  try {
    const first = await Promise.race([promise, end]);
    return first === "late" ? late() : (first as T);
  } finally {
    clearTimeout(timer);
  }
}

/** @see the head of this file */
export function createAsking(options: AskingOptions): Asking {
  const { isProxyToken, decide, noteDenied, tellsReasons, log } = options;
  const findClient = createClientAddressRule(options.trustedProxies);

  /** Notes what was decided, and says why where that is wanted. */
  function finish(answer: GateAnswer, decision: GateDecision, { outcome }: RequestInfo): GateAnswer {
    const { reason } = decision;
    outcome.code = answer.status === 200 ? "ok" : toDenial(reason).code;
    outcome.reason = reason;
    if (!decision.isAllowed && decision.detail !== undefined) outcome.detail = decision.detail;
    if (!tellsReasons) return answer;
    const { status, begin, head, body } = answer;
    return { status, head: head.concat("X-Vestibule-Reason", reason), body, ...(begin && { begin }) };
  }

  function deny(dialect: Dialect, denied: GateDenied, asker: Asker, info: RequestInfo, ask?: GateAsk) {
    noteDenied(asker, denied);
    return finish(dialect.deny(denied, ask, info.requestId), denied, info);
  }

  function say(dialect: Dialect, decision: GateDecision, ask: GateAsk, info: RequestInfo): GateAnswer {
    if (!decision.isAllowed) return finish(dialect.deny(decision, ask, info.requestId), decision, info);
    const answer = dialect.allow(decision, ask);
    if (fitsIntoHead(answer)) return finish(answer, decision, info);
    return deny(dialect, { isAllowed: false, reason: "HEAD_TOO_LARGE" }, ask, info, ask);
  }

  function findVisitorAddress({ lines, peer }: Pick<Question, "lines" | "peer">): string {
    const xForwardedFor = findJoinedLines(lines, "x-forwarded-for");
    return findClient({ peer, xForwardedFor, forwarded: undefined, isProven: true }).address;
  }

  /** Reads and decides for a proxy that has proven itself. */
  function ask(dialect: Dialect, question: Question): GateAnswer | Promise<GateAnswer> {
    const { lines, info, frontdoorId } = question;
    const clientAddress = findVisitorAddress(question);
    const { requestId, userAgent } = info;
    const asker = { frontdoorId, clientAddress, requestId, userAgent };
    const line = dialect.findLine(question);
    const read =
      line === undefined ? "MALFORMED_ASK" : readAsk(toDescribed(line, asker, lines, info.connection));
    if (typeof read === "string") return deny(dialect, { isAllowed: false, reason: read }, asker, info);
    const decision = decide(read);
    if (decision instanceof Promise) {
      return inTime(
        decision.then((made) => say(dialect, made, read, info)),
        () => deny(dialect, tooLate, read, info, read),
      );
    }
    return say(dialect, decision, read, info);
  }

  function isProven({ frontdoorId, lines, info }: Question): boolean | Promise<boolean> {
    const token = findOnlyLine(lines, proxyTokenHeader);
    return token !== undefined && isProxyToken(frontdoorId, token, info.connection);
  }

  return {
    isProven,
    findVisitorAddress,
    answer(dialect, question) {
      const { info, frontdoorId } = question;
      const refuse = (denied: GateDenied) => {
        const { requestId, clientAddress, userAgent } = info;
        return deny(dialect, denied, { frontdoorId, requestId, clientAddress, userAgent }, info);
      };
      const goOn = (isGood: boolean) =>
        isGood ? ask(dialect, question) : refuse({ isAllowed: false, reason: "PROXY_UNPROVEN" });
      const isGood = isProven(question);
      if (!(isGood instanceof Promise)) return goOn(isGood);
      const proving = isGood.catch((error: unknown) => {
        const isOutage = error instanceof DomainError && error.kind === "unavailable";
        if (!isOutage) log.error({ err: error, requestId: info.requestId }, "a proxy's token was not judged");
        return undefined;
      });
      const untold = () => undefined;
      return inTime<boolean | undefined>(proving, untold).then((isProxy) =>
        isProxy === undefined ? refuse(tooLate) : goOn(isProxy),
      );
    },
    deny: (dialect, info, denied) => finish(dialect.deny(denied, undefined, info.requestId), denied, info),
  };
}

/** Member by member: to spread two objects into one costs more than to read what is in it. */
function toDescribed(
  { scheme, host, method, target }: RequestLine,
  { frontdoorId, clientAddress, requestId, userAgent }: Asker,
  lines: readonly string[],
  connection: object | undefined,
): DescribedRequest {
  return {
    scheme,
    host,
    method,
    target,
    frontdoorId,
    clientAddress,
    requestId,
    userAgent,
    lines,
    connection,
  };
}
