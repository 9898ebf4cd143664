/**
 * `/account`: what opens a person's account, and where it is open.
 *
 * For people in their own session alone. Each action is a form of its own;
 * what came of it is said on the page that follows, so that reloading repeats
 * nothing.
 */
import type { BrowserSignIn, Browsers } from "../auth/browser-sign-in.ts";
import { findVisitor } from "../auth/visitor.ts";
import type { GateSessionService } from "../gate/sessions/service.ts";
import { openForms, readField, readForm } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import type { InvitationService } from "../invitations/service.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { stateOf } from "../organizations/invitation.ts";
import type { MemberService } from "../organizations/member-service.ts";
import type { OrganizationService } from "../organizations/service.ts";
import { maxPasskeyName } from "../passkeys/passkey.ts";
import type { PasskeyService } from "../passkeys/service.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import type { SessionService } from "../sessions/service.ts";
import { isRecentSignIn } from "../sessions/session.ts";
import type { IdentityService } from "../users/identity-service.ts";
import type { UserService } from "../users/service.ts";
import { accountPaths, toAccountBody, toSignOutForm } from "./account-view.ts";
import { addressProblems } from "./address.ts";
import { endAppPath } from "./apps-view.ts";
import { exportProblems } from "./export.ts";
import { leaveProblems } from "./leave.ts";
import { loginPaths } from "./login-view.ts";
import type { Offers } from "./offers.ts";
import { findText, toProblemTexts } from "./texts.ts";
import { titleProblems } from "./titles.ts";
import type { Visitor, Visitors } from "./visitors.ts";

/** Parts that the page of one's own account stands on. */
export interface AccountPagesOptions {
  readonly render: RenderPage;
  readonly offers: Pick<Offers, "mailCode">;
  readonly browserSignIn: Pick<BrowserSignIn, "signOut" | "toClearCookies">;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly sessions: Pick<SessionService, "list" | "revoke" | "revokeAll">;
  readonly gateSessions: Pick<GateSessionService, "listOwn" | "endOwn">;
  readonly knownBrowsers: Pick<KnownBrowsers, "readKeys">;
  /** Absent where passkeys are not offered. */
  readonly passkeys: Pick<PasskeyService, "list" | "rename" | "delete"> | undefined;
  readonly identities: Pick<IdentityService, "list" | "unlink">;
  readonly profiles: Pick<UserService, "getOwn">;
  readonly organizations: Pick<OrganizationService, "mayCreate">;
  readonly members: Pick<MemberService, "listOwn">;
  readonly invitations: Pick<InvitationService, "listForAddress">;
  readonly visitors: Visitors;
  readonly clock: Clock;
  readonly publicUrl: string;
  readonly browsers: Browsers;
}

/** What the page says of what has just been done; the query only names it. */
const doneTexts: Readonly<Record<string, string>> = {
  ended: "That session is signed out.",
  others: "All other sessions are signed out.",
  left_app: "That app is signed out.",
  renamed: "The passkey has its new name.",
  removed: "The passkey is removed. We have told you by mail, too.",
  declined: "The invitation is declined.",
  address:
    "Your address is changed. We have told the one before by mail, and all your other sessions are signed out.",
  left: "You have left the organization.",
  title: "Your name is changed.",
  unlinked: "That account does not sign you in here any more. We have told you by mail, too.",
  added: "The passkey is added. Next time it signs you in. We have told you by mail, too.",
};

/** What an action of a form ends with: the name of what was done. */
type Action = (caller: Visitor, form: URLSearchParams, header: Headers) => Promise<string>;

/** How many organizations the page lists at most; all are on a page of their own. */
const shownOrganizations = 10;

