/**
 * The server's own pages: HTML made here, one style sheet, one script that
 * only passkeys need, nothing from anywhere else.
 *
 * They call what the RPC handlers call. What they own is the words, the forms
 * and the guard around them; no rule of signing in is kept here.
 *
 * - `/login`, `/login/mail`, `/login/with`, `/login/check-mail`, `/login/resend`
 * - `/account` and its forms, with `/account/organizations` and `/account/organization`
 * - `/account/tokens` and its forms
 * - `/invitation` and its forms
 * - `/email-change/undo`
 * - what `/auth/callback` shows
 * - `/`, which leads to `/account`
 */

import type { AccountDeletion } from "../accounts/deletion.ts";
import type { EmailChange } from "../accounts/email-change.ts";
import type { EmailUndo } from "../accounts/email-undo.ts";
import type { AccountExport } from "../accounts/export.ts";
import type { BrowserSignIn, Browsers } from "../auth/browser-sign-in.ts";
import type { CallbackResult } from "../auth/callback-routes.ts";
import type { RedirectRules } from "../auth/redirects.ts";
import type { Strategy } from "../auth/strategy.ts";
import type { GateSessionService } from "../gate/sessions/service.ts";
import { assetRoutes } from "../html/assets.ts";
import { createRenderPage, type RenderPage } from "../html/frame.ts";
import { toMessageBody } from "../html/message.ts";
import { createComeAnew, findPublicUrl, navigate, navigateByPage } from "../html/navigation.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect } from "../http/redirect.ts";
import type { InvitationService } from "../invitations/service.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { MemberService } from "../organizations/member-service.ts";
import type { ProjectService } from "../organizations/project-service.ts";
import type { OrganizationService } from "../organizations/service.ts";
import type { PasskeyService } from "../passkeys/service.ts";
import type { PersonalTokenService } from "../personal-tokens/service.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import type { SessionService } from "../sessions/service.ts";
import type { IdentityService } from "../users/identity-service.ts";
import type { UserService } from "../users/service.ts";
import { createAccountPages } from "./account.ts";
import { accountPaths } from "./account-view.ts";
import { createAddressPages } from "./address.ts";
import { createRenderResult } from "./callback.ts";
import { createCheckMailPages } from "./check-mail.ts";
import { createExportPages } from "./export.ts";
import { createInvitationPage } from "./invitation.ts";
import { invitationPaths } from "./invitation-view.ts";
import { createInvitationPages } from "./invitations.ts";
import { createLeavePages } from "./leave.ts";
import { createLoginPages } from "./login.ts";
import { loginPaths } from "./login-view.ts";
import { toOffers } from "./offers.ts";
import { createOrganizationPage } from "./organization.ts";
import { createOrganizationPages } from "./organizations.ts";
import { createPersonalTokenPages } from "./personal-tokens.ts";
import { explain, toRefusal } from "./texts.ts";
import { createTitlePages } from "./titles.ts";
import { createVisitors } from "./visitors.ts";

