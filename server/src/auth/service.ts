/**
 * How people sign in: the phases that all strategies share.
 *
 * A flow is begun by `begin`, bound to a browser, and ended by `finish`. What
 * a strategy cannot forget is done here: exact redirect targets, the binding,
 * expiry, single use, counting of answers, the account, the session and the
 * audit. Nothing here asks whether an address is known before its mailbox has
 * been proven, so that no answer tells.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Reader, Tx } from "../db/database.ts";
import { isUniqueViolation } from "../db/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Metadata } from "../lib/metadata.ts";
import type { RequestInfo } from "../lib/request.ts";
import { hashSecret } from "../lib/secrets.ts";
import type { Counted, Rate } from "../limits/rates.ts";
import { type BroughtError, readBroughtError } from "../openid/refusal.ts";
import type { Principal, UserPrincipal } from "../principals/principal.ts";
import type { BegunSession, NewSession } from "../sessions/service.ts";
import type { Device, LiveSession } from "../sessions/session.ts";
import type { Admission, MailboxProof, ProvenIdentity, WaitingIdentity } from "../users/accounts.ts";
import { requireEmail } from "../users/email.ts";
import type { TakeOver } from "../users/take-over.ts";
import { type AnswerVerifier, isOutage, type VerifiedAnswer } from "./answer-verifier.ts";
import { FlowMails } from "./flow-mails.ts";
import type { Flow } from "./flow-store.ts";
import { isSameBrowser, newState } from "./flows.ts";
import { findReturnTo, getCallbackUrl, isOwnRoute, type RedirectRules } from "./redirects.ts";
import type { PostedAnswer, SignInFlows, SignInSecret } from "./sign-in-flow.ts";
import type { Asker, SignInMail } from "./sign-in-mail.ts";
import type { BeginRequest, FinishingUser, Proof, SignedInUser, Strategy } from "./strategy.ts";

/** What `Authenticate` asks for; absent texts are empty. */
export interface BeginFlow {
  readonly strategyName: string;
  readonly email: string;
  readonly returnTo: string;
  readonly callbackUrl: string;
  /** Whether to sign in anew, whoever is signed in. */
  readonly reauthenticate?: boolean;
  /** Value of the browser's cookie. */
  readonly browser: string;
  /** Keys by which accounts know the browser. */
  readonly browserKeys: readonly string[];
  /** Who asks, as far as known. */
  readonly principal: Principal | undefined;
  readonly info: RequestInfo;
}

/** A flow just begun. */
export interface BegunFlow {
  /** Empty if the browser is to be sent nowhere. */
  readonly endpoint: string;
  readonly state: string;
  readonly stateOptions: Metadata | undefined;
}

/** What comes back; absent texts are empty. */
export interface FinishFlow {
  readonly strategyName: string;
  readonly state: string;
  readonly code: string;
  readonly stateOptions: Metadata;
  /** `iss` of the callback's query (RFC 9207), empty if it had none; absent where the query is not known. */
  readonly issuer?: string;
  /** `user` as the provider posted it. */
  readonly user?: string;
  /** URL of the route of ours that the answer came to; absent for `AuthCallback` and our pages' forms. */
  readonly route?: string;
  /** Values of the browser's cookie. */
  readonly browsers: readonly string[];
  /** Keys by which accounts know the browser. */
  readonly browserKeys: readonly string[];
  readonly principal: Principal | undefined;
  /**
   * Whether to do nothing yet where a right code would take over an account
   * with something in it that can be kept: see `waysToKeep` of the answer.
   */
  readonly asksBeforeTakeOver?: boolean;
  /** Live sessions that the request came with: a new one takes their place. */
  readonly sessions: readonly LiveSession[];
  readonly device: Device;
  readonly info: RequestInfo;
}

/** A flow that came to a good end. */
export interface FinishedSignIn {
  /** Absent when a passkey was registered, which makes no session, and while the person is asked. */
  readonly begun?: BegunSession;
  readonly returnTo: string | undefined;
  /**
   * Set where nothing has been done yet and the same answer is good once more:
   * the strategies that get into the account that the mailbox's proof would
   * take over, and keep what is there.
   */
  readonly waysToKeep?: readonly string[];
}

