import { getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { void_from_other_sites } from "@vestibule/proto/vestibule/v1/options_pb";
import { findCookies } from "../../http/node-http.ts";
import { DomainError } from "../../lib/errors.ts";
import { isVoidKey, principalKey } from "../../principals/context.ts";
import { credentialHeaders, sessionCookieName } from "../../principals/presented.ts";
import { getCredentialPolicy } from "../options/credential-policy.ts";
import { selectsCredential } from "../options/credential-selector.ts";

/** Whose pages may call with the session cookie. */
export interface CsrfOptions {
  /** Exact origins of pages that may call, the public one included. */
  readonly origins: readonly string[];
  /** Whether browsers send the session cookie with what other sites ask for: `same_site` is `none`. */
  readonly crossSite: boolean;
}

/**
 * Refuses calls with side effects that another site could have made in the
 * name of a signed-in browser: the session cookie is what authenticates, and
 * neither `Origin` nor, without one, `Sec-Fetch-Site` says that the page is
 * ours. A call with neither of them comes from no browser (all have sent
 * `Sec-Fetch-Site` or, with every POST, `Origin` since 2020); where the cookie
 * crosses sites even that is not believed.
 *
 * Two interceptors, the one before callers are proven and the other after it:
 * where a credential is needed, a cookie is a reason to refuse, good or bad;
 * an open method overlooks a bad one.
 *
 * A call of a method that says `void_from_other_sites` is not refused but
 * marked, by `isVoidKey`, as one that must do nothing.
 */
export function createCsrfInterceptors({ origins, crossSite }: CsrfOptions): {
  readonly beforeProof: Interceptor;
  readonly afterProof: Interceptor;
} {
  const trusted = new Set(origins);

  function isFromOwnPage(header: Headers): boolean {
    const origin = header.get("origin");
    if (origin !== null) return trusted.has(origin);
    const site = header.get("sec-fetch-site");
    return site === null ? !crossSite : site === "same-origin";
  }

  const refuseWhere =
    (isByCookie: (request: AnyRequest) => boolean): Interceptor =>
    (next) =>
    (request) => {
      if (hasSideEffects(request) && !isFromOwnPage(request.header) && isByCookie(request)) {
        if (!isVoid(request)) {
          throw new DomainError("CROSS_ORIGIN", { detail: "session cookie from another origin" });
        }
        request.contextValues.set(isVoidKey, true);
      }
      return next(request);
    };
  return {
    beforeProof: refuseWhere(
      (request) =>
        hasCookie(request) && (isVoid(request) || (!isOpen(request) && !carriesOtherCredential(request))),
    ),
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

function isVoid({ method }: AnyRequest): boolean {
  return getOption(method, void_from_other_sites);
}

function isProvenByCookie({ contextValues }: AnyRequest): boolean {
  return contextValues.get(principalKey)?.credentialKind === "session";
}

function hasCookie({ header }: AnyRequest): boolean {
  return findCookies(header, sessionCookieName).length > 0;
}

function carriesOtherCredential(request: AnyRequest): boolean {
  return credentialHeaders.some((name) => request.header.has(name)) || selectsOtherCredential(request);
}

/** What a grant is asked with may select another credential than the cookie. */
function selectsOtherCredential(request: AnyRequest): boolean {
  const isGrant = getCredentialPolicy(request.method) === "grant";
  return isGrant && !request.stream && selectsCredential(request.method, request.message);
}
