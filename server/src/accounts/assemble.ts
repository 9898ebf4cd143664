import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import { AnswerVerifier } from "../auth/answer-verifier.ts";
import { FlowMails } from "../auth/flow-mails.ts";
import { Flows } from "../auth/flows.ts";
import type { SignInMail } from "../auth/sign-in-mail.ts";
import { createMailOtpStrategy } from "../auth/strategies/mail-otp.ts";
import type { Change } from "../changes/topics.ts";
import type { AuthenticationConfig } from "../config/config.ts";
import type { Tx } from "../db/database.ts";
import type { Sealer } from "../encryption/sealer.ts";
import type { Log } from "../lib/log.ts";
import type { MailboxLimits } from "../limits/mailbox-limits.ts";
import type { Mailer } from "../mail/mailer.ts";
import { toBegunCookies } from "../sessions/begun-cookies.ts";
import type { SessionCookies } from "../sessions/cookie.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import type { SessionService } from "../sessions/service.ts";
import type { DeletionParts } from "../users/deletion.ts";
import { deleteIdentities } from "../users/identity-store.ts";
import { AccountDeletion } from "./deletion.ts";
import { EmailChange, type EmailChangeOptions } from "./email-change.ts";
import { emailChangeFlows } from "./email-change-flow.ts";
import { EmailUndo, undoPath } from "./email-undo.ts";
import { AccountExport } from "./export.ts";
import { createExportSources, type ExportSourceParts } from "./export-sources.ts";
import { type AccountMethodsOptions, createAccountMethods } from "./handler.ts";
import { emailChangeTemplate } from "./notices.ts";

/** What people's own accounts stand on. */
export interface AccountParts
  extends Omit<
      EmailChangeOptions,
      | "sessions"
      | "flows"
      | "codes"
      | "verifier"
      | "mails"
      | "deviceHeaders"
      | "toSessionCookies"
      | "notify"
      | "undoUrl"
    >,
    DeletionParts,
    Omit<ExportSourceParts, "database" | "clock" | "sessions"> {
  readonly sessions: SessionService;
  readonly log: Log;
  readonly sealer: Sealer;
  readonly mailer: Mailer;
  readonly mailboxLimits: MailboxLimits;
  readonly signInMail: SignInMail;
  readonly cookies: Pick<SessionCookies, "toSetCookies" | "toClearCookies">;
  readonly knownBrowsers: KnownBrowsers;
  readonly authentication: AuthenticationConfig;
  readonly wrongCodesPerFlow: number;
  /** Removes a user's passkeys that were added at an instant or later, and answers how many there were. */
  readonly forgetPasskeys: (tx: Tx, userId: string, since: Date) => Promise<number>;
  /** Removes all personal access tokens of a user; what it answers, one for each, is to be appended to the feed. */
  readonly removePersonalTokens: (tx: Tx, userId: string) => Promise<readonly Change[]>;
  readonly toUserMessage: AccountMethodsOptions["toUserMessage"];
  /** Origin that browsers see. */
  readonly publicUrl: string;
}

/** What the pages are drawn over. */
export interface AccountsRoom extends Room {
  readonly emailChange: EmailChange;
  readonly emailUndo: EmailUndo;
  readonly deletion: AccountDeletion;
  readonly accountExport: AccountExport;
}

/** Puts together what people do to their own accounts. */
export function assembleAccounts(parts: AccountParts): AccountsRoom {
  const { authentication, mailer, mailboxLimits, signInMail, log, siteName } = parts;
  const { sessions, forgetPasskeys, removePersonalTokens, toUserMessage } = parts;
  const notify: EmailChangeOptions["notify"] = (mail) => {
    mailer
      .send(mail)
      .catch((err) => log.warn({ err }, "the owner of an account could not be told of its address"));
  };
  const flows = new Flows(parts, emailChangeFlows);
  const mails = new FlowMails({ mail: signInMail, flows, log });
  const emailChange = new EmailChange({
    ...parts,
    flows,
    codes: createMailOtpStrategy({
      mailer,
      siteName,
      template: emailChangeTemplate,
      validitySeconds: authentication.mailOtp.validitySeconds,
    }),
    verifier: new AnswerVerifier({ ...parts, flows, guesses: mailboxLimits }),
    mails,
    deviceHeaders: authentication.session.headers,
    toSessionCookies: (begun) => toBegunCookies(begun, parts),
    notify,
    undoUrl: parts.publicUrl + undoPath,
  });
  const emailUndo = new EmailUndo({
    ...parts,
    notify,
    withdraw: {
      sessions: async (tx, userId) => toWithdrawn(await sessions.endAll(tx, userId)),
      pats: async (tx, userId) => toWithdrawn(await removePersonalTokens(tx, userId)),
      passkeys: async (tx, userId, since) => ({ count: await forgetPasskeys(tx, userId, since) }),
      identities: async (tx, userId, since) => ({ count: await deleteIdentities(tx, userId, since) }),
    },
  });
  const deletion = new AccountDeletion({ ...parts, notify });
  const { database, audit, clock } = parts;
  const accountExport = new AccountExport({ database, audit, clock, sources: createExportSources(parts) });
  const rules = { emailChange, emailUndo, deletion, accountExport };
  return {
    ...rules,
    services: [
      registerService(AuthService, createAccountMethods({ ...rules, cookies: parts.cookies, toUserMessage })),
    ],
    closing: [{ name: "changes of address", moment: "work", ms: 2_000, run: () => mails.drain() }],
  };
}

function toWithdrawn(changes: readonly Change[]) {
  return { count: changes.length, changes };
}
