/** The client of one Vestibule for the page it runs in, put together. */
import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import type { Passkey } from "@vestibule/proto/vestibule/v1/passkey_pb";
import { toBaseUrl } from "../../shared/src/base-url.ts";
import { addPasskey, createPasskeys, type Passkeys } from "./passkeys/passkeys.ts";
import { offerPasskeys, type PasskeySignInOptions, signInWithPasskey } from "./passkeys/sign-in.ts";
import { type AccessTokenOptions, createAccessTokens } from "./session/access-tokens.ts";
import { startRenewal } from "./session/renewal.ts";
import { type Session, SessionKeeper } from "./session/session.ts";
import { joinTabs } from "./session/tabs.ts";
import { type CallbackResult, finishCallback, readCallback, withoutCallback } from "./sign-in/callback.ts";
import { beginByMail, type CodeEntry, type PendingCode, toCodeEntry } from "./sign-in/code-entry.ts";
import { createOneByOne } from "./sign-in/one-by-one.ts";
import { type ProviderOptions, signInWithProvider } from "./sign-in/provider.ts";
import { createSignInCalls, type SignedIn, type SignInOptions } from "./sign-in/sign-in.ts";
import type { Surroundings } from "./surroundings.ts";
import { type ConnectionOptions, createTransport } from "./transport.ts";

/** Where the server is, and how the browser reaches it. */
export interface VestibuleWebOptions extends ConnectionOptions {
  /**
   * Page of yours that providers send people back to, which calls
   * `handleCallback`: exactly one of the server's `authentication.callback_urls`.
   * Default: the server's first, or where it has none its own, at which it ends the sign-in itself.
   */
  readonly callbackUrl?: string;
  /** Project that access tokens are asked for (`X-Project`). */
  readonly project?: string;
  /** The one organization that access tokens are asked for (`X-Organization`). */
  readonly organization?: string;
}

/** Vestibule, for the person at this browser. */
export interface VestibuleWeb {
  readonly auth: Client<typeof AuthService>;
  readonly organizations: Client<typeof OrganizationService>;
  /** A client of any other service, with the same cookies. */
  client<S extends DescService>(service: S): Client<S>;

  /** Who is signed in. */
  readonly session: Session;
  /** The passkeys of who is signed in. */
  readonly passkeys: Passkeys;

  /** Sends the browser to an identity provider, by its strategy's name. @throws SignInError `not_a_provider` */
  signInWithProvider(name: string, options?: ProviderOptions): Promise<void>;
  /** Has a code mailed. The answer is the same for known and unknown addresses. */
  beginMailOtp(email: string, options?: SignInOptions): Promise<CodeEntry>;
  /** Has a link mailed, which signs in by the server's own page, in this browser. Its mail holds a code as well. */
  sendMailLink(email: string, options?: SignInOptions): Promise<CodeEntry>;
  /** Goes on waiting for a mailed code, as after the page was loaded anew. */
  resumeCodeEntry(pending: PendingCode): CodeEntry;
  /**
   * Signs in with whichever passkey the person chooses.
   *
   * With `conditional` passkeys are offered in the autofill of the page's
   * `<input autocomplete="username webauthn">` until one is chosen; undefined
   * where the browser cannot, and once another use of a passkey takes its place
   * or somebody has signed in otherwise.
   *
   * Who is signed in already signs in anew with `reauthenticate`.
   *
   * @throws SignInError `already_signed_in`, `passkey_…`
   */
  signInWithPasskey(options?: PasskeySignInOptions & { readonly conditional?: false }): Promise<SignedIn>;
  signInWithPasskey(
    options: PasskeySignInOptions & { readonly conditional: boolean },
  ): Promise<SignedIn | undefined>;
  /**
   * Makes a passkey on this device, for who is signed in.
   *
   * @param name 1 to 100 characters; the server chooses one otherwise.
   * @throws SignInError `not_signed_in`, `passkey_…`
   * @throws ConnectError REAUTH_REQUIRED when they signed in more than ten minutes ago
   */
  addPasskey(name?: string): Promise<Passkey>;
  /**
   * Ends a sign-in by a provider with what it brought back, on the page that is
   * `callbackUrl`. Nothing but `state` and `code` (and `iss`, RFC 9207) is sent;
   * asked twice about one address it answers the same.
   *
   * @param url default: the page's own, which is then rid of what the provider added.
   * @throws ConnectError INVALID_AUTH_STATE in another browser, INVALID_FLOW once it is over, …
   */
  handleCallback(url?: string | URL): Promise<CallbackResult>;

