import { SignInError } from "../sign-in-error.ts";
import type { Surroundings } from "../surroundings.ts";
import type { SignInCalls, SignInOptions } from "./sign-in.ts";

/** What signing in with a provider takes. */
export interface ProviderOptions extends SignInOptions {
  /** Address to suggest to the provider (`login_hint`). */
  readonly email?: string;
}

/**
 * Sends the browser to an identity provider; the page is left.
 *
 * @throws SignInError `not_a_provider`
 */
export async function signInWithProvider(
  calls: SignInCalls,
  { navigate }: Pick<Surroundings, "navigate">,
  name: string,
  { email = "", ...options }: ProviderOptions,
): Promise<void> {
  const { endpoint } = await calls.begin({ strategyName: name, email }, options);
  // Nothing but a page: an address of scripts would run in this one.
  if (!URL.canParse(endpoint) || !/^https?:/i.test(endpoint)) throw new SignInError("not_a_provider");
  navigate(endpoint);
}
