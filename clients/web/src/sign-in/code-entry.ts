import type { SignedIn, SignInCalls, SignInOptions } from "./sign-in.ts";

/** A sign-in that waits for a mailed code. */
export interface PendingCode {
  readonly strategyName: string;
  /** Names the sign-in; of no use in another browser. */
  readonly state: string;
  /** The mailbox that the code went to. */
  readonly email: string;
}

/** A sign-in that waits for a mailed code, and takes it. */
export interface CodeEntry extends PendingCode {
  /**
   * Signs in with the code as typed; case does not matter. A wrong one may be
   * followed by another, three in all.
   *
   * @throws ConnectError INVALID_OTP, INVALID_FLOW once it is over, …
   */
  finish(code: string, options?: Pick<SignInOptions, "signal">): Promise<SignedIn>;
}

/** Takes the code of a sign-in that has begun, perhaps before the page was loaded anew. */
export function toCodeEntry(calls: SignInCalls, { strategyName, state, email }: PendingCode): CodeEntry {
  return {
    strategyName,
    state,
    email,
    finish: (code, options) => calls.finish({ strategyName, state, code: code.trim() }, options),
  };
}

/** Has a code or a link mailed. */
export async function beginByMail(
  calls: SignInCalls,
  strategyName: "mailotp" | "maillink",
  email: string,
  options: SignInOptions,
): Promise<CodeEntry> {
  const { state } = await calls.begin({ strategyName, email }, options);
  return toCodeEntry(calls, { strategyName, state, email });
}