  /** Ends the session, here and in every tab. @throws ConnectError when the server cannot be told: it lives on then. */
  signOut(): Promise<void>;
  /** Ends every session of the person, or with `keepCurrent` every other one. @returns how many ended */
  signOutEverywhere(options?: { readonly keepCurrent?: boolean }): Promise<number>;
  /**
   * An access token of who is signed in, for APIs that verify it: from memory
   * where possible, renewed before it expires.
   *
   * @throws ConnectError `unauthenticated` when nobody is signed in.
   */
  getAccessToken(options?: AccessTokenOptions): Promise<string>;

  /** Stops to follow the session, in this page. */
  close(): void;
}

/** Deadline of a ping. */
const pingTimeoutMs = 15_000;

/** @see createVestibuleWeb, which brings the page */
export function createVestibuleWebIn(page: Surroundings, options: VestibuleWebOptions): VestibuleWeb {
  const onRefused = (): void => {
    // A credential that was good is not any more: find out whether that is the session.
    if (session.current !== undefined) session.refresh().catch(() => {});
  };
  const transport = createTransport(options, onRefused);
  const client = <S extends DescService>(service: S): Client<S> => createClient(service, transport);
  const auth = client(AuthService);

  const { project, organization } = options;
  const session = new SessionKeeper({ auth, clock: page.clock });
  const accessTokens = createAccessTokens({ auth, session, project, organization, ...page });
  const tabs = joinTabs(`vestibule ${toBaseUrl(options.baseUrl)}`, session, page);
  const stopRenewal = startRenewal({
    session,
    ping: () => auth.pingUserSession({}, { timeoutMs: pingTimeoutMs }),
    ...page,
  });
  const oneByOne = createOneByOne(`vestibule ${toBaseUrl(options.baseUrl)}`, page);
  const calls = createSignInCalls({ auth, session, tabs, callbackUrl: options.callbackUrl, oneByOne });

  /** Autofill has nothing to offer to who has signed in otherwise. */
  let stopOffer = (): void => {};
  const stopOfferOnSignIn = session.onChange(({ current }) => {
    if (current !== undefined) stopOffer();
  });

  async function offer(about: PasskeySignInOptions): Promise<SignedIn | undefined> {
    stopOffer = page.ceremonies.cancel;
    return await offerPasskeys(calls, page, about).finally(() => {
      stopOffer = () => {};
    });
  }

  const callbacks = new Map<string, Promise<CallbackResult>>();

  async function handleCallback(url?: string | URL): Promise<CallbackResult> {
    const address = (url ?? page.currentUrl()).toString();
    const callback = readCallback(new URL(address));
    if (callback === undefined) return { kind: "none" };
    const { state } = callback;
    // Pages ask twice, as frameworks have effects run twice: a code is good for once.
    const handling = callbacks.get(state) ?? finishCallback(calls, callback);
    callbacks.set(state, handling);
    try {
      return await handling;
    } catch (error) {
      if (isOutage(error)) callbacks.delete(state);
      throw error;
    } finally {
      // While the server could not be asked, loading the page again tries again.
      if (url === undefined && callbacks.has(state)) page.replaceUrl(withoutCallback(address));
    }
  }

  function close(): void {
    stopOffer();
    stopOfferOnSignIn();
    stopRenewal();
    tabs.close();
  }

  return {
    auth,
    organizations: client(OrganizationService),
    client,
    session,
    passkeys: createPasskeys(auth),
    signInWithProvider: (name, about = {}) => signInWithProvider(calls, page, name, about),
    beginMailOtp: (email, about = {}) => beginByMail(calls, "mailotp", email, about),
    sendMailLink: (email, about = {}) => beginByMail(calls, "maillink", email, about),
    resumeCodeEntry: (pending) => toCodeEntry(calls, pending),
    signInWithPasskey: (async ({ conditional = false, ...about } = {}) =>
      conditional
        ? await offer(about)
        : await signInWithPasskey(calls, page, about)) as VestibuleWeb["signInWithPasskey"],
    addPasskey: (name) => addPasskey(calls, auth, page.ceremonies, name),
    handleCallback,
    async signOut() {
      await auth.authLogout({});
      session.end("signed_out");
    },
    async signOutEverywhere({ keepCurrent = false } = {}) {
      const { revoked } = await auth.revokeAllSessions({ keepCurrent });
      if (!keepCurrent) session.end("signed_out");
      return revoked;
    },
    getAccessToken: (about) => accessTokens.get(about),
    close,
  };
}

/** Nothing that has to do with what was asked. */
function isOutage(error: unknown): boolean {
  const outages = [Code.Unavailable, Code.DeadlineExceeded, Code.Unknown, Code.Internal, Code.Canceled];
  return error instanceof ConnectError && outages.includes(error.code);
}
