import { findReason, getErrorMetadata } from "../../../shared/src/errors.ts";
import { SignInError } from "../sign-in-error.ts";
import { type CodeEntry, toCodeEntry } from "./code-entry.ts";
import type { SignedIn, SignInCalls } from "./sign-in.ts";

/** What came of a callback. */
export type CallbackResult =
  /** The address holds no callback: the page was opened for itself. */
  | { readonly kind: "none" }
  | ({ readonly kind: "signed_in" } & SignedIn)
  /**
   * The account of the provider's address exists already. A code went to that
   * mailbox: `entry.finish(code)` joins the two and signs in.
   */
  | { readonly kind: "link_required"; readonly entry: CodeEntry }
  /** The person said no, or the provider could not go on (RFC 6749 §4.1.2.1). */
  | { readonly kind: "denied"; readonly error: string; readonly description: string };

/** What an address of a callback may hold. */
const parameters = [
  "state",
  "code",
  "iss",
  "error",
  "error_description",
  "error_uri",
  "session_state",
  "scope",
];

/** What a provider brought back by `response_mode=query`. */
export interface Callback {
  readonly state: string;
  readonly code: string;
  /** RFC 9207; empty where the provider does not send it. */
  readonly issuer: string;
  readonly error: string;
  readonly description: string;
}

/** Reads a callback's address; undefined if it is none. @throws SignInError `malformed_callback` */
export function readCallback(url: URL): Callback | undefined {
  const read = (name: string): string => {
    const [value = "", ...others] = url.searchParams.getAll(name);
    // What is there twice means different things to different readers.
    if (others.length > 0) throw new SignInError("malformed_callback");
    return value;
  };
  const callback = {
    state: read("state"),
    code: read("code"),
    issuer: read("iss"),
    error: read("error"),
    description: read("error_description"),
  };
  return callback.state !== "" && (callback.code !== "" || callback.error !== "") ? callback : undefined;
}

/** An address without what a callback added to it. */
export function withoutCallback(address: string): string {
  const url = new URL(address);
  for (const name of parameters) url.searchParams.delete(name);
  return url.href;
}

/** Ends a sign-in by a provider with what it brought back. @throws ConnectError INVALID_FLOW, INVALID_AUTH_STATE, … */
export async function finishCallback(calls: SignInCalls, callback: Callback): Promise<CallbackResult> {
  const { state, code, issuer, error, description } = callback;
  if (error !== "") return { kind: "denied", error, description };
  try {
    const stateOptions = issuer === "" ? {} : { stateOptions: { iss: issuer } };
    return { kind: "signed_in", ...(await calls.finish({ state, code, ...stateOptions })) };
  } catch (refusal) {
    if (findReason(refusal) !== "LINK_REQUIRED") throw refusal;
    const { strategy_name: strategyName = "", state: next = "", email = "" } = getErrorMetadata(refusal);
    return { kind: "link_required", entry: toCodeEntry(calls, { strategyName, state: next, email }) };
  }
}
