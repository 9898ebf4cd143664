/**
 * `@vestibule/web`: Vestibule in the browser. Sign-in by every strategy,
 * passkeys, who is signed in across tabs, access tokens, and typed clients.
 * `/services` has services to make clients of.
 */
import { browserSurroundings } from "./surroundings.ts";
import { createVestibuleWebIn, type VestibuleWeb, type VestibuleWebOptions } from "./vestibule-web.ts";

export type { Passkey } from "@vestibule/proto/vestibule/v1/passkey_pb";
export type { User } from "@vestibule/proto/vestibule/v1/user_pb";
export {
  type FieldViolation,
  findReason,
  findRetryDelayMs,
  getErrorMetadata,
  getFieldViolations,
} from "../../shared/src/errors.ts";
export {
  type AuthProviderChange,
  type AuthProvidersUpdate,
  type WatchAuthProvidersOptions,
  watchAuthProviders,
} from "../../shared/src/watch-auth-providers.ts";
export type { Passkeys } from "./passkeys/passkeys.ts";
export type { PasskeySignInOptions } from "./passkeys/sign-in.ts";
export type { AccessTokenOptions } from "./session/access-tokens.ts";
export type { CurrentSession, Session, SessionChange, SessionEvent } from "./session/session.ts";
export type { CallbackResult } from "./sign-in/callback.ts";
export type { CodeEntry, PendingCode } from "./sign-in/code-entry.ts";
export type { ProviderOptions } from "./sign-in/provider.ts";
export type { SignedIn, SignInOptions } from "./sign-in/sign-in.ts";
export { SignInError, type SignInFailure } from "./sign-in-error.ts";
export type { ConnectionOptions } from "./transport.ts";
export type { VestibuleWeb, VestibuleWebOptions } from "./vestibule-web.ts";

/**
 * Makes the client of one Vestibule for this page; nothing is sent yet.
 *
 * @throws TypeError for an address that is none.
 */
export function createVestibuleWeb(options: VestibuleWebOptions): VestibuleWeb {
  return createVestibuleWebIn(browserSurroundings(), options);
}
