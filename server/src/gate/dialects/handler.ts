/**
 * Envoy's external authorization by gRPC: `envoy.service.auth.v3.Authorization`.
 *
 * The same question as by HTTP, in messages: the visitor's request stands in
 * the attributes, the frontdoor in `context_extensions`, which the route's
 * configuration says and no visitor can, and the proxy's token in the call's
 * metadata. Whatever is missing is a denial; the call itself fails for nothing.
 */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  HeaderValueOption_HeaderAppendAction as Action,
  type HeaderValueOption,
  HeaderValueOptionSchema,
} from "@vestibule/proto/envoy/config/core/v3/base_pb";
import type {
  AttributeContext,
  AttributeContext_HttpRequest as HttpRequest,
} from "@vestibule/proto/envoy/service/auth/v3/attribute_context_pb";
import {
  type Authorization,
  type CheckRequest,
  type CheckResponse,
  CheckResponseSchema,
} from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { keepEncoded } from "../../lib/encoded-message.ts";
import { requestInfoKey } from "../../lib/request.ts";
import { findJoinedLines, proxyTokenHeader } from "../asks/visitor-headers.ts";
import type { GateAnswer } from "./answer.ts";
import type { Asking, Question } from "./answer-ask.ts";
import type { Dialect } from "./dialect.ts";

/** Statuses of `google.rpc.Status`, by what the visitor would get: 0 alone lets a request through. */
const codes: ReadonlyMap<number, number> = new Map([
  [200, 0],
  [401, 16],
  [429, 8],
  [503, 14],
]);
const permissionDenied = 7;

/** Name by which the dialect over HTTP says what is taken off the request. */
const removedHeader = "x-envoy-auth-headers-to-remove";

/** Answers Envoy. @param dialect as over HTTP */
export function createCheckMethods(asking: Asking, dialect: Dialect) {
  return {
    check(request: CheckRequest, context: HandlerContext) {
      const answer = asking.answer(dialect, toQuestion(request, context));
      return answer instanceof Promise ? answer.then(toResponse) : toResponse(answer);
    },
  } satisfies Partial<ServiceImpl<typeof Authorization>>;
}

/** What is missing is empty, which is no frontdoor, no method, no target and no host. */
function toQuestion({ attributes }: CheckRequest, { requestHeader, values }: HandlerContext): Question {
  const http = attributes?.request?.http;
  const lines = toLines(http, requestHeader.get(proxyTokenHeader));
  const userAgent = findJoinedLines(lines, "user-agent") ?? "";
  return {
    frontdoorId: attributes?.contextExtensions.frontdoor_id?.toLowerCase() ?? "",
    method: http?.method ?? "",
    rest: http?.path ?? "",
    lines,
    peer: toAddress(attributes?.source),
    // The call's own says who Envoy is.
    info: { ...values.get(requestInfoKey), userAgent },
  };
}

/**
 * The visitor's header lines, with the proxy's token in place of any of theirs,
 * and the host as Envoy says it: names that begin with a colon are Envoy's own.
 */
function toLines(http: HttpRequest | undefined, token: string | null): readonly string[] {
  const lines: string[] = [];
  if (token !== null) lines.push(proxyTokenHeader, token);
  if (http === undefined) return lines;
  lines.push("host", http.host);
  const add = (name: string, value: string) => {
    const lowerCased = name.toLowerCase();
    const isSaid = lowerCased === "host" || lowerCased === proxyTokenHeader || name.startsWith(":");
    if (!isSaid) lines.push(lowerCased, value);
  };
  if (http.headerMap === undefined) {
    for (const name in http.headers) add(name, http.headers[name] ?? "");
  } else {
    for (const { key, value, rawValue } of http.headerMap.headers) {
      add(key, rawValue.length > 0 ? Buffer.from(rawValue).toString("latin1") : value);
    }
  }
  return lines;
}

function toAddress(source: AttributeContext["source"]): string {
  const socket = source?.address?.address;
  return socket?.case === "socketAddress" ? socket.value.address : "";
}

const responses = new WeakMap<GateAnswer, CheckResponse>();

function toResponse(answer: GateAnswer): CheckResponse {
  const known = responses.get(answer);
  if (known !== undefined) return known;
  const response = makeResponse(answer);
  if (answer.isKept) responses.set(answer, keepEncoded(response));
  return response;
}

function makeResponse({ status, head, body }: GateAnswer): CheckResponse {
  const code = codes.get(status) ?? permissionDenied;
  if (status === 200) {
    const { headers, removed } = toMutations(head);
    return create(CheckResponseSchema, {
      status: { code },
      httpResponse: { case: "okResponse", value: { headers, headersToRemove: removed } },
    });
  }
  const value = { status: { code: status }, headers: toHeaders(head), body };
  return create(CheckResponseSchema, {
    status: { code },
    httpResponse: { case: status === 503 ? "errorResponse" : "deniedResponse", value },
  });
}

/** What is set on the request, and what is taken off it: an empty value would be either, by Envoy's version. */
function toMutations(head: GateAnswer["head"]): { headers: HeaderValueOption[]; removed: string[] } {
  const headers: HeaderValueOption[] = [];
  const removed: string[] = [];
  for (let at = 0; at < head.length; at += 2) {
    const [name, value] = [String(head[at]).toLowerCase(), String(head[at + 1])];
    // Said of the answer by HTTP, and nothing to the upstream.
    if (name === "cache-control" || name === "x-vestibule-reason") continue;
    if (name === removedHeader) removed.push(...value.split(","));
    else if (value !== "") headers.push(toOption(name, value, false));
  }
  return { headers, removed };
}

/** Several lines of one name, as of `Set-Cookie`, are added to each other. */
function toHeaders(head: GateAnswer["head"]): HeaderValueOption[] {
  const headers: HeaderValueOption[] = [];
  for (let at = 0; at < head.length; at += 2) {
    const name = String(head[at]).toLowerCase();
    const value = head[at + 1] ?? "";
    const lines = typeof value === "string" ? [value] : value;
    for (const [index, line] of lines.entries()) headers.push(toOption(name, line, index > 0));
  }
  return headers;
}

/** Says the same to Envoys of before and after `append_action`, whose 0 is the opposite of what was the default. */
function toOption(key: string, value: string, append: boolean): HeaderValueOption {
  return create(HeaderValueOptionSchema, {
    header: { key, value },
    append,
    appendAction: append ? Action.APPEND_IF_EXISTS_OR_ADD : Action.OVERWRITE_IF_EXISTS_OR_ADD,
  });
}
