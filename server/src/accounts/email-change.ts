/**
 * How people give their account another address.
 *
 * The new mailbox is asked by a code, in a session that has proven itself
 * lately, and until the code is back nothing changes; the one before hears of
 * it, and can undo it (`email-undo.ts`). Whether an address is somebody's is told
 * to its mailbox alone. An account whose address nobody has proven proves it in
 * the same way, and has no other before.
 */
import { randomBytes } from "node:crypto";
import type { AuditTrail } from "../audit/audit.ts";
import { type AnswerVerifier, isOutage } from "../auth/answer-verifier.ts";
import type { Browsers } from "../auth/browser-sign-in.ts";
import type { FlowMails } from "../auth/flow-mails.ts";
import type { Flow } from "../auth/flow-store.ts";
import { isSameBrowser, newState } from "../auth/flows.ts";
import type { Strategy } from "../auth/strategy.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { SessionHeadersConfig } from "../config/config.ts";
import type { Database, Reader, Tx } from "../db/database.ts";
import { isUniqueViolation } from "../db/errors.ts";
import { toBase64url } from "../lib/base64url.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { invalidField } from "../lib/invalid-request.ts";
import { hashSecret } from "../lib/secrets.ts";
import type { Rate } from "../limits/rates.ts";
import type { MailMessage } from "../mail/message.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { readDevice } from "../sessions/device.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import type { BegunSession, SessionService } from "../sessions/service.ts";
import type { Accounts } from "../users/accounts.ts";
import { requireEmail } from "../users/email.ts";
import { type EndFlows, lockForMove, moveUser } from "../users/move.ts";
import { findUserByEmail } from "../users/store.ts";
import { findEmailFixedUntil, findHolder, insertUndo } from "../users/undo-store.ts";
import type { User } from "../users/user.ts";
import type { EmailChangeFlows, EmailChangeSecret } from "./email-change-flow.ts";
import { undoableMs } from "./email-undo.ts";
import { toChangedNotice, toTakenNotice } from "./notices.ts";
import { type OwnSessionParts, requireOwnSession, requireRecentSession } from "./own-session.ts";

/** Parts that changing an address stands on. */
export interface EmailChangeOptions extends OwnSessionParts {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: AuditTrail;
  readonly flows: EmailChangeFlows;
  /** How many flows of an address may be on their way. */
  readonly flowLimits: Rate;
  /** Makes the codes and knows them again. */
  readonly codes: Strategy;
  readonly verifier: Pick<AnswerVerifier, "verify">;
  readonly mails: Pick<FlowMails, "send">;
  readonly endFlows: EndFlows;
  readonly accounts: Pick<Accounts, "admitMailbox">;
  readonly sessions: Pick<SessionService, "begin" | "endAll">;
  /** Whether a user's session is still there, until `tx` ends. */
  readonly holdSession: (tx: Tx, sessionId: string, userId: string) => Promise<boolean>;
  readonly knownBrowsers: Pick<KnownBrowsers, "readKeys">;
  readonly browsers: Browsers;
  readonly deviceHeaders: SessionHeadersConfig;
  /** What has a browser keep a session. */
  readonly toSessionCookies: (begun: BegunSession) => readonly string[];
  /** Sends a notice. Best effort: must not throw. */
  readonly notify: (mail: MailMessage) => void;
  readonly siteName: string;
  /** The page that the link of an undo opens. */
  readonly undoUrl: string;
}

/** A change just begun. */
export interface BegunEmailChange {
  readonly state: string;
  /** Values of `Set-Cookie`. */
  readonly setCookies: readonly string[];
}

/** A change that is made. */
export interface FinishedEmailChange {
  /** The account, as it is now. */
  readonly user: User;
  /** Values of `Set-Cookie`: of the session that takes the place of the caller's. */
  readonly setCookies: readonly string[];
}

/** What a change came to: an address that was only proven leaves the session as it is. */
interface Outcome {
  readonly user: User;
  readonly begun?: BegunSession;
  /** What the link in the mail to the address before carries. */
  readonly undo?: { readonly token: string; readonly until: Date };
}

/** @see the head of this file */
export class EmailChange {
  readonly #options: EmailChangeOptions;

  constructor(options: EmailChangeOptions) {
    this.#options = options;
  }

