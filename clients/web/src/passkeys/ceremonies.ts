/** What the browser does for passkeys, and why it did not. */
import {
  browserSupportsWebAuthn,
  browserSupportsWebAuthnAutofill,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  startAuthentication,
  startRegistration,
  WebAuthnAbortService,
  WebAuthnError,
} from "@simplewebauthn/browser";
import { SignInError } from "../sign-in-error.ts";

/** Options or answer of a ceremony, as WebAuthn's JSON. */
export type CeremonyJson = Readonly<Record<string, unknown>>;

/** One at a time: beginning a ceremony ends the one before. */
export interface Ceremonies {
  isSupported(): boolean;
  /** Whether passkeys can be offered in the autofill of an input. */
  isAutofillSupported(): Promise<boolean>;
  /** Makes a passkey. @throws SignInError */
  register(options: CeremonyJson): Promise<CeremonyJson>;
  /** Uses a passkey, with autofill once the person chooses one there. @throws SignInError */
  authenticate(options: CeremonyJson, withAutofill: boolean): Promise<CeremonyJson>;
  /** Ends the ceremony that is going on, if one is: it fails with `passkey_superseded`. */
  cancel(): void;
}

/** The browser's own. */
export const browserCeremonies: Ceremonies = {
  isSupported: browserSupportsWebAuthn,
  isAutofillSupported: browserSupportsWebAuthnAutofill,
  async register(options) {
    const optionsJSON = options as unknown as PublicKeyCredentialCreationOptionsJSON;
    return toJson(await startRegistration({ optionsJSON }).catch(explain));
  },
  async authenticate(options, useBrowserAutofill) {
    const optionsJSON = options as unknown as PublicKeyCredentialRequestOptionsJSON;
    return toJson(await startAuthentication({ optionsJSON, useBrowserAutofill }).catch(explain));
  },
  cancel: () => WebAuthnAbortService.cancelCeremony(),
};

const toJson = (answer: object): CeremonyJson => ({ ...answer });

function explain(error: unknown): never {
  if (error instanceof WebAuthnError && error.code === "ERROR_CEREMONY_ABORTED") {
    throw new SignInError("passkey_superseded", { cause: error });
  }
  // Browsers do not tell a person who said no from one who has no passkey here, nor either from a time-out.
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError") throw new SignInError("passkey_canceled", { cause: error });
  if (name === "NotSupportedError") throw new SignInError("passkey_unsupported", { cause: error });
  if (name === "InvalidStateError") throw new SignInError("passkey_exists", { cause: error });
  const detail = error instanceof Error ? error.message : String(error);
  throw new SignInError("passkey_failed", { detail, cause: error });
}
