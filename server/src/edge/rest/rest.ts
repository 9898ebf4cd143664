/**
 * REST, transcoded: HTTP requests become calls of the RPC handlers, as the
 * `google.api.http` annotations in the schema say, and their answers become
 * JSON. The calls are made in this process, through the same interceptors.
 *
 * This layer knows no service: one that is annotated is served. It owns every
 * path under the first literal segment of an annotation, and answers those
 * that are no route in its own words. Paths are compared as they were sent;
 * see `request-target.ts` for what never matches.
 */
import type { Interceptor } from "@connectrpc/connect";
import type { ServiceRegistration } from "../../assembly/services.ts";
import {
  answerAfterBody,
  findHeader,
  type NodeRequest,
  type NodeResponse,
  readBody,
  toRawPath,
  toRawQuery,
} from "../../http/node-http.ts";
import { type PlainResponse, sendPlain } from "../../http/plain-route.ts";
import { DomainError } from "../../lib/errors.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { CallLimit, CallLimits } from "../calls/call-limits.ts";
import { CallContext, createUnaryCall, type UnaryCall } from "../calls/unary-call.ts";
import { canceled } from "../errors/library-errors.ts";
import type { Translator } from "../errors/translate.ts";
import { toRestAnswer } from "./answer.ts";
import { type Binding, readBindings, type Style } from "./binding.ts";
import { withClientPaths } from "./client-path.ts";
import { type RefusalContext, toRestError } from "./errors.ts";
import { checkBodyType, chooseAnswerType } from "./media-types.ts";
import { readRequestMessage } from "./request-message.ts";
import { splitRequestPath } from "./request-target.ts";
import { type PathValue, RouteTable } from "./route-table.ts";

/** What REST is made of. */
export interface RestOptions {
  readonly services: readonly ServiceRegistration[];
  /** Those of RPC below the translator, outermost first. */
  readonly interceptors: readonly Interceptor[];
  readonly translator: Translator;
  /** Origin of every link; without a slash at the end. */
  readonly publicOrigin: string;
  readonly bodyBytes: number;
  readonly limits: CallLimits;
}

/** REST, ready to take requests. */
export interface Rest {
  /** Finds what answers a request; undefined for a path that REST does not own. */
  find(request: NodeRequest): RestRoute | undefined;
  /**
   * Reads the annotations of all services, which else the first request that
   * may be REST's waits for.
   *
   * @throws Error for an annotation that does not fit its schema, and for two
   *   that are one route
   */
  warm(): void;
}

/** What answers one request. */
export interface RestRoute {
  /** Template of the path, for log and metrics; undefined where nothing is. */
  readonly label: string | undefined;
  /** Answers the request. Never rejects. */
  serve(request: NodeRequest, response: NodeResponse, info: RequestInfo): Promise<void>;
  /** Refuses the request, whose body is over. */
  refuse(response: NodeResponse, info: RequestInfo, refusal: DomainError): void;
}

/** A binding and how to call its method. */
interface Target {
  readonly binding: Binding;
  readonly call: UnaryCall;
}

/** Makes REST of all services. */
export function createRest(options: RestOptions): Rest {
  let made: Routes | undefined;
  const getRoutes = () => {
    made ??= readRoutes(options);
    return made;
  };
  return {
    warm: () => void getRoutes(),
    find: (request) => {
      const { table, styles } = getRoutes();
      const path = toRawPath(request.url);
      const split = splitRequestPath(path);
      const match = split && table.find(request.method ?? "", split);
      if (match?.kind === "route") return toRoute(match.target, match.values, options);
      if (match?.kind === "method") return toMethodNotAllowed(match.target.binding, match.allow, options);
      const style = styles.get(path.slice(1).split("/", 1)[0] ?? "");
      return style && toNotFound(style, options);
    },
  };
}

/** All routes, and the style of the refusals under each first literal segment. */
interface Routes {
  readonly table: RouteTable<Target>;
  readonly styles: ReadonlyMap<string, Style>;
}

function readRoutes(options: RestOptions): Routes {
  const table = new RouteTable<Target>();
  const styles = new Map<string, Style>();
  for (const target of listTargets(options)) {
    const { httpMethod, template, style } = target.binding;
    table.add(httpMethod, template, target);
    const [first] = template.segments;
    if (first !== undefined && "literal" in first && !styles.has(first.literal)) {
      styles.set(first.literal, style);
    }
  }
  return { table, styles };
}

