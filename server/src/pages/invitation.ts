/**
 * `/invitation`: where the link of a mailed invitation leads.
 *
 * The link shows the invitation to whoever opens it and grants nothing: it is
 * accepted and declined by a form, in a session of the very address that it
 * was sent to. To look at it changes nothing, however often scanners do.
 */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { type FormKit, openForms, readField } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { Html } from "../html/html.ts";
import { toMessageBody } from "../html/message.ts";
import type { ComeAnew } from "../html/navigation.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import type { InvitationService } from "../invitations/service.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { type Invitation, stateOf } from "../organizations/invitation.ts";
import type { MemberService } from "../organizations/member-service.ts";
import { accountPaths, toSignOutForm } from "./account-view.ts";
import {
  invitationPaths,
  toAnswerBody,
  toExpiredText,
  toInvitedBody,
  toNoneForYouBody,
  toProveFirstBody,
  toSomebodyElsesBody,
} from "./invitation-view.ts";
import { loginPaths } from "./login-view.ts";
import type { Offers } from "./offers.ts";
import { toOrganizationPath } from "./organizations-view.ts";
import { toProblemTexts, toRefusal } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that the page of an invitation stands on. */
export interface InvitationPageOptions {
  readonly render: RenderPage;
  readonly offers: Offers;
  readonly invitations: Pick<InvitationService, "findByLink" | "findOwn" | "accept" | "decline">;
  readonly members: Pick<MemberService, "getStanding">;
  readonly visitors: Visitors;
  readonly clock: Clock;
  readonly publicUrl: string;
  readonly browsers: Browsers;
  readonly comeAnew: ComeAnew;
}

/** What becomes of a form that is too late: the page says why. */
const late = toProblemTexts(["INVITATION_EXPIRED", "ORGANIZATION_DISABLED"]);

const toAccount = { href: accountPaths.account, label: "To your account" };

/** Builds the routes of the page and its forms. */
export function createInvitationPage(options: InvitationPageOptions): readonly FunctionRoute[] {
  const { render, offers, invitations, members, visitors, clock, publicUrl, browsers, comeAnew } = options;

  const toUrl = (id: string) => toPath(publicUrl + invitationPaths.invitation, { id });
  const isExpired = (invitation: Invitation) => stateOf(invitation, clock.now()) === "expired";

  function show(request: PlainRequest, toBody: (forms: FormKit) => Html, isSignedIn: boolean): PlainResponse {
    const forms = openForms(request, browsers);
    return render({
      title: "Invitation",
      usesPasskeys: !isSignedIn && offers.passkey,
      ...(isSignedIn && { aside: toSignOutForm(forms) }),
      setCookies: forms.setCookies,
      body: toBody(forms),
    });
  }

  function showExpired(invitation: Invitation): PlainResponse {
    const told = toExpiredText(invitation);
    return render({ title: told.title, body: toMessageBody(told, toAccount) });
  }

  async function isMember(caller: Visitor, org: string): Promise<boolean> {
    try {
      return (await members.getStanding(caller, org)).member !== undefined;
    } catch (error) {
      if (error instanceof DomainError && error.reason === "NOT_AUTHORIZED") return false;
      throw error;
    }
  }

  async function showOwn(
    request: PlainRequest,
    caller: Visitor,
    invitation: Invitation,
  ): Promise<PlainResponse> {
    const { orgId, organization } = invitation;
    if (await isMember(caller, orgId)) return redirect(toOrganizationPath(orgId));
    if (organization.state === "disabled") throw new DomainError("ORGANIZATION_DISABLED");
    if (isExpired(invitation)) return showExpired(invitation);
    return show(request, (forms) => toAnswerBody(invitation, forms), true);
  }

  /** To whoever has the link and is not signed in as who is invited. */
  function showByLink(
    request: PlainRequest,
    caller: Visitor | undefined,
    invitation: Invitation,
  ): PlainResponse {
    if (isExpired(invitation)) return showExpired(invitation);
    const { id, email } = invitation;
    const returnTo = toUrl(id);
    if (caller === undefined || request.query.has("as")) {
      return show(request, (forms) => toInvitedBody(invitation, { offers, forms, returnTo }), false);
    }
    const { principal } = caller;
    if (principal.email === email) {
      return show(
        request,
        (forms) => toProveFirstBody(invitation, { forms, mayProve: offers.mailCode, returnTo }),
        true,
      );
    }
    const signInPath = toPath(request.path, { id, t: readField(request.query, "t"), as: "invited" });
    return show(request, () => toSomebodyElsesBody(invitation, principal.email, signInPath), true);
  }

  /** To somebody who came back from signing in, which keeps the id and not the link: as whom it is for, or not. */
  function showNone(request: PlainRequest, { principal }: Visitor, id: string): PlainResponse {
    const error = new DomainError("INVITATION_NOT_FOUND");
    noteRefusal(request, error);
    const { email, emailProven } = principal;
    const mayProve = !emailProven && offers.mailCode;
    const forms = openForms(request, browsers);
    return render({
      refusal: toRefusal(error, request),
      title: "Invitation",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toNoneForYouBody({ forms, email, mayProve, returnTo: toUrl(id) }),
    });
  }

  async function get(request: PlainRequest): Promise<PlainResponse> {
    const anew = comeAnew(request);
    if (anew !== undefined) return anew;
    const id = readField(request.query, "id");
    const token = readField(request.query, "t");
    const caller = await visitors.find(request);
    const own = caller && (await invitations.findOwn(caller, id));
    if (caller !== undefined && own !== undefined) return await showOwn(request, caller, own);
    const linked = token === "" ? undefined : await invitations.findByLink(id, token);
    if (linked !== undefined) return showByLink(request, caller, linked);
    if (token !== "" || !isUuid(id)) throw new DomainError("INVITATION_NOT_FOUND");
    return caller === undefined
      ? redirect(toPath(loginPaths.login, { return_to: toUrl(id) }))
      : showNone(request, caller, id);
  }

  /** What was answered in another tab is as good. */
  async function accept(caller: Visitor, form: URLSearchParams): Promise<string> {
    const org = readField(form, "org");
    try {
      await invitations.accept(caller, { id: readField(form, "id") });
    } catch (error) {
      const isGone = error instanceof DomainError && error.reason === "INVITATION_NOT_FOUND";
      if (!isGone || !(await isMember(caller, org))) throw error;
    }
    return toOrganizationPath(org, { done: "joined" });
  }

  async function decline(caller: Visitor, form: URLSearchParams): Promise<string> {
    await invitations.decline(caller, { id: readField(form, "id") });
    return toPath(accountPaths.account, { done: "declined" });
  }

  const toPage = (form: URLSearchParams) => toPath(invitationPaths.invitation, { id: readField(form, "id") });

  return [
    { method: "GET", path: invitationPaths.invitation, handle: get },
    visitors.form(invitationPaths.accept, { act: accept, back: toPage, problems: late, signIn: toPage }),
    visitors.form(invitationPaths.decline, { act: decline, back: toPage, problems: late, signIn: toPage }),
  ];
}
