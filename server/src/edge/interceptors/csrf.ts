import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { DomainError } from "../../lib/errors.ts";
import { principalKey } from "../../principals/context.ts";
import { getCredentialPolicy } from "../credential-policy.ts";

const sessionCookie = /(?:^|;)\s*sid=/;

/** Headers that authenticate in the cookie's place; no foreign page can set them unasked. */
const credentialHeaders = ["authorization", "x-user-token"];

/**
 * Refuses calls with side effects that another site could have made in the
 * name of a signed-in browser: the session cookie is what authenticates, and
 * neither `Origin` nor, without one, `Sec-Fetch-Site` says that the page is
 * ours.
 *
 * Two interceptors, the one before callers are proven and the other after it:
 * where a credential is needed, a cookie is a reason to refuse, good or bad;
 * an open method overlooks a bad one.
 *
 * @param origins exact origins of pages that may call, the public one included
 */
export function createCsrfInterceptors(origins: readonly string[]): {
  readonly beforeProof: Interceptor;
  readonly afterProof: Interceptor;
} {
  const trusted = new Set(origins);
  const refuseWhere =
    (isByCookie: (request: AnyRequest) => boolean): Interceptor =>
    (next) =>
    async (request) => {
      if (hasSideEffects(request) && isByCookie(request) && !isFromOwnPage(request.header, trusted)) {
        throw new DomainError("CROSS_ORIGIN", { detail: "session cookie from another origin" });
      }
      return next(request);
    };
  return {
    beforeProof: refuseWhere((request) => !isOpen(request) && carriesCookie(request)),
    afterProof: refuseWhere((request) => isOpen(request) && isProvenByCookie(request)),
  };
}

type AnyRequest = UnaryRequest | StreamRequest;

function hasSideEffects({ method }: AnyRequest): boolean {
  return method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

function isOpen({ method }: AnyRequest): boolean {
  return getCredentialPolicy(method) === "open";
}

function isProvenByCookie({ contextValues }: AnyRequest): boolean {
  return contextValues.get(principalKey)?.credentialKind === "session";
}

function carriesCookie(request: AnyRequest): boolean {
  return (
    sessionCookie.test(request.header.get("cookie") ?? "") &&
    !credentialHeaders.some((name) => request.header.has(name)) &&
    !selectsOtherCredential(request)
  );
}

/** A grant type selects exactly its own credential, which is never the cookie. */
function selectsOtherCredential(request: AnyRequest): boolean {
  return (
    !request.stream &&
    getCredentialPolicy(request.method) === "grant" &&
    "grantType" in request.message &&
    request.message.grantType !== ""
  );
}

function isFromOwnPage(header: Headers, trusted: ReadonlySet<string>): boolean {
  const origin = header.get("origin");
  return origin === null ? header.get("sec-fetch-site") === "same-origin" : trusted.has(origin);
}
