/**
 * What the OAuth routes have in common: a form comes in, JSON goes out, nothing
 * is cached. They are handed Node's request as it comes, for they are called
 * for every token. They read no cookie.
 */
import type { NodeRequest } from "../http/node-http.ts";
import type { RawRoute } from "../http/plain-route.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type Form, isFormType, readForm } from "./form.ts";

/** A request, read but not judged. */
export interface OauthRequest {
  readonly form: Form;
  readonly authorization: string | undefined;
  /** `X-Project`. */
  readonly project: string | undefined;
  readonly info: RequestInfo;
}

/** Answers a request with a JSON text, or with an empty 200. Refuses by DomainError. */
export type OauthEndpoint = (request: OauthRequest) => Promise<string>;

/**
 * Makes a route of an endpoint.
 *
 * @param readBody reads a whole body; throws REQUEST_TOO_LARGE beyond the limit.
 */
export function toOauthRoute(
  path: string,
  endpoint: OauthEndpoint,
  readBody: (request: NodeRequest) => Promise<Buffer>,
): RawRoute {
  return {
    method: "POST",
    path,
    refusals: "oauth",
    readsNoCookie: true,
    raw: async (request, response, info) => {
      const { headers } = request;
      const body = await readBody(request);
      if (!isFormType(headers["content-type"])) {
        throw invalidRequest("content-type must be application/x-www-form-urlencoded");
      }
      const project = headers["x-project"];
      const asked: OauthRequest = {
        form: readForm(body),
        authorization: headers.authorization,
        project: typeof project === "string" ? project : undefined,
        info,
      };
      const answer = await (info.doWork === undefined ? endpoint(asked) : info.doWork(() => endpoint(asked)));
      response.statusCode = 200;
      response.setHeader("cache-control", "no-store");
      response.setHeader("pragma", "no-cache");
      if (answer !== "") response.setHeader("content-type", "application/json");
      const bytes = Buffer.byteLength(answer);
      response.setHeader("content-length", bytes);
      // ASCII alone is the same in both, and costs less to write as what takes no encoding.
      response.end(answer, bytes === answer.length ? "latin1" : "utf8");
    },
  };
}
