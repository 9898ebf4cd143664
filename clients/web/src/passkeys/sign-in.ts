import type { JsonObject } from "@bufbuild/protobuf";
import { findReason } from "../../../shared/src/errors.ts";
import { type SignedIn, type SignInCalls, type SignInOptions, toStateOptions } from "../sign-in/sign-in.ts";
import { SignInError } from "../sign-in-error.ts";
import type { Surroundings } from "../surroundings.ts";
import type { CeremonyJson } from "./ceremonies.ts";

/** What signing in with a passkey takes. */
export interface PasskeySignInOptions extends SignInOptions {
  /** Signs in anew who is signed in already: for what is refused with REAUTH_REQUIRED. */
  readonly reauthenticate?: boolean;
}

/** A ceremony that the server began. */
export interface BegunCeremony {
  readonly state: string;
  readonly type: string;
  readonly options: CeremonyJson;
}

const strategyName = "passkey";

/** Asks the server for a challenge. */
export async function beginCeremony(
  calls: SignInCalls,
  { reauthenticate = false, ...options }: PasskeySignInOptions,
): Promise<BegunCeremony> {
  const { state, stateOptions = {} } = await calls.begin({ strategyName, reauthenticate }, options);
  return { state, type: String(stateOptions.type), options: stateOptions.options as JsonObject };
}

/** How a ceremony's answer goes back. */
export function toAnswer({ state }: BegunCeremony, answer: CeremonyJson) {
  return { strategyName, state, stateOptions: toStateOptions(answer) };
}

type Page = Pick<Surroundings, "ceremonies" | "startTimer" | "isVisible" | "onVisibility">;

/**
 * Signs in with whichever passkey the person chooses; they name nobody.
 *
 * @throws SignInError `already_signed_in`, `passkey_…`
 */
export async function signInWithPasskey(
  calls: SignInCalls,
  { ceremonies }: Pick<Page, "ceremonies">,
  options: PasskeySignInOptions,
): Promise<SignedIn> {
  if (!ceremonies.isSupported()) throw new SignInError("passkey_unsupported");
  const begun = await beginLogin(calls, options);
  return await authenticate(calls, ceremonies, begun, options, false);
}

/** How much of a challenge's life autofill uses before it asks for another. */
const usedShare = 0.8;

/** How long a challenge lives that does not say, in milliseconds. */
const defaultTimeoutMs = 600_000;

/**
 * Offers passkeys in the autofill of the page's input until one is chosen, with
 * a new challenge whenever one gets old, but none while nobody sees the page.
 *
 * @returns undefined where the browser has no such autofill, and once another ceremony takes its place.
 */
export async function offerPasskeys(
  calls: SignInCalls,
  page: Page,
  options: PasskeySignInOptions,
): Promise<SignedIn | undefined> {
  const { ceremonies, startTimer } = page;
  if (!ceremonies.isSupported() || !(await ceremonies.isAutofillSupported())) return undefined;
  for (;;) {
    const begun = await beginLogin(calls, options);
    const { timeout } = begun.options;
    let isOld = false;
    const stopTimer = startTimer(
      () => {
        isOld = true;
        ceremonies.cancel();
      },
      usedShare * (typeof timeout === "number" ? timeout : defaultTimeoutMs),
    );
    try {
      return await authenticate(calls, ceremonies, begun, options, true);
    } catch (error) {
      const reason = error instanceof SignInError ? error.reason : undefined;
      if (reason === "passkey_unsupported") return undefined;
      if (reason !== "passkey_superseded") throw error;
      if (!isOld) return undefined;
    } finally {
      stopTimer();
    }
    await untilVisible(page);
  }
}

async function beginLogin(calls: SignInCalls, options: PasskeySignInOptions): Promise<BegunCeremony> {
  const begun = await beginCeremony(calls, options).catch((error) => {
    throw findReason(error) === "REAUTH_REQUIRED" ? new SignInError("already_signed_in") : error;
  });
  if (begun.type !== "login") throw new SignInError("already_signed_in");
  return begun;
}

async function authenticate(
  calls: SignInCalls,
  ceremonies: Page["ceremonies"],
  begun: BegunCeremony,
  { signal }: SignInOptions,
  withAutofill: boolean,
): Promise<SignedIn> {
  const abort = (): void => ceremonies.cancel();
  signal?.throwIfAborted();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const answer = await ceremonies.authenticate(begun.options, withAutofill);
    return await calls.finish(toAnswer(begun, answer), signal && { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function untilVisible({ isVisible, onVisibility }: Page): Promise<void> {
  if (isVisible()) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = onVisibility(() => {
    if (isVisible()) resolve();
  });
  await promise;
  stop();
}
