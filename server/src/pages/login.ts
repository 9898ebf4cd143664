/**
 * `/login`: the ways to sign in, as offered.
 *
 * Everything but passkeys is a plain form. What cannot be begun is said on the
 * same page, so that another way is one step away.
 */
import type { BrowserSignIn, Browsers } from "../auth/browser-sign-in.ts";
import { findReturnTo, isReturnTo, type RedirectRules } from "../auth/redirects.ts";
import type { Strategy } from "../auth/strategy.ts";
import { findVisitor } from "../auth/visitor.ts";
import { openForms, readField, readForm } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import { type ComeAnew, navigate } from "../html/navigation.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import { toProviderLabel } from "../lib/well-known-providers.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import { accountPaths } from "./account-view.ts";
import { invitationPaths } from "./invitation-view.ts";
import { type LoginView, loginPaths, toLoginBody } from "./login-view.ts";
import { type Offers, ownStrategies } from "./offers.ts";
import { explain, findText, toRefusal } from "./texts.ts";

/** Parts that the page to sign in on stands on. */
export interface LoginPagesOptions {
  readonly render: RenderPage;
  readonly offers: Offers;
  readonly strategies: readonly Pick<Strategy, "name" | "callbackUrl">[];
  readonly browserSignIn: Pick<BrowserSignIn, "begin">;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly redirects: RedirectRules;
  readonly publicUrl: string;
  readonly comeAnew: ComeAnew;
  readonly browsers: Browsers;
}

/** What the page says of what has just happened elsewhere; the query only names it. */
const doneTexts: Readonly<Record<string, string>> = {
  deleted: "Your account is deleted.",
  "signed-out": "You are signed out.",
  everywhere: "You are signed out everywhere.",
};

const tooOld = "This page was open too long. Try again.";
const noCookies =
  "Your browser sent no cookie of this site. Allow cookies for it if it keeps none, then try again.";

/** Whether a form of ours was opened under another address than the public one, such as the machine's. */
function isOpenedElsewhere(header: Headers, publicUrl: string): boolean {
  const origin = header.get("origin");
  if (origin === null || origin === publicUrl || !URL.canParse(origin)) return false;
  return header.get("sec-fetch-site") === "same-origin" || new URL(origin).host === header.get("host");
}

