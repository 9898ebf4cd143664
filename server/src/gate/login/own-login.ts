/**
 * Coming in by this service's own session: whoever is signed in here is asked
 * where there is something to ask, everybody else signs in first and comes back.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import { findVisitor } from "../../auth/visitor.ts";
import type { Database } from "../../db/database.ts";
import { type FormBrowsers, openForms } from "../../html/forms.ts";
import type { RenderPage } from "../../html/frame.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import { redirect, toPath } from "../../http/redirect.ts";
import type { Clock } from "../../lib/clock.ts";
import type { UserPrincipal } from "../../principals/principal.ts";
import type { SessionAuthenticator } from "../../sessions/authenticator.ts";
import type { LiveSession } from "../../sessions/session.ts";
import type { GateProvider } from "../directory/frontend.ts";
import { confirm, isConfirmed } from "../sessions/confirmation-store.ts";
import type { Admission } from "./admission.ts";
import { type AnswerView, toConfirmBody, toContinueBody } from "./login-views.ts";
import { toLoginPath } from "./places.ts";
import type { FoundVisit } from "./visits.ts";

/** What coming in by this service's own session stands on. */
export interface OwnLoginOptions {
  readonly admission: Admission;
  readonly render: RenderPage;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly findSession: (id: string) => Promise<LiveSession | undefined>;
  readonly isMember: (userId: string, orgId: string) => Promise<boolean>;
  /** What people call an organization. */
  readonly findOrganizationTitle: (id: string) => Promise<string>;
  readonly browsers: FormBrowsers;
  readonly database: Database;
  readonly audit: Pick<AuditTrail, "record">;
  readonly publicUrl: string;
  readonly clock: Clock;
}

/** Somebody who is signed in, and wants to go on by a provider. */
interface Comer {
  readonly found: FoundVisit;
  readonly provider: GateProvider;
  readonly visitor: UserPrincipal;
}

/** What somebody has just said yes to, on a page of this login. */
export interface Answer {
  /** The session that was asked: it counts for no other, somebody else may have signed in since. */
  readonly sessionId: string;
  /** Whether to those who run the frontend knowing who it is, or merely to going on as who they are. */
  readonly mayTell: boolean;
}

/** Where somebody goes on to: a page, or a URL with a code. */
export type Way =
  | { readonly page: PlainResponse }
  | { readonly url: string; readonly setCookies?: readonly string[] };

/** @see the head of this file */
export class OwnLoginFlow {
  readonly #options: OwnLoginOptions;

  constructor(options: OwnLoginOptions) {
    this.#options = options;
  }

  /** Takes somebody on, or asks them what there is to ask. */
  async goOn(found: FoundVisit, provider: GateProvider, answer?: Answer): Promise<Way> {
    const { authenticator, admission } = this.#options;
    const { login } = provider.type;
    if (login?.kind !== "own") throw new Error(`${provider.type.name} has no login of its own`);
    const visitor = await findVisitor(authenticator, found.request);
    if (visitor === undefined) {
      return { page: redirect(toPath("/login", { return_to: this.#toReturn({ found, provider }) })) };
    }
    const comer = { found, provider, visitor };
    const given = answer?.sessionId === visitor.sessionId ? answer : undefined;
    if (given === undefined && (await this.#mustContinue(comer))) return { page: this.#askToContinue(comer) };
    const decision = await login.judge(provider.instance, visitor.sessionId);
    const otherwise = this.#toOtherAccount(comer);
    if (!decision.allowed) return { page: admission.showRefusal(found, provider, decision, otherwise) };
    const denial = admission.findDenial(found, provider, decision.identity, otherwise);
    if (denial !== undefined) return { page: denial };
    if (!(await this.#mayTell(comer, given?.mayTell === true)))
      return { page: await this.#askToConfirm(comer) };
    const { id, revision } = provider;
    const { subject } = decision.identity;
    const identity = { subject, emailVerified: false, organizations: [], groups: [], claims: {} };
    const session = { provider: { id, revision }, identity, parentSessionId: visitor.sessionId };
    return { url: await admission.makeCode(found, session) };
  }

  /** Whoever signed out is asked, unless they have signed in anew since. */
  async #mustContinue({ found, visitor }: Comer): Promise<boolean> {
    if (!found.visit.asksAgain) return false;
    const session = await this.#options.findSession(visitor.sessionId);
    return session === undefined || session.authenticatedAt < found.createdAt;
  }

  /** Whether those who run the frontend may know who it is: members of theirs, and who has said so, once. */
  async #mayTell({ found, visitor }: Comer, hasSaidSo: boolean): Promise<boolean> {
    const { isMember, database, audit, clock } = this.#options;
    const { frontdoorId, orgId } = found.place.frontend;
    if (await isMember(visitor.id, orgId)) return true;
    const ids = { userId: visitor.id, frontdoorId };
    if (await isConfirmed(database.reader, ids)) return true;
    if (!hasSaidSo) return false;
    await database.transaction(async (tx) => {
      if (!(await confirm(tx, ids, clock.now()))) return;
      const caller = { principal: visitor, request: found.request.info };
      const details = { frontdoor: frontdoorId };
      await audit.record(tx, caller, { action: "gate_login.confirm", orgId, target: visitor.id, details });
    });
    return true;
  }

  #askToContinue(comer: Comer): PlainResponse {
    const view = this.#toView(comer, "continue");
    const { setCookies } = view.forms;
    return this.#options.render({ title: "Welcome back", setCookies, body: toContinueBody(view) });
  }

  async #askToConfirm(comer: Comer): Promise<PlainResponse> {
    const view = this.#toView(comer, "tell");
    const organization = await this.#options.findOrganizationTitle(comer.found.place.frontend.orgId);
    const { setCookies } = view.forms;
    return this.#options.render({
      title: "Tell them who you are?",
      setCookies,
      body: toConfirmBody(view, organization),
    });
  }

  #toView({ found, provider, visitor }: Comer, answer: AnswerView["fields"]["answer"]): AnswerView {
    const { request, state, place } = found;
    return {
      host: place.host,
      email: visitor.email,
      forms: openForms({ method: "GET", header: request.header }, this.#options.browsers),
      fields: { state, with: provider.id, session: visitor.sessionId, answer },
      otherwise: this.#toOtherAccount({ found, provider }).href,
    };
  }

  #toOtherAccount({ found, provider }: Pick<Comer, "found" | "provider">) {
    const href = toPath("/login", { again: "1", return_to: this.#toReturn({ found, provider }) });
    return { href, label: "Use another account" };
  }

  /** Where whoever signs in here comes back to. */
  #toReturn({ found, provider }: Pick<Comer, "found" | "provider">): string {
    return this.#options.publicUrl + toLoginPath(found.state, { with: provider.id, signed_in: "1" });
  }
}