/** What a browser may see of a flow before it answers. */
export interface FlowPreview {
  readonly strategy: Strategy;
  readonly email: string | undefined;
  /** Where the person asked to go in the end. */
  readonly returnTo: string | undefined;
  /** Whether it began in one of these browsers. */
  readonly isSameBrowser: boolean;
  /** What the provider's form brought a moment ago; to that very browser alone. */
  readonly posted?: PostedAnswer;
}

/** How long a provider's posted answer waits for the browser, which is on its way to get it, in milliseconds. */
const postedMs = 120_000;

/** Parts that signing in stands on, and the rules that an operator sets. */
export interface SignInServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Log;
  /** In the order to offer them. */
  readonly strategies: readonly Strategy[];
  readonly redirects: RedirectRules;
  readonly flows: SignInFlows;
  /** How many flows of an address may be on their way. */
  readonly flowLimits: Rate;
  readonly verifier: AnswerVerifier;
  readonly mail: Pick<SignInMail, "send">;
  readonly accounts: {
    admitIdentity(tx: Tx, identity: ProvenIdentity): Promise<Admission | { readonly needs: string }>;
    admitMailbox(tx: Tx, email: string, proof: MailboxProof): Promise<Admission>;
    admitUser(tx: Tx, userId: string): Promise<Admission>;
    findWaysToKeep(
      reader: Reader,
      email: string,
      proof: Pick<MailboxProof, "insideOf">,
    ): Promise<readonly string[]>;
  };
  /** Tells those concerned of an account that was taken over. Best effort: must not throw. */
  readonly onTakeOver: (takeOver: TakeOver) => void;
  /** Tells the address before of an account whose provider has changed it. Best effort: must not throw. */
  readonly onMove: (from: string, to: string) => void;
  /** Whether a user still has a passkey; with `tx`, so that a removal is before this sign-in or after it. */
  readonly holdPasskey: (tx: Tx, id: string, userId: string) => Promise<boolean>;
  readonly sessions: { begin(tx: Tx, session: NewSession): Promise<BegunSession> };
  readonly findSession: (id: string) => Promise<LiveSession | undefined>;
}

/** The strategy that proves a mailbox, for joining an identity. */
const linkStrategyName = "mailotp";

/** What a flow is begun with. */
interface FlowStart {
  readonly browserHash: string;
  readonly callbackUrl: string;
  readonly asker: Asker;
  readonly email?: string;
  readonly returnTo?: string;
  readonly user?: SignedInUser;
  readonly waiting?: WaitingIdentity;
  readonly counted?: Counted;
}

/** The sign-in that goes on by proving a mailbox. */
interface LinkedFrom extends Pick<SignInSecret, "counted"> {
  readonly user: SignedInUser | undefined;
  readonly asker: Asker;
}

/** What is known of a sign-in by the time that it is refused. */
interface Seen {
  strategy?: string | undefined;
  /** That the flow, or the provider's answer, is about. */
  mailbox?: string | undefined;
}

/** What acting on a proof came to. */
type Outcome =
  | { readonly begun: BegunSession; readonly told: Pick<Admission, "user" | "takenOver" | "movedFrom"> }
  | { readonly needs: string; readonly waiting: WaitingIdentity };

/** @see the head of this file */
export class SignInService {
  readonly #options: SignInServiceOptions;
  readonly #strategies: ReadonlyMap<string, Strategy>;
  readonly #mails: FlowMails;

  constructor(options: SignInServiceOptions) {
    this.#options = options;
    this.#mails = new FlowMails(options);
    this.#strategies = new Map(options.strategies.map((strategy) => [strategy.name, strategy]));
  }

  /** Every strategy, in the order to offer them. */
  get strategies(): readonly Strategy[] {
    return this.#options.strategies;
  }