/** Builds the routes of the sign-in page and its two forms. */
export function createLoginPages(options: LoginPagesOptions): readonly FunctionRoute[] {
  const { render, offers, browserSignIn, authenticator, redirects, publicUrl, comeAnew, browsers } = options;
  // Who began here comes back here, whatever page of an app's comes first in the list.
  const callbackUrls = new Map(options.strategies.map(({ name, callbackUrl }) => [name, callbackUrl]));

  /** @param error what kept a sign-in from beginning */
  function show(
    request: PlainRequest,
    view: Omit<LoginView, "offers" | "forms">,
    error?: DomainError,
  ): PlainResponse {
    const forms = openForms(request, browsers);
    return render({
      refusal: error && toRefusal(error, request),
      title: "Sign in",
      usesPasskeys: offers.passkey,
      body: toLoginBody({
        ...view,
        offers,
        forms,
        answersInvitation: view.returnTo.startsWith(`${publicUrl}${invitationPaths.invitation}?`),
        comesToApp: view.returnTo.startsWith(`${publicUrl}/gate/login?`),
      }),
      setCookies: forms.setCookies,
    });
  }

  async function get(request: PlainRequest): Promise<PlainResponse> {
    const anew = comeAnew(request);
    if (anew !== undefined) return anew;
    const returnTo = readField(request.query, "return_to");
    const target = findReturnTo(redirects, returnTo) ?? accountPaths.account;
    const visitor = await findVisitor(authenticator, request);
    const isAgain = request.query.has("again");
    if (visitor !== undefined && !isAgain) return redirect(target);
    return show(request, {
      returnTo,
      again: visitor?.email,
      email: visitor?.email,
      done: findText(doneTexts, readField(request.query, "done")),
    });
  }

  /** Says on the sign-in page what kept a sign-in from beginning. */
  function showRefusal(
    request: PlainRequest,
    error: unknown,
    view: { readonly returnTo: string; readonly email: string; readonly strategy: string },
  ): PlainResponse {
    if (!(error instanceof DomainError) || error.kind === "internal") throw error;
    request.info.outcome.reason = error.reason;
    if (error.detail !== undefined) request.info.outcome.detail = error.detail;
    if (error.reason === "REDIRECT_NOT_ALLOWED" || error.reason === "UNSUPPORTED_STRATEGY") throw error;
    const { returnTo, email, strategy } = view;
    const isEmailWrong = error.reason === "INVALID_EMAIL";
    return show(request, { returnTo, email, isEmailWrong, problem: toProblem(error, strategy) }, error);
  }

  /** A form that is too old, or of nobody knows where: the page anew, with a good one. */
  function showStale(request: PlainRequest, error: unknown): PlainResponse {
    if (!(error instanceof DomainError) || error.reason !== "CROSS_ORIGIN") throw error;
    const { header, body, info } = request;
    info.outcome.reason = error.reason;
    const asked = new URLSearchParams(Buffer.from(body).toString("utf8")).get("return_to") ?? "";
    const isGood = isReturnTo(redirects, asked);
    const problem = isOpenedElsewhere(header, publicUrl)
      ? `Nobody can sign in under this address. Open ${publicUrl} instead.`
      : browsers.find(header).length > 0
        ? tooOld
        : noCookies;
    return show(request, { returnTo: isGood ? asked : "", problem }, error);
  }

  async function begin(
    request: PlainRequest,
    fields: (form: URLSearchParams) => string,
  ): Promise<PlainResponse> {
    let form: URLSearchParams;
    try {
      form = readForm(request, publicUrl, browsers);
    } catch (error) {
      return showStale(request, error);
    }
    const strategyName = fields(form);
    const email = readField(form, "email");
    const returnTo = readField(form, "return_to");
    const principal = await findVisitor(authenticator, request);
    const callbackUrl = callbackUrls.get(strategyName) ?? "";
    const asked = { strategyName, email, returnTo, callbackUrl };
    try {
      const { flow, setCookies } = await browserSignIn.begin(asked, { ...request, principal });
      return flow.endpoint === ""
        ? redirect(toPath(loginPaths.checkMail, { state: flow.state }), setCookies)
        : navigate(render, flow.endpoint, publicUrl, setCookies);
    } catch (error) {
      return showRefusal(request, error, { returnTo, email, strategy: strategyName });
    }
  }

  function readMailStrategy(form: URLSearchParams): string {
    const name = readField(form, "strategy");
    const isMail = name === ownStrategies.mailCode || name === ownStrategies.mailLink;
    if (!isMail) throw new DomainError("UNSUPPORTED_STRATEGY");
    return name;
  }

  function readProvider(form: URLSearchParams): string {
    const name = readField(form, "strategy");
    if (!offers.providers.some((provider) => provider.name === name)) {
      throw new DomainError("UNSUPPORTED_STRATEGY");
    }
    return name;
  }

  return [
    { method: "GET", path: loginPaths.login, handle: get },
    { method: "POST", path: loginPaths.mail, handle: (request) => begin(request, readMailStrategy) },
    { method: "POST", path: loginPaths.provider, handle: (request) => begin(request, readProvider) },
  ];
}

function toProblem(error: DomainError, strategyName: string): string {
  if (error.kind !== "unavailable") {
    const { title, text } = explain(error);
    return `${title}. ${text}`;
  }
  const isMail = strategyName === ownStrategies.mailCode || strategyName === ownStrategies.mailLink;
  return isMail
    ? "Mail cannot be sent at the moment. Try again in a few minutes, or sign in another way."
    : `${toProviderLabel(strategyName)} cannot be reached at the moment. Try again in a few minutes, or sign in another way.`;
}
