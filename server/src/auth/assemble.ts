import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuthenticationConfig } from "../config/config.ts";
import { createExpirySweep } from "../db/sweep.ts";
import type { Sealer } from "../encryption/sealer.ts";
import type { Clock } from "../lib/clock.ts";
import type { MailboxLimits } from "../limits/mailbox-limits.ts";
import type { Mailer } from "../mail/mailer.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import type { SessionCookies } from "../sessions/cookie.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import type { SessionService } from "../sessions/service.ts";
import { AnswerVerifier } from "./answer-verifier.ts";
import { BrowserSignIn, type Browsers, createBrowsers } from "./browser-sign-in.ts";
import { createClientKeyRoutes } from "./client-key-routes.ts";
import { deleteExpiredFlows } from "./flow-store.ts";
import { Flows } from "./flows.ts";
import { createFlowMethods } from "./handler.ts";
import { deleteSentCodes } from "./sent-code-store.ts";
import { SignInService, type SignInServiceOptions } from "./service.ts";
import { signInFlows } from "./sign-in-flow.ts";
import { SignInMail } from "./sign-in-mail.ts";
import { type ConfiguredStrategiesOptions, createConfiguredStrategies } from "./strategies/configured.ts";
import type { Strategy } from "./strategy.ts";

/** What signing in stands on. */
export interface SignInParts
  extends Omit<SignInServiceOptions, "strategies" | "redirects" | "flows" | "verifier" | "mail" | "sessions">,
    Pick<ConfiguredStrategiesOptions, "siteName" | "egress" | "passkeys"> {
  readonly authentication: AuthenticationConfig;
  /** Origin that browsers see. */
  readonly publicUrl: string;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly mailer: Mailer;
  readonly mailboxLimits: MailboxLimits;
  readonly knownBrowsers: KnownBrowsers;
  readonly wrongCodesPerFlow: number;
  readonly sessions: SessionService;
  readonly cookies: SessionCookies;
  readonly authenticator: SessionAuthenticator;
}

/** What the pages are drawn over. */
export interface SignInRoom extends Room {
  /** In the order to offer them. */
  readonly strategies: readonly Strategy[];
  readonly browsers: Browsers;
  readonly browserSignIn: BrowserSignIn;
  /** Mails that a mailbox's limits allow. */
  readonly signInMail: SignInMail;
}

/** Puts signing in together, with the strategies that are configured. */
export function assembleSignIn(parts: SignInParts): SignInRoom {
  const { database, clock, authentication, mailboxLimits, sessions, cookies, authenticator } = parts;
  const { sameSite, headers } = authentication.session;
  const strategies = createConfiguredStrategies(parts);
  const flows = new Flows(parts, signInFlows);
  const mail = new SignInMail(parts);
  const service = new SignInService({
    ...parts,
    strategies,
    redirects: authentication,
    flows,
    verifier: new AnswerVerifier({ ...parts, flows, guesses: mailboxLimits }),
    mail,
  });
  const browsers = createBrowsers({
    secure: parts.publicUrl.startsWith("https:"),
    crossSite: sameSite === "none",
  });
  const browserSignIn = new BrowserSignIn({
    service,
    sessions,
    authenticator,
    cookies,
    knownBrowsers: parts.knownBrowsers,
    deviceHeaders: headers,
    browsers,
  });
  const { frontierHiddenStrategies } = authentication;
  return {
    strategies,
    browsers,
    browserSignIn,
    signInMail: mail,
    routes: createClientKeyRoutes(authentication.oidcProviders),
    services: [
      registerService(AuthService, createFlowMethods({ service, browserSignIn, frontierHiddenStrategies })),
    ],
    sweeps: [
      { kind: "flows", run: createExpirySweep(database, clock, deleteExpiredFlows) },
      { kind: "sent_codes", run: createExpirySweep(database, clock, deleteSentCodes) },
    ],
    closing: [{ name: "sign-ins", moment: "work", ms: 2_000, run: () => service.drain() }],
  };
}
