import type { Client } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { createTokenSource, type TokenSource } from "../../../shared/src/token-source.ts";
import type { Surroundings } from "../surroundings.ts";
import type { SessionKeeper } from "./session.ts";

/** Where access tokens of the session come from. */
export interface AccessTokensOptions extends Pick<Surroundings, "clock" | "random"> {
  readonly auth: Pick<Client<typeof AuthService>, "authToken">;
  readonly session: Pick<SessionKeeper, "current" | "isKnown" | "onChange">;
  /** Project that tokens are for (`X-Project`). */
  readonly project: string | undefined;
  /** The one organization that tokens are for (`X-Organization`). */
  readonly organization: string | undefined;
}

/** What to ask for a token. */
export interface AccessTokenOptions {
  /** Ends the wait of this caller alone. */
  readonly signal?: AbortSignal;
  /** A token that an API has just refused: another one is fetched. */
  readonly refused?: string;
}

/** Deadline of one request for a token. */
const tokenTimeoutMs = 15_000;

/**
 * Access tokens made from the session: asked for once by all who wait, renewed
 * before they expire, never kept beyond the session they came from.
 */
export function createAccessTokens(options: AccessTokensOptions) {
  const { auth, session, project, organization, clock, random } = options;
  const headers = {
    ...(project !== undefined && { "x-project": project }),
    ...(organization !== undefined && { "x-organization": organization }),
  };
  let { isKnown } = session;
  let sessionId = session.current?.id;

  const createSource = (): TokenSource =>
    createTokenSource({
      async fetchToken() {
        const { accessToken, expiresIn } = await auth.authToken({}, { headers, timeoutMs: tokenTimeoutMs });
        return { accessToken, expiresInSeconds: expiresIn };
      },
      monotonicMs: clock.monotonicMs,
      random,
    });
  let source = createSource();
  session.onChange(({ event, current }) => {
    const isFirst = !isKnown;
    isKnown = true;
    if (current?.id === sessionId && !isFirst) return;
    sessionId = current?.id;
    // To find out whose session it is that tokens are made from already is no change.
    if (!(isFirst && event === "found")) source = createSource();
  });

  return {
    /** @throws ConnectError `unauthenticated` when nobody is signed in. */
    async get({ signal, refused }: AccessTokenOptions = {}): Promise<string> {
      const asked = source;
      if (refused !== undefined) asked.reject(refused);
      const token = await asked.get(signal);
      // Who is signed in has changed while it was on its way.
      return asked === source ? token : await source.get(signal);
    },
  };
}