  /**
   * Mails a code to the address that the caller's account is to have, after the answer.
   *
   * @param header of the caller's request: of its browser
   * @throws DomainError NOT_AUTHORIZED, REAUTH_REQUIRED, INVALID_EMAIL, INVALID_REQUEST (it is the account's, proven),
   *   ADDRESS_UNPROVEN, EMAIL_CHANGE_PAUSED, TOO_MANY_FLOWS, UNAVAILABLE; nothing is kept then.
   */
  async begin(caller: Caller, address: string, header: Headers): Promise<BegunEmailChange> {
    const { database, flows, flowLimits, codes, mails, knownBrowsers, browsers, audit } = this.#options;
    const user = await requireRecentSession(caller, this.#options);
    const email = requireEmail(address);
    if (email !== user.email) {
      if (!user.emailProven) throw new DomainError("ADDRESS_UNPROVEN");
    } else if (user.emailProven) throw invalidField("email", "must be another address than the account has");
    await this.#requireChangeable(database.reader, user.id);
    const state = newState();
    const browser = browsers.get(header);
    const counted = flowLimits.take(caller.request.clientAddress);
    try {
      const { secret, mail } = await codes.begin({ email, callbackUrl: "", state });
      const flowId = await flows.keep(state, {
        strategy: codes.name,
        flowSeconds: codes.flowSeconds,
        secret: { code: secret, from: user.email, counted },
        browserHash: hashSecret(browser),
        callbackUrl: "",
        email,
        sessionId: user.sessionId,
      });
      const asker = { info: caller.request, browserKeys: knownBrowsers.readKeys(header) };
      const findMail = () => this.#findMail(user, email, mail);
      mails.send(flowId, findMail, asker, "email_change");
    } catch (error) {
      flowLimits.giveBack(counted);
      throw error;
    }
    audit.note(caller, { action: "user.begin_email_change", target: user.id, mailbox: email });
    return { state, setCookies: browsers.toSetCookies(browser) };
  }

  /** Who is asked for a code by a change of this browser and session, not yet over. @throws DomainError INVALID_FLOW, INVALID_AUTH_STATE */
  async peek(caller: Caller, state: string, header: Headers): Promise<string> {
    return (await this.#getFlow(requireOwnSession(caller), state, header)).email ?? "";
  }

  /**
   * Gives the caller's account the address whose mailbox the code was sent to.
   *
   * @param header of the caller's request: of its browser
   * @throws DomainError NOT_AUTHORIZED, INVALID_FLOW, INVALID_AUTH_STATE, INVALID_OTP, EMAIL_CHANGE_PAUSED, PRINCIPAL_DISABLED
   */
  async finish(
    caller: Caller,
    { state, code }: { readonly state: string; readonly code: string },
    header: Headers,
  ): Promise<FinishedEmailChange> {
    const user = requireOwnSession(caller);
    const { siteName, undoUrl, notify, flowLimits, toSessionCookies } = this.#options;
    try {
      const flow = await this.#getFlow(user, state, header);
      const secret = this.#options.flows.unseal(flow);
      const outcome = await this.#verifyAndAct(caller, flow, secret, code, header);
      flowLimits.giveBack(secret.counted);
      if (outcome.undo !== undefined) {
        const { token, until } = outcome.undo;
        const link = `${undoUrl}?t=${token}`;
        notify(toChangedNotice(siteName, { from: secret.from, to: outcome.user.email, link, until }));
      }
      return { user: outcome.user, setCookies: outcome.begun ? toSessionCookies(outcome.begun) : [] };
    } catch (error) {
      this.#noteRefusal(error, caller, user);
      throw error;
    }
  }

  /** Looked up after the answer, as the mail goes out: no answer's time tells whose an address is. */
  async #findMail(user: UserPrincipal, email: string, mail: MailMessage | undefined): Promise<MailMessage> {
    const { database, siteName } = this.#options;
    const isTaken = email !== user.email && !(await this.#isFree(database.reader, email));
    if (isTaken || mail === undefined) return toTakenNotice(siteName, email);
    return mail;
  }

  async #isFree(reader: Reader, email: string): Promise<boolean> {
    const user = await findUserByEmail(reader, email);
    return user === undefined && (await findHolder(reader, email, this.#options.clock.now())) === undefined;
  }

  async #requireChangeable(reader: Reader, userId: string): Promise<void> {
    const until = await findEmailFixedUntil(reader, userId);
    if (until <= this.#options.clock.now()) return;
    throw new DomainError("EMAIL_CHANGE_PAUSED", { metadata: { until: until.toISOString() } });
  }

  async #getFlow(user: UserPrincipal, state: string, header: Headers): Promise<Flow> {
    const flow = await this.#options.flows.findLive(state);
    if (flow === undefined) throw new DomainError("INVALID_FLOW");
    const isSame = isSameBrowser(this.#options.browsers.find(header), flow.browserHash);
    if (isSame && flow.sessionId === user.sessionId) return flow;
    const detail = `another ${isSame ? "session" : "browser"} than the change began in`;
    throw new DomainError("INVALID_AUTH_STATE", { detail });
  }

  async #verifyAndAct(
    caller: Caller,
    flow: Flow,
    { code: secret, from }: EmailChangeSecret,
    code: string,
    header: Headers,
  ): Promise<Outcome> {
    const { database, flows, codes, verifier, knownBrowsers } = this.#options;
    const { id, email = "", callbackUrl } = flow;
    const browserKeys = knownBrowsers.readKeys(header);
    const answer = { code, stateOptions: {}, flow: { id, email, callbackUrl, secret } };
    const verified = await verifier.verify(codes, flow, answer, { info: caller.request, browserKeys });
    try {
      return await database.transaction(async (tx) => {
        await verified.settle(tx);
        const user = requireOwnSession(caller);
        if (email === from) return await this.#prove(tx, caller, user, email);
        return await this.#change(tx, caller, { user, from, email, header, browserKeys });
      });
    } catch (error) {
      // The code was right and is of no use: it must not be tried again.
      if (!isOutage(error) || isUniqueViolation(error)) await flows.remove(id);
      throw isUniqueViolation(error) ? new DomainError("INVALID_FLOW", { cause: error }) : error;
    }
  }

  async #prove(tx: Tx, caller: Caller, user: UserPrincipal, email: string): Promise<Outcome> {
    const { accounts, audit, feed } = this.#options;
    await this.#requireSession(tx, user);
    const admission = await accounts.admitMailbox(tx, email, { insideOf: user.id });
    if (admission.user.id !== user.id) throw new DomainError("INVALID_FLOW", { detail: "the address moved" });
    for (const event of admission.events) await audit.record(tx, caller, event);
    await feed.append(tx, ...admission.changes);
    return { user: admission.user };
  }

  async #change(
    tx: Tx,
    caller: Caller,
    move: {
      readonly user: UserPrincipal;
      readonly from: string;
      readonly email: string;
      readonly header: Headers;
      readonly browserKeys: readonly string[];
    },
  ): Promise<Outcome> {
    const { clock, codes, endFlows, sessions, deviceHeaders, audit, feed } = this.#options;
    const { user, from, email, header, browserKeys } = move;
    const now = clock.now();
    const before = await lockForMove(tx, user.id, email, endFlows);
    if (before?.email !== from || !before.emailProven) {
      throw new DomainError("INVALID_FLOW", { detail: "the account's address changed meanwhile" });
    }
    if (before.state === "disabled") throw new DomainError("PRINCIPAL_DISABLED");
    await this.#requireSession(tx, user);
    await this.#requireChangeable(tx, user.id);
    if (!(await this.#isFree(tx, email))) {
      throw new DomainError("INVALID_FLOW", { detail: "the address is another account's" });
    }
    const after: User = { ...before, email, updatedAt: now };
    await moveUser(tx, before, after);
    const token = toBase64url(randomBytes(32));
    const until = new Date(now.getTime() + undoableMs);
    const undo = { id: newId(now), userId: user.id, email: from, changedAt: now, expiresAt: until };
    await insertUndo(tx, undo, hashSecret(token));
    const ended = await sessions.endAll(tx, user.id);
    const begun = await sessions.begin(tx, {
      userId: user.id,
      strategy: codes.name,
      device: readDevice(deviceHeaders, header, caller.request),
      browserKeys,
      replaces: [],
    });
    const details = { email, previous_email: from, sessions: String(ended.length) };
    await audit.record(tx, caller, { action: "user.change_email", target: user.id, mailbox: from, details });
    await audit.record(tx, caller, {
      action: "session.create",
      target: begun.session.id,
      mailbox: email,
      details: { strategy: codes.name, replaced: "1" },
    });
    await feed.append(tx, { topic: "user", subject: user.id }, ...ended, ...begun.changes);
    return { user: after, begun, undo: { token, until } };
  }

  /** @throws DomainError INVALID_FLOW */
  async #requireSession(tx: Tx, { id, sessionId }: UserPrincipal): Promise<void> {
    if (await this.#options.holdSession(tx, sessionId, id)) return;
    throw new DomainError("INVALID_FLOW", { detail: "the session was ended meanwhile" });
  }

  #noteRefusal(error: unknown, { request }: Caller, { id, sessionId }: UserPrincipal): void {
    if (!(error instanceof DomainError) || isOutage(error)) return;
    const { reason, detail } = error;
    this.#options.audit.refuse(request, {
      action: "user.refuse_email_change",
      target: id,
      actor: { type: "user", id },
      credentialKind: "session",
      credentialId: sessionId,
      reason,
      ...(detail !== undefined && { detail }),
    });
  }
}