/** Parts that all pages stand on, and what they say of this site. */
export interface PagesOptions {
  /** What the people who come here call the place. */
  readonly siteName: string;
  /** Origin that browsers see. */
  readonly publicUrl: string;
  /** In the order to offer them. */
  readonly strategies: readonly Pick<Strategy, "name" | "callbackUrl" | "isAnsweredByForm" | "isClosed">[];
  readonly browserSignIn: BrowserSignIn;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly sessions: SessionService;
  readonly gateSessions: GateSessionService;
  readonly knownBrowsers: KnownBrowsers;
  readonly passkeys: PasskeyService;
  readonly identities: IdentityService;
  readonly profiles: UserService;
  readonly organizations: OrganizationService;
  readonly members: MemberService;
  readonly projects: ProjectService;
  readonly invitations: InvitationService;
  readonly personalTokens: PersonalTokenService;
  readonly emailChange: EmailChange;
  readonly emailUndo: EmailUndo;
  readonly deletion: AccountDeletion;
  readonly accountExport: AccountExport;
  readonly redirects: RedirectRules;
  /** Whether session cookies are `SameSite=Strict`. */
  readonly isSessionStrict: boolean;
  readonly browsers: Browsers;
  /** Whether mail is written to files for want of a mail server. */
  readonly hasOutbox: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** The pages, put together. */
export interface Pages {
  readonly routes: readonly FunctionRoute[];
  /** Draws what `/auth/callback` shows. */
  renderResult(result: CallbackResult, request: Pick<PlainRequest, "header" | "info">): PlainResponse;
  /** Draws what somebody sees who came to a path with nothing behind it. */
  renderLost(request: Pick<PlainRequest, "info">): PlainResponse;
  /** Has a browser load a path of ours anew, as from our own site; where its session cookies depend on that. */
  readonly reload: ((path: string) => PlainResponse) | undefined;
  /** Sends someone on after a form of `/auth/callback`. */
  navigate(url: string, setCookies: readonly string[]): PlainResponse;
  /** A route whose failures are pages as well. */
  guard(route: FunctionRoute): FunctionRoute;
}

/** Builds the pages. */
export function createPages(options: PagesOptions): Pages {
  const { siteName, publicUrl, passkeys, browserSignIn, log } = options;
  const render = createRenderPage(siteName);
  const offers = toOffers(options.strategies);
  const comeAnew = createComeAnew(render, publicUrl, options.isSessionStrict);
  const own = { ...options, render, offers, comeAnew, visitors: createVisitors(options) };
  const guardFailures = createGuard(render, log);
  const guard = (route: FunctionRoute) => withoutStrays(guardFailures(route), browserSignIn);
  const pages: readonly FunctionRoute[] = [
    { method: "GET", path: "/", handle: () => redirect(accountPaths.account) },
    ...createLoginPages(own),
    ...createCheckMailPages(own),
    ...createAccountPages({ ...own, passkeys: offers.passkey ? passkeys : undefined }),
    ...createTitlePages(own),
    ...createAddressPages(own),
    ...createExportPages(own),
    ...createLeavePages(own),
    ...createOrganizationPages(own),
    ...createOrganizationPage(own),
    ...createPersonalTokenPages(own),
    ...createInvitationPages(own),
    ...createInvitationPage(own),
  ];
  const all = [...pages, ...createWaysBack(pages)];
  return {
    routes: [...all.map((route) => guard(underPublicName(route, publicUrl))), ...assetRoutes],
    renderResult: createRenderResult(render, options.browsers),
    renderLost: ({ info }) =>
      render({
        refusal: { status: 404, requestId: info.requestId },
        title: lost.title,
        body: toMessageBody(lost, toSignIn),
      }),
    reload: options.isSessionStrict ? (path) => navigateByPage(render, new URL(path, publicUrl)) : undefined,
    navigate: (url, setCookies) => navigate(render, url, publicUrl, setCookies),
    guard,
  };
}

const toSignIn = { href: loginPaths.login, label: "Go to sign-in" };

const lost = {
  title: "There is no such page",
  text: "The address may be mistyped, or the page is gone.",
};

/** Where a form's address leads that is opened as a page, as by loading one of its answers anew. */
function createWaysBack(pages: readonly FunctionRoute[]): readonly FunctionRoute[] {
  const shown = new Set(pages.filter(({ method }) => method === "GET").map(({ path }) => path));
  return pages
    .filter(({ path }) => !shown.has(path))
    .map(({ path }) => {
      const back = path.startsWith(accountPaths.account) ? accountPaths.account : loginPaths.login;
      return { method: "GET", path, handle: () => redirect(back) };
    });
}

/** Leads to the public name of the place first. */
function underPublicName(route: FunctionRoute, publicUrl: string): FunctionRoute {
  function handle(request: PlainRequest): PlainResponse | Promise<PlainResponse> {
    const elsewhere = findPublicUrl(request, publicUrl);
    return elsewhere === undefined ? route.handle(request) : redirect(elsewhere);
  }
  return { ...route, handle };
}

/** Rids the browser of session cookies that are not ours, before the page's own are set. */
function withoutStrays(
  route: FunctionRoute,
  browserSignIn: Pick<BrowserSignIn, "clearStrays">,
): FunctionRoute {
  async function handle(request: PlainRequest): Promise<PlainResponse> {
    const response = await route.handle(request);
    const strays = browserSignIn.clearStrays(request.header);
    if (strays.length === 0) return response;
    const own = [response.headers?.["set-cookie"] ?? []].flat();
    return { ...response, headers: { ...response.headers, "set-cookie": [...new Set([...strays, ...own])] } };
  }
  return { ...route, handle };
}

/** Makes a page of what a route throws. */
function createGuard(render: RenderPage, log: Log): Pages["guard"] {
  async function handle(route: FunctionRoute, request: PlainRequest): Promise<PlainResponse> {
    try {
      return await route.handle(request);
    } catch (error) {
      const refusal = error instanceof DomainError ? error : new DomainError("INTERNAL", { cause: error });
      note(refusal, request, log);
      const told = explain(refusal);
      const body = toMessageBody(told, toNext(request));
      return render({ refusal: toRefusal(refusal, request), title: told.title, body });
    }
  }
  return (route) => ({ ...route, handle: (request) => handle(route, request) });
}

function note({ kind, reason, detail, cause }: DomainError, { info }: PlainRequest, log: Log): void {
  info.outcome.code = kind;
  info.outcome.reason = reason;
  if (detail !== undefined) info.outcome.detail = detail;
  if (kind === "internal") log.error({ requestId: info.requestId, err: cause }, "a page failed");
}

function toNext({ path }: PlainRequest): { readonly href: string; readonly label: string } {
  return path.startsWith(accountPaths.account) || path.startsWith(invitationPaths.invitation)
    ? { href: accountPaths.account, label: "Back to your account" }
    : { href: "/login", label: "Start again" };
}
