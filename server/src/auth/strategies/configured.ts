import type { AuthenticationConfig, MailConfig, OidcProviderConfig } from "../../config/config.ts";
import type { Egress } from "../../egress/egress.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Mailer } from "../../mail/mailer.ts";
import type { MailTemplate } from "../../mail/template.ts";
import { toEmailDomain } from "../../users/email.ts";
import type { Strategy } from "../strategy.ts";
import { createMailLinkStrategy, mailLinkTemplate } from "./mail-link.ts";
import { createMailOtpStrategy, mailOtpTemplate } from "./mail-otp.ts";
import { createOAuthStrategy } from "./oauth.ts";
import { createOidcStrategy } from "./oidc.ts";
import { createPasskeyStrategy, type PasskeyStrategyOptions } from "./passkey.ts";

/** Settings and parts that the strategies of this server are made from. */
export interface ConfiguredStrategiesOptions {
  readonly authentication: AuthenticationConfig;
  /** What the people who come here call the place. */
  readonly siteName: string;
  readonly mailer: Pick<Mailer, "isAvailable" | "findRefusal">;
  readonly egress: Egress;
  readonly passkeys: Pick<
    PasskeyStrategyOptions,
    "passkeys" | "findByCredentialId" | "findByUser" | "findOwner"
  >;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long a passkey's ceremony may take, in seconds. */
const passkeyFlowSeconds = 600;

function toTemplate({ subject, body }: MailConfig, builtIn: MailTemplate): MailTemplate {
  return { subject: subject ?? builtIn.subject, body: body ?? builtIn.body };
}

/** Every strategy that is configured, in the order to offer them: providers as in the file, mail, passkeys. */
export function createConfiguredStrategies(options: ConfiguredStrategiesOptions): readonly Strategy[] {
  const { authentication, siteName, mailer, egress, clock, log } = options;
  const { mailOtp, mailLink, passkey, testUsers } = authentication;

  function toProvider(provider: OidcProviderConfig): Strategy {
    const { issuerUrl = "", oauth, validitySeconds: flowSeconds } = provider;
    if (oauth !== undefined)
      return createOAuthStrategy({ ...provider, ...oauth, issuerUrl, flowSeconds, egress });
    const { clockSkewSeconds } = authentication;
    return createOidcStrategy({ ...provider, flowSeconds, issuerUrl, clockSkewSeconds, egress, clock, log });
  }

  const mail = { mailer, siteName };
  return [
    ...authentication.oidcProviders.map(toProvider),
    createMailOtpStrategy({
      ...mail,
      template: toTemplate(mailOtp, mailOtpTemplate),
      validitySeconds: mailOtp.validitySeconds,
      ...(testUsers && {
        findFixedCode: (email) => (toEmailDomain(email) === testUsers.domain ? testUsers.otp : undefined),
      }),
    }),
    createMailLinkStrategy({
      ...mail,
      template: toTemplate(mailLink, mailLinkTemplate),
      validitySeconds: mailLink.validitySeconds,
      landingUrl: authentication.plainCallbackUrl,
    }),
    ...(passkey === undefined
      ? []
      : [
          createPasskeyStrategy({
            ...passkey,
            ...options.passkeys,
            flowSeconds: passkeyFlowSeconds,
            clock,
            log,
          }),
        ]),
  ];
}