/** Builds the routes of the account page and its forms. */
export function createAccountPages(options: AccountPagesOptions): readonly FunctionRoute[] {
  const {
    render,
    offers,
    browserSignIn,
    authenticator,
    sessions,
    gateSessions,
    knownBrowsers,
    passkeys,
    identities,
    profiles,
    organizations,
    members,
    invitations,
    visitors,
    clock,
    publicUrl,
    browsers,
  } = options;

  async function show(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const { email, emailProven, sessionId } = caller.principal;
    const [open, apps, keys, linked, memberships, invited, { title }] = await Promise.all([
      sessions.list(caller),
      gateSessions.listOwn(caller),
      passkeys?.list(caller),
      identities.list(caller),
      members.listOwn(caller, { size: shownOrganizations, token: "" }),
      invitations.listForAddress(caller),
      profiles.getOwn(caller),
    ]);
    const forms = openForms(request, browsers);
    const current = open.find((session) => session.id === sessionId);
    return render({
      title: "Your account",
      width: "wide",
      usesPasskeys: keys !== undefined,
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toAccountBody({
        forms,
        email,
        title,
        mayProve: !emailProven && offers.mailCode,
        mayChangeEmail: emailProven,
        currentSessionId: sessionId,
        sessions: open,
        apps,
        passkeys: keys,
        isRecent: current !== undefined && isRecentSignIn(current.authenticatedAt, clock.now()),
        identities: linked,
        memberships,
        mayCreateOrganization: organizations.mayCreate(caller.principal),
        invitations: invited.filter((invitation) => stateOf(invitation, clock.now()) === "pending"),
        now: clock.now(),
        done: findText(doneTexts, readField(request.query, "done")),
        problem: findText(problems, readField(request.query, "problem")),
      }),
    });
  }

  /** A form of this page, which says what was done. */
  function act(path: string, action: Action): FunctionRoute {
    return visitors.form(path, {
      act: async (caller, form, header) =>
        toPath(accountPaths.account, { done: await action(caller, form, header) }),
      back: (_, problem) => toPath(accountPaths.account, problem),
      problems,
    });
  }

  async function signOut(request: PlainRequest): Promise<PlainResponse> {
    readForm(request, publicUrl, browsers);
    const principal = await findVisitor(authenticator, request);
    const { setCookies } = await browserSignIn.signOut({ ...request, principal });
    return redirect(toPath(loginPaths.login, { done: "signed-out" }), setCookies);
  }

  async function revokeAll(request: PlainRequest): Promise<PlainResponse> {
    readForm(request, publicUrl, browsers);
    const caller = await visitors.find(request);
    if (caller !== undefined) await sessions.revokeAll(caller, false, knownBrowsers.readKeys(request.header));
    return redirect(toPath(loginPaths.login, { done: "everywhere" }), browserSignIn.toClearCookies());
  }

  const routes: FunctionRoute[] = [
    visitors.page(accountPaths.account, show),
    { method: "POST", path: accountPaths.signOut, handle: signOut },
    { method: "POST", path: accountPaths.revokeAll, handle: revokeAll },
    act(accountPaths.revokeSession, async (caller, form) => {
      await sessions.revoke(caller, readField(form, "id"));
      return "ended";
    }),
    act(accountPaths.revokeOthers, async (caller, _form, header) => {
      await sessions.revokeAll(caller, true, knownBrowsers.readKeys(header));
      return "others";
    }),
    act(endAppPath, async (caller, form) => {
      await gateSessions.endOwn(caller, readField(form, "id"));
      return "left_app";
    }),
    act(accountPaths.unlinkIdentity, async (caller, form) => {
      await identities.unlink(caller, {
        issuer: readField(form, "issuer"),
        subject: readField(form, "subject"),
      });
      return "unlinked";
    }),
  ];
  if (passkeys === undefined) return routes;
  return [
    ...routes,
    act(accountPaths.renamePasskey, async (caller, form) => {
      await passkeys.rename(caller, readField(form, "id"), readName(form));
      return "renamed";
    }),
    act(accountPaths.removePasskey, async (caller, form) => {
      await passkeys.delete(caller, readField(form, "id"));
      return "removed";
    }),
  ];
}

/** Refusals that are said on the account page itself. */
const problems = {
  ...toProblemTexts([
    "SESSION_NOT_FOUND",
    "GATE_SESSION_NOT_FOUND",
    "PASSKEY_NOT_FOUND",
    "IDENTITY_NOT_FOUND",
    "LAST_WAY_IN",
  ]),
  ...addressProblems,
  ...titleProblems,
  ...leaveProblems,
  ...exportProblems,
};

/** A passkey's name as its owner typed it. @throws DomainError INVALID_REQUEST */
function readName(form: URLSearchParams): string {
  const name = readField(form, "name").trim();
  const isGood = name !== "" && [...name].length <= maxPasskeyName && !/\p{Cc}/u.test(name);
  if (!isGood) throw new DomainError("INVALID_REQUEST", { detail: "name of a passkey" });
  return name;
}
