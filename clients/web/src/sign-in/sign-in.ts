/**
 * Signing in: each way is one call that begins and, where the person has to do
 * something in between, one that ends.
 */
import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type {
  AuthCallbackRequestSchema,
  AuthenticateRequestSchema,
  AuthenticateResponse,
  AuthService,
} from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { CurrentSession, SessionKeeper } from "../session/session.ts";
import type { Tabs } from "../session/tabs.ts";
import { SignInError } from "../sign-in-error.ts";
import type { OneByOne } from "./one-by-one.ts";

/** What every way to sign in takes. */
export interface SignInOptions {
  /**
   * Where to send the person in the end: exactly one of the server's
   * `authentication.authorized_redirect_urls`.
   */
  readonly returnTo?: string;
  readonly signal?: AbortSignal;
}

/** Somebody signed in. */
export interface SignedIn {
  readonly session: CurrentSession;
  /** The `returnTo` it began with: for the page to go to. */
  readonly returnTo: string | undefined;
}

/** What the calls of signing in are made with. */
export interface SignInCallsOptions {
  readonly auth: Pick<Client<typeof AuthService>, "authenticate" | "authCallback">;
  readonly session: Pick<SessionKeeper, "begin">;
  readonly tabs: Pick<Tabs, "announceSignIn">;
  readonly callbackUrl: string | undefined;
  readonly oneByOne: OneByOne;
}

/** The two calls that all of it is made of. */
export interface SignInCalls {
  begin(
    asked: MessageInitShape<typeof AuthenticateRequestSchema> & { readonly strategyName: string },
    options: SignInOptions,
  ): Promise<AuthenticateResponse>;
  /** Ends a flow that makes a session. @throws SignInError `cookie_refused` */
  finish(
    answer: MessageInitShape<typeof AuthCallbackRequestSchema>,
    options?: Pick<SignInOptions, "signal">,
  ): Promise<SignedIn>;
}

/** @see {@link SignInCalls} */
export function createSignInCalls(options: SignInCallsOptions): SignInCalls {
  const { auth, session, tabs, callbackUrl, oneByOne } = options;
  return {
    async begin(asked, { returnTo = "", signal }) {
      const request = { callbackUrl: callbackUrl ?? "", returnTo, ...asked };
      return await oneByOne(() => auth.authenticate(request, signal && { signal }), signal);
    },
    async finish(answer, { signal } = {}) {
      let returnTo: string | undefined;
      await auth.authCallback(answer, {
        ...(signal && { signal }),
        onHeader: (headers) => {
          returnTo = headers.get("location") ?? undefined;
        },
      });
      tabs.announceSignIn();
      const current = await session.begin();
      if (current === undefined) throw new SignInError("cookie_refused");
      return { session: current, returnTo };
    },
  };
}

/** What a browser's API answered, in the shape that Frontier's clients send it too. */
export function toStateOptions(answer: object): JsonObject {
  return { options: JSON.stringify(answer) };
}