function listTargets({ services, interceptors }: RestOptions): Target[] {
  return services.flatMap((registration) =>
    registration.service.methods.flatMap(readBindings).map((binding) => ({
      binding,
      call: createUnaryCall(registration, binding.method, interceptors),
    })),
  );
}

function toRoute(target: Target, pathValues: readonly PathValue[], options: RestOptions): RestRoute {
  const { template, style, method } = target.binding;
  const procedure = `${method.parent.typeName}/${method.name}`;
  return {
    label: template.text,
    refuse: createRefuse(template.text, { style }, options),
    serve: (request, response, info) =>
      options.limits.during(response, undefined, async (limit) => {
        try {
          const answer = await answerCall(target, pathValues, { request, info, limit }, options);
          info.outcome.code = "ok";
          send(response, answer);
        } catch (error) {
          const refusal = options.translator.refuse(error, info, procedure);
          const answer = () => send(response, toRestError(refusal, { style }));
          // Whoever took too long is not waited for any longer.
          if (limit.signal.aborted) answer();
          else answerAfterBody(request, options.bodyBytes, answer);
        }
      }),
  };
}

/** A request with what is known of it. */
interface Received {
  readonly request: NodeRequest;
  readonly info: RequestInfo;
  readonly limit: CallLimit;
}

async function answerCall(
  { binding, call }: Target,
  pathValues: readonly PathValue[],
  { request, info, limit }: Received,
  options: RestOptions,
): Promise<PlainResponse> {
  const type = chooseAnswerType(findHeader(request, "accept"));
  const body = await limit.wait(readWholeBody(request, options.bodyBytes));
  if (body.byteLength > 0 && binding.body !== "none") {
    checkBodyType(findHeader(request, "content-type"), findHeader(request, "content-encoding"));
  }
  const query = toRawQuery(request.url);
  const message = readRequestMessage(binding, { pathValues, query, body });
  const path = toRawPath(request.url);
  const { publicOrigin } = options;
  const url = publicOrigin + path + (query === "" ? "" : `?${query}`);
  const context = new CallContext(binding.method, { request, info, limit, protocolName: "rest", url });
  try {
    const answer = await limit.wait(call(message, context));
    const wish = { type, ifNoneMatch: findHeader(request, "if-none-match") };
    return toRestAnswer(binding, answer, wish, { publicOrigin, path, query, request: message });
  } catch (error) {
    throw withClientPaths(error, binding);
  }
}

/** Rejects as canceled when the connection breaks. */
async function readWholeBody(request: NodeRequest, bodyBytes: number): Promise<Buffer> {
  return await readBody(request, bodyBytes).catch((error) => {
    throw error instanceof DomainError ? error : canceled();
  });
}

function toMethodNotAllowed(
  { style, template }: Binding,
  allow: readonly string[],
  options: RestOptions,
): RestRoute {
  return toRefusal(template.text, new DomainError("METHOD_NOT_ALLOWED"), { style, allow }, options);
}

function toNotFound(style: Style, options: RestOptions): RestRoute {
  return toRefusal(
    undefined,
    new DomainError("NOT_FOUND", { message: "there is nothing at this path" }),
    { style },
    options,
  );
}

function toRefusal(
  label: string | undefined,
  refusal: DomainError,
  context: RefusalContext,
  options: RestOptions,
): RestRoute {
  const refuse = createRefuse(label, context, options);
  return {
    label,
    refuse,
    serve: async (request, response, info) =>
      answerAfterBody(request, options.bodyBytes, () => refuse(response, info, refusal)),
  };
}

function createRefuse(
  label: string | undefined,
  context: RefusalContext,
  { translator }: RestOptions,
): RestRoute["refuse"] {
  return (response, info, refusal) =>
    send(response, toRestError(translator.refuse(refusal, info, label ?? ""), context));
}

function send(response: NodeResponse, answer: PlainResponse): void {
  if (response.headersSent) response.destroy();
  else if (!response.destroyed) sendPlain(response, answer);
}