  /**
   * Begins a flow. What the strategy has to do besides, such as sending a
   * mail, is done after the answer.
   *
   * @throws DomainError UNSUPPORTED_STRATEGY, INVALID_EMAIL, REDIRECT_NOT_ALLOWED, TOO_MANY_FLOWS,
   *   and what the strategy throws; nothing is kept then.
   */
  async begin(request: BeginFlow): Promise<BegunFlow> {
    const strategy = this.#getStrategy(request.strategyName);
    const { redirects } = this.#options;
    const callbackUrl = getCallbackUrl(redirects, request.callbackUrl, strategy.callbackUrl);
    const returnTo = findReturnTo(redirects, request.returnTo);
    const email = request.email === "" ? undefined : requireEmail(request.email);
    const user = request.reauthenticate ? undefined : await this.#findSignedInUser(request.principal);
    const { info, browserKeys } = request;
    let counted: Counted | undefined;
    try {
      counted = this.#options.flowLimits.take(info.clientAddress);
      return await this.#start(strategy, {
        browserHash: hashSecret(request.browser),
        callbackUrl,
        asker: { info, browserKeys },
        counted,
        ...(email !== undefined && { email }),
        ...(returnTo !== undefined && { returnTo }),
        ...(user && { user }),
      });
    } catch (error) {
      if (counted !== undefined) this.#options.flowLimits.giveBack(counted);
      this.#noteRefusal(error, request, { strategy: strategy.name, mailbox: email });
      throw error;
    }
  }

  /**
   * Ends a flow with what came back, and begins a session. Account, session,
   * audit and the end of a flow with a code share one transaction.
   *
   * @throws DomainError INVALID_FLOW, INVALID_AUTH_STATE, UNSUPPORTED_STRATEGY, INVALID_OTP, LINK_REQUIRED,
   *   SIGNUP_CLOSED, ADDRESS_HELD, EMAIL_REQUIRED, PRINCIPAL_DISABLED, and what the strategy throws.
   */
  async finish(request: FinishFlow): Promise<FinishedSignIn> {
    const seen: Seen = { strategy: request.strategyName };
    try {
      return await this.#finish(request, seen);
    } catch (error) {
      this.#noteRefusal(error, request, seen);
      throw error;
    }
  }

  /** Looks at a flow without changing it; that somebody comes too late is recorded. @throws DomainError INVALID_FLOW */
  async peek(
    state: string,
    { browsers, info }: { readonly browsers: readonly string[]; readonly info: RequestInfo },
  ): Promise<FlowPreview> {
    const seen: Seen = {};
    const flow = await this.#findLive(state, seen).catch((error) => {
      if (seen.mailbox !== undefined) this.#noteRefusal(error, { info, principal: undefined }, seen);
      throw error;
    });
    const strategy = this.#getStrategy(flow.strategy);
    const isSame = isSameBrowser(browsers, flow.browserHash);
    const posted = strategy.isAnsweredByForm && isSame ? this.#findPosted(flow) : undefined;
    return {
      strategy,
      email: flow.email,
      returnTo: flow.returnTo,
      isSameBrowser: isSame,
      ...(posted && { posted }),
    };
  }

  #findPosted(flow: Flow): PostedAnswer | undefined {
    const { flows, clock } = this.#options;
    const { posted } = flows.unseal(flow);
    return posted && clock.now().getTime() - posted.at.getTime() < postedMs ? posted : undefined;
  }

  /**
   * Keeps what a provider's form brought until its browser comes for it, with
   * the cookie that a form of another site comes without. Says nothing of who
   * brought it, and ends nothing. One answer is kept of any number that come.
   *
   * @param route of ours that it came to
   * @throws DomainError INVALID_FLOW, INVALID_AUTH_STATE
   */
  async keepPosted(state: string, route: string, answer: Omit<PostedAnswer, "at">): Promise<void> {
    const { flows, clock } = this.#options;
    const flow = await this.#findLive(state, {});
    if (!this.#getStrategy(flow.strategy).isAnsweredByForm || !this.#isAnsweredAt(route, flow)) {
      const detail = `a flow of ${flow.strategy} for ${flow.callbackUrl} was answered by a form at ${route}`;
      throw new DomainError("INVALID_AUTH_STATE", { detail });
    }
    const secret = flows.unseal(flow);
    const posted = { ...answer, at: clock.now() };
    const isKept = secret.posted === undefined && (await flows.replaceSecret(flow, { ...secret, posted }));
    if (!isKept) throw new DomainError("INVALID_FLOW", { detail: "an answer was posted before" });
  }

  /**
   * Ends a flow whose provider answered by an error (RFC 6749 §4.1.2.1), and
   * records it. Returns when the person said no there; and does nothing when it
   * is not that browser's, or not one that is answered at this route of ours.
   *
   * @throws DomainError UNAVAILABLE, PROVIDER_REFUSED for an error that is not the person's
   */
  async abandon(
    state: string,
    { browsers, info }: { readonly browsers: readonly string[]; readonly info: RequestInfo },
    { route, ...said }: BroughtError & { readonly route: string },
  ): Promise<void> {
    const { flows, audit } = this.#options;
    const flow = await flows.findLive(state);
    if (flow === undefined || !isSameBrowser(browsers, flow.browserHash)) return;
    if (!this.#isAnsweredAt(route, flow)) return;
    await flows.remove(flow.id);
    const { isDeclined, refusal } = readBroughtError(flow.strategy, said, state);
    const { reason, detail = "", findings } = refusal;
    audit.refuse(info, {
      action: "sign_in.refuse",
      reason: isDeclined ? "PROVIDER_DENIED" : reason,
      detail,
      mailbox: flow.email,
      details: { strategy: flow.strategy, ...findings },
    });
    if (!isDeclined) throw refusal;
  }

  /** Resolves when nothing that follows answers, such as a mail, is still on its way. */
  async drain(): Promise<void> {
    await this.#mails.drain();
  }

  #getStrategy(name: string): Strategy {
    const strategy = this.#strategies.get(name);
    if (strategy === undefined) throw new DomainError("UNSUPPORTED_STRATEGY");
    return strategy;
  }

  async #start(strategy: Strategy, about: FlowStart): Promise<BegunFlow> {
    const { browserHash, callbackUrl, asker, email, returnTo, user, waiting, counted } = about;
    const state = newState();
    const request: BeginRequest = {
      state,
      callbackUrl,
      ...(email !== undefined && { email }),
      ...(user && { user }),
      ...(waiting && { joins: waiting.strategy }),
    };
    const begun = await strategy.begin(request);
    const flowId = await this.#options.flows.keep(state, {
      strategy: strategy.name,
      flowSeconds: strategy.flowSeconds,
      secret: { strategy: begun.secret, ...(waiting && { waiting }), ...(counted && { counted }) },
      browserHash,
      callbackUrl,
      ...(email !== undefined && { email }),
      ...(returnTo !== undefined && { returnTo }),
      ...(user && { sessionId: user.sessionId }),
    });
    const { mail } = begun;
    if (mail !== undefined) this.#mails.send(flowId, () => mail, asker, strategy.name);
    return { endpoint: begun.endpoint ?? "", state, stateOptions: begun.stateOptions };
  }

  /** @throws DomainError INVALID_FLOW when there is none, or its time is up */
  async #findLive(state: string, seen: Seen): Promise<Flow> {
    const { flows } = this.#options;
    const flow = await flows.find(state);
    if (flow === undefined) throw new DomainError("INVALID_FLOW");
    seen.strategy = flow.strategy;
    seen.mailbox = flow.email;
    if (!flows.isOver(flow)) return flow;
    throw new DomainError("INVALID_FLOW", { detail: `the time was up at ${flow.expiresAt.toISOString()}` });
  }

  async #finish(request: FinishFlow, seen: Seen): Promise<FinishedSignIn> {
    const { flows, verifier } = this.#options;
    const flow = await this.#getFlow(request, seen);
    const strategy = this.#getStrategy(flow.strategy);
    const secret = flows.unseal(flow);
    const user = await this.#findFlowUser(flow, request);
    const asker: Asker = { info: request.info, browserKeys: request.browserKeys };
    const answer = {
      code: request.code,
      stateOptions: request.stateOptions,
      ...(request.issuer !== undefined && { issuer: request.issuer }),
      ...(request.user !== undefined && { user: request.user }),
      flow: {
        id: flow.id,
        callbackUrl: flow.callbackUrl,
        secret: secret.strategy,
        ...(flow.email !== undefined && { email: flow.email }),
        ...(user && { user }),
      },
    };
    const verified = await verifier.verify(strategy, flow, answer, asker);
    if (verified.proof.kind === "identity") seen.mailbox = verified.proof.email ?? seen.mailbox;
    if (verified.proof.kind === "registration") {
      if (verified.proof.userId !== user?.userId) throw new DomainError("INVALID_AUTH_STATE");
      this.#endWell(secret);
      return { returnTo: flow.returnTo };
    }
    const about = { waiting: secret.waiting, insideOf: user?.userId };
    const waysToKeep = request.asksBeforeTakeOver ? await this.#findWaysToKeep(verified.proof, about) : [];
    if (waysToKeep.length > 0) {
      await verified.takeBack();
      return { waysToKeep, returnTo: flow.returnTo };
    }
    const outcome = await this.#complete(flow, verified, about, request);
    if ("needs" in outcome) {
      throw await this.#toLinkRequired(flow, outcome, { ...secret, user, asker });
    }
    this.#endWell(secret);
    this.#tell(outcome.told);
    return { begun: outcome.begun, returnTo: flow.returnTo };
  }

  #tell({ user, takenOver, movedFrom }: Pick<Admission, "user" | "takenOver" | "movedFrom">): void {
    if (takenOver !== undefined) this.#options.onTakeOver(takenOver);
    if (movedFrom !== undefined) this.#options.onMove(movedFrom, user.email);
  }

  #endWell({ counted }: SignInSecret): void {
    if (counted !== undefined) this.#options.flowLimits.giveBack(counted);
  }

  /** Of the strategies that are offered. */
  async #findWaysToKeep(proof: Proof, about: MailboxProof): Promise<readonly string[]> {
    if (proof.kind !== "mailbox") return [];
    const { accounts, database } = this.#options;
    const ways = await accounts.findWaysToKeep(database.reader, proof.email, about);
    return ways.filter((name) => this.#strategies.has(name));
  }

  /**
   * Whether a flow may be finished by an answer that came to a route of ours, or
   * without one to `AuthCallback`. A provider's answer must come where the flow
   * sent the browser off to come back to: there it is known whose it is, and
   * nobody can have it be taken for another provider's (RFC 9700 §4.4.2).
   */
  #isAnsweredAt(route: string | undefined, flow: Flow): boolean {
    const { redirects } = this.#options;
    const { attempts, callbackUrl } = this.#getStrategy(flow.strategy);
    if (callbackUrl === undefined) {
      return route === undefined || (attempts === "code" && route === redirects.plainCallbackUrl);
    }
    return route === undefined ? !isOwnRoute(redirects, flow.callbackUrl) : route === flow.callbackUrl;
  }

  /** The flow that a request may finish: live, of this browser, of this strategy, answered where it is to be. */
  async #getFlow({ state, browsers, strategyName, route }: FinishFlow, seen: Seen): Promise<Flow> {
    if (strategyName !== "") this.#getStrategy(strategyName);
    const flow = await this.#findLive(state, seen);
    if (!isSameBrowser(browsers, flow.browserHash)) {
      throw new DomainError("INVALID_AUTH_STATE", { detail: "another browser than the flow began in" });
    }
    if (strategyName !== "" && strategyName !== flow.strategy) {
      throw new DomainError("INVALID_AUTH_STATE", { detail: `a flow of ${flow.strategy}` });
    }
    if (!this.#isAnsweredAt(route, flow)) {
      const place = route ?? "AuthCallback";
      const detail = `a flow of ${flow.strategy} for ${flow.callbackUrl} was answered at ${place}`;
      throw new DomainError("INVALID_AUTH_STATE", { detail });
    }
    return flow;
  }

  /** Only a session counts, not an access token made from one. */
  async #findSignedInUser(principal: Principal | undefined): Promise<SignedInUser | undefined> {
    if (principal?.type !== "user" || principal.credentialKind !== "session") return undefined;
    const session = await this.#options.findSession(principal.sessionId);
    if (session === undefined) return undefined;
    const { id: userId, email, sessionId } = principal;
    return { userId, email, sessionId, authenticatedAt: session.authenticatedAt };
  }

  async #findFlowUser(flow: Flow, { principal, info }: FinishFlow): Promise<FinishingUser | undefined> {
    const user = await this.#findSignedInUser(principal);
    if (principal === undefined || user === undefined || user.sessionId !== flow.sessionId) return undefined;
    return { ...user, caller: { principal, request: info } };
  }

  /**
   * Acts on a proof, in one transaction. Two first sign-ins of one person may
   * race: whose account comes second is rolled back and finds the first.
   */
  async #complete(
    flow: Flow,
    verified: VerifiedAnswer,
    about: MailboxProof,
    request: FinishFlow,
  ): Promise<Outcome> {
    const { database, flows } = this.#options;
    const act = () => database.transaction((tx) => this.#act(tx, flow, verified, about, request));
    try {
      return await act().catch((error) => (isUniqueViolation(error) ? act() : Promise.reject(error)));
    } catch (error) {
      // The answer was right and is of no use: it must not be tried again.
      if (!isOutage(error)) await flows.remove(flow.id);
      throw error;
    }
  }

  async #act(
    tx: Tx,
    flow: Flow,
    verified: VerifiedAnswer,
    about: MailboxProof,
    request: FinishFlow,
  ): Promise<Outcome> {
    const { sessions, feed, audit } = this.#options;
    await verified.settle(tx);
    const admission = await this.#admit(tx, flow, verified.proof, about);
    if ("needs" in admission) return admission;
    const { user, events, changes } = admission;
    const begun = await sessions.begin(tx, {
      userId: user.id,
      strategy: flow.strategy,
      device: request.device,
      browserKeys: request.browserKeys,
      replaces: request.sessions,
    });
    const principal: UserPrincipal = {
      type: "user",
      id: user.id,
      email: user.email,
      emailProven: user.emailProven,
      superuser: false,
      sessionId: begun.session.id,
      authVia: "session",
      credentialKind: "session",
    };
    const caller = { principal, request: request.info };
    for (const event of events) await audit.record(tx, caller, event);
    const replaced = request.sessions.filter(({ id }) => id !== begun.session.id).length;
    await audit.record(tx, caller, {
      action: replaced < request.sessions.length ? "session.reauthenticate" : "session.create",
      target: begun.session.id,
      mailbox: user.email,
      details: { strategy: flow.strategy, replaced: String(replaced) },
    });
    await feed.append(tx, ...changes, ...begun.changes);
    return { begun, told: admission };
  }

  async #admit(
    tx: Tx,
    flow: Flow,
    proof: Proof,
    about: MailboxProof,
  ): Promise<Admission | Exclude<Outcome, { begun: BegunSession }>> {
    const { accounts, holdPasskey } = this.#options;
    switch (proof.kind) {
      case "mailbox":
        return await accounts.admitMailbox(tx, proof.email, about);
      case "passkey": {
        const isThere = await holdPasskey(tx, proof.passkeyId, proof.userId);
        const admission = await accounts.admitUser(tx, proof.userId);
        if (!isThere) throw new DomainError("INVALID_FLOW", { detail: "passkey: removed meanwhile" });
        return admission;
      }
      case "registration":
        return await accounts.admitUser(tx, proof.userId);
      case "identity": {
        const { kind: _, emailVerified, isAuthoritative, ...identity } = proof;
        const named = { ...identity, strategy: flow.strategy };
        const admission = await accounts.admitIdentity(tx, { ...named, emailVerified, isAuthoritative });
        return "needs" in admission ? { ...admission, waiting: named } : admission;
      }
    }
  }

  /** Begins the flow that proves the mailbox, in the same browser, and tells how to go on. */
  async #toLinkRequired(
    flow: Flow,
    { needs: email, waiting }: { readonly needs: string; readonly waiting: WaitingIdentity },
    { counted, user, asker }: LinkedFrom,
  ): Promise<DomainError> {
    const { state } = await this.#start(this.#getStrategy(linkStrategyName), {
      browserHash: flow.browserHash,
      callbackUrl: flow.callbackUrl,
      asker,
      email,
      waiting,
      // The sign-in goes on: its beginning is given back when this one ends well.
      ...(counted && { counted }),
      ...(user && { user }),
      ...(flow.returnTo !== undefined && { returnTo: flow.returnTo }),
    });
    const metadata = { strategy_name: linkStrategyName, state, email };
    return new DomainError("LINK_REQUIRED", { metadata });
  }

  #noteRefusal(
    error: unknown,
    { info, principal }: Pick<FinishFlow, "info" | "principal">,
    { strategy = "", mailbox }: Seen,
  ): void {
    // An outage says nothing of the answer, and is told of in the log; that of a provider is its owner's to know.
    if (!(error instanceof DomainError) || (isOutage(error) && error.findings === undefined)) return;
    const { reason, detail, findings, owner = principal?.type === "user" ? principal : undefined } = error;
    this.#options.audit.refuse(info, {
      action: "sign_in.refuse",
      reason,
      ...(detail !== undefined && { detail }),
      ...(owner && { actor: { type: owner.type, id: owner.id } }),
      ...(mailbox !== undefined && { mailbox }),
      ...(this.#strategies.has(strategy) && { details: { strategy, ...findings } }),
    });
  }
}
