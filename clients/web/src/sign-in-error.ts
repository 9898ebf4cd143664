/** Why signing in went wrong in the browser; what the server refused is a `ConnectError`. */
export const signInFailures = {
  not_a_provider: "this strategy does not send the browser to a provider",
  malformed_callback: "the callback's address names something twice",
  cookie_refused:
    "the browser did not keep the session cookie: page and server have to be of one site, and the page's origin in cors.allowed_origins",
  already_signed_in: "somebody is signed in already: sign out first",
  not_signed_in: "only who is signed in can add a passkey",
  passkey_unsupported: "this browser has no passkeys",
  passkey_canceled: "no passkey was chosen in time",
  passkey_exists: "this device has a passkey of this account already",
  passkey_superseded: "another use of a passkey took this one's place",
  passkey_failed: "the passkey could not be used",
} as const;

/** A key of {@link signInFailures}. */
export type SignInFailure = keyof typeof signInFailures;

/** Signing in went wrong in the browser: `reason` stays the same when the text changes. */
export class SignInError extends Error {
  override readonly name = "SignInError";
  readonly reason: SignInFailure;

  constructor(
    reason: SignInFailure,
    { detail, cause }: { readonly detail?: string; readonly cause?: unknown } = {},
  ) {
    const text = signInFailures[reason];
    super(detail === undefined ? text : `${text}: ${detail}`, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}
