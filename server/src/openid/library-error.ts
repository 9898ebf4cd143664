/** Reading the errors of `openid-client`, of the URLs it is given, and of our own reader of JWS. */
import { DomainError } from "../lib/errors.ts";
import type { Asked, FailureCause } from "./failure-cause.ts";

/** What `oauth4webapi` notes beside a failure, in its `cause`. */
interface Noted {
  readonly claim?: unknown;
  readonly attribute?: unknown;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly header?: { readonly alg?: unknown };
  readonly parameters?: unknown;
  readonly expected?: unknown;
  readonly now?: unknown;
}

/** Claims that hold a moment, as seconds since the epoch. */
const moments = new Set(["exp", "nbf", "iat", "auth_time"]);

/** Claims whose value says nothing of a person, and is no secret. */
const shownClaims = new Set(["iss", "aud", "azp", "issuer", ...moments]);

/**
 * What an error of the library means; undefined for what is none of it. Its
 * texts may be the provider's, and are not cleaned yet.
 */
export function readLibraryError(error: unknown, at: Asked): FailureCause | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof DomainError) {
    const isRefusedJws = error.reason === "NOT_AUTHENTICATED";
    return isRefusedJws ? { kind: "answer", at, detail: error.detail ?? error.message } : undefined;
  }
  const { code } = error as { code?: unknown };
  if (typeof code !== "string") return undefined;
  switch (code) {
    case "OAUTH_RESPONSE_BODY_ERROR":
    case "OAUTH_AUTHORIZATION_RESPONSE_ERROR":
      return toRefusedCause(error as Told, at);
    case "OAUTH_WWW_AUTHENTICATE_CHALLENGE":
      return readChallenge(error, at);
    case "OAUTH_RESPONSE_IS_NOT_CONFORM":
    case "OAUTH_RESPONSE_IS_NOT_JSON":
      return readStatus(error, at);
    case "OAUTH_TIMEOUT":
    case "OAUTH_ABORT":
      return { kind: "unreachable", at, reason: "timeout", detail: "no answer in time" };
    default:
      return /^(OAUTH_|ERR_INVALID_)/.test(code) ? readMismatch(error, at) : undefined;
  }
}

interface Told {
  readonly error?: unknown;
  readonly error_description?: unknown;
  readonly status?: unknown;
}

function toRefusedCause({ error, error_description: description, status }: Told, at: Asked): FailureCause {
  return {
    kind: "refused",
    at,
    error: String(error),
    ...(typeof description === "string" && { description }),
    ...(typeof status === "number" && { status }),
  };
}

/** RFC 6750 §3.1. */
function readChallenge(error: Error, at: Asked): FailureCause {
  const [challenge] = Array.isArray(error.cause) ? error.cause : [];
  const { parameters = {} } = (challenge ?? {}) as { readonly parameters?: Told };
  const { status } = error as { status?: unknown };
  if (typeof parameters.error === "string") return toRefusedCause(parameters, at);
  return { kind: "status", at, status: Number(status) };
}

function readStatus(error: Error, at: Asked): FailureCause {
  const { status } = (findNoted(error) ?? {}) as { status?: unknown };
  return typeof status === "number" && status !== 200
    ? { kind: "status", at, status }
    : { kind: "answer", at, detail: error.message };
}

function readMismatch(error: Error, at: Asked): FailureCause {
  // The library's own words, one level below what it says to everybody.
  const { message } = error.cause instanceof Error ? error.cause : error;
  const { claim, attribute, claims, body, header, parameters, expected, now } = findNoted(error) ?? {};
  // What the browser brought, not what was asked with it.
  if (parameters !== undefined) return { kind: "answer", at: "authorization_endpoint", detail: message };
  if (header !== undefined && expected !== undefined && message.includes('"alg"')) {
    return { kind: "algorithm", found: toText(header.alg), expected: toText(expected) };
  }
  // A subject that is a number is one text to some readers and another to others (OpenID Connect Core 1.0 §2).
  const { sub = "" } = claims ?? {};
  if (claim === undefined && typeof sub !== "string") {
    return { kind: "claim", at, claim: "sub", found: `a ${typeof sub}`, expected: "text" };
  }
  const name = claim ?? attribute;
  if (typeof name !== "string") return { kind: "answer", at, detail: message };
  if (!shownClaims.has(name)) return { kind: "claim", at, claim: name };
  const found = toText((claims ?? body)?.[name], name);
  return typeof now === "number"
    ? { kind: "claim", at, claim: name, found, expected: `good at ${toMoment(now)}, by this server's clock` }
    : {
        kind: "claim",
        at,
        claim: name,
        found,
        ...(expected !== undefined && { expected: toText(expected) }),
      };
}

/** What is noted beside the failure at the bottom of a chain. */
function findNoted(error: Error): Noted | undefined {
  let cause: unknown = error;
  while (cause instanceof Error) cause = cause.cause;
  return typeof cause === "object" && cause !== null ? cause : undefined;
}

function toText(value: unknown, name = ""): string {
  if (value === undefined) return "absent";
  if (typeof value === "number" && moments.has(name)) return toMoment(value);
  return Array.isArray(value) ? value.map(String).join(", ") : String(value);
}

function toMoment(seconds: number): string {
  const at = new Date(seconds * 1000);
  return Number.isNaN(at.getTime()) ? String(seconds) : at.toISOString();
}
