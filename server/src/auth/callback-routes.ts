/**
 * `/auth/callback` and `/auth/callback/<name>`, where browsers come back to.
 *
 * GET takes the answer of an identity provider (`response_mode=query`), of each
 * at a path of its own. Of a flow by mail the plain path only shows a page,
 * however often it is fetched and by whom: the button on that page, a POST from
 * our own origin and with a token made from the browser's cookie, is what signs
 * in. HEAD does nothing at all.
 *
 * What a provider's form brings (`response_mode=form_post`) is kept by
 * `form-post-routes.ts`, which sends the browser on to GET.
 */
import { callbackPath } from "../config/urls.ts";
import { isFormToken, toFormToken } from "../html/form-token.ts";
import { isFromOwnPage } from "../http/own-origin.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { toLocation } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import { noteRefusal, readBrought, readForm, readOne } from "./brought.ts";
import type { BrowserSignIn, Browsers, FinishedInBrowser } from "./browser-sign-in.ts";
import type { Strategy } from "./strategy.ts";
import { findVisitor } from "./visitor.ts";

export { callbackPath };

/** What a form on a page of ours posts to `/auth/callback`, as `state` and `token`, beside a `code`. */
export interface CallbackForm {
  readonly state: string;
  readonly formToken: string;
  /** The mailbox the code went to. */
  readonly email: string;
}

/** What is to be shown where a browser cannot simply be sent on. */
export type CallbackResult =
  /** A link was opened in its own browser: a form with its code signs in. */
  | { readonly kind: "confirm"; readonly form: CallbackForm; readonly code: string }
  /** The code was right, and would take over an account that its strategies open as it is: asks first. */
  | {
      readonly kind: "take_over";
      readonly form: CallbackForm;
      readonly code: string;
      readonly waysToKeep: readonly string[];
      readonly returnTo: string | undefined;
    }
  /** A code was mailed: a form with it joins the identity to the account, and signs in. */
  | { readonly kind: "link_required"; readonly form: CallbackForm; readonly strategyName: string }
  /** A link was opened in another browser: the code in the mail is to be typed in the first one. */
  | { readonly kind: "other_browser" }
  /** The person said no to the provider. */
  | { readonly kind: "denied"; readonly returnTo: string | undefined }
  /** With a form where another code may be tried. */
  | { readonly kind: "refused"; readonly error: DomainError; readonly form?: CallbackForm };

/** Draws a page. Its status and headers are the page's own. */
export type RenderResult = (
  result: CallbackResult,
  request: Pick<PlainRequest, "header" | "info">,
) => PlainResponse | Promise<PlainResponse>;

/** Parts that the callbacks of providers stand on. */
export interface CallbackRoutesOptions {
  readonly browserSignIn: BrowserSignIn;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly browsers: Pick<Browsers, "find">;
  readonly renderResult: RenderResult;
  /**
   * Sends a browser on after a form of ours. Not always by a redirect: what
   * follows a form is held against its page's `form-action`.
   */
  readonly navigate: (url: string, setCookies: readonly string[]) => PlainResponse;
  /**
   * Has the browser load a path anew from a page of ours. Given where session
   * cookies are `SameSite=Strict`: a browser that a provider sends back brings
   * none, nor does it with the redirects that follow.
   */
  readonly reload?: ((path: string) => PlainResponse) | undefined;
  /** Origin that browsers see. */
  readonly publicUrl: string;
  /** Those of providers are each answered at their own URL; the plain one may be among them. */
  readonly strategies: readonly Pick<Strategy, "callbackUrl">[];
  /** Where to go after a sign-in that asked for nothing else. */
  readonly defaultReturnTo: string;
}

/** What a form's token is made for. */
function toCallbackPurpose(state: string): string {
  return `callback ${state}`;
}

/** Builds the routes: the plain path for GET and POST, and each provider's own for GET. */
export function createCallbackRoutes(options: CallbackRoutesOptions): readonly FunctionRoute[] {
  const {
    browserSignIn,
    authenticator,
    browsers,
    renderResult,
    navigate,
    reload,
    publicUrl,
    defaultReturnTo,
  } = options;
  const plainUrl = publicUrl + callbackPath;

  function sendOn(returnTo: string | undefined, setCookies: readonly string[]): PlainResponse {
    return {
      status: 303,
      headers: {
        location: toLocation(returnTo ?? defaultReturnTo),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        ...(setCookies.length > 0 && { "set-cookie": [...setCookies] }),
      },
    };
  }

  async function finish(
    answer: Parameters<BrowserSignIn["finish"]>[0],
    { header, info }: PlainRequest,
  ): Promise<FinishedInBrowser> {
    const principal = await findVisitor(authenticator, { header, info });
    return await browserSignIn.finish(answer, { header, info, principal });
  }

  /** What a form needs to finish a flow by code; undefined in any other browser than the flow's own. */
  async function findForm(
    state: string,
    request: Pick<PlainRequest, "header" | "info">,
  ): Promise<CallbackForm | undefined> {
    const [browser] = browsers.find(request.header);
    const { email = "", isSameBrowser } = await browserSignIn.peek(state, request);
    if (!isSameBrowser || browser === undefined) return undefined;
    return { state, email, formToken: toFormToken(browser, toCallbackPurpose(state)) };
  }

  /** @param route the URL that the browser came to */
  async function get(route: string, request: PlainRequest): Promise<PlainResponse> {
    const { query, header } = request;
    if (reload !== undefined && header.get("sec-fetch-site") === "cross-site") {
      return reload(`${new URL(route).pathname}?${query}`);
    }
    const state = readOne(query, "state");
    const { strategy, returnTo: askedFor, posted } = await browserSignIn.peek(state, request);
    const named = readOne(query, "strategy_name");
    if (named !== "" && named !== strategy.name) throw new DomainError("INVALID_AUTH_STATE");
    if (strategy.attempts === "code" && route === plainUrl) {
      const form = await findForm(state, request);
      if (form === undefined) return await renderResult({ kind: "other_browser" }, request);
      return await renderResult({ kind: "confirm", form, code: readOne(query, "code") }, request);
    }
    const brought = strategy.isAnsweredByForm ? (posted ?? {}) : readBrought(query);
    const { code = "", issuer = "", error, description = "" } = brought;
    if (error !== undefined) {
      await browserSignIn.abandon(state, request, { route, error, description });
      return await renderResult({ kind: "denied", returnTo: askedFor }, request);
    }
    const user = posted?.user;
    const answer = { strategyName: "", state, code, stateOptions: {}, issuer, route, ...(user && { user }) };
    const { returnTo, setCookies } = await finish(answer, request);
    return sendOn(returnTo, setCookies);
  }

  async function post(request: PlainRequest): Promise<PlainResponse> {
    const { header } = request;
    const form = readForm(request);
    const state = readOne(form, "state");
    const isOurs = isFormToken(readOne(form, "token"), browsers.find(header), toCallbackPurpose(state));
    if (!isFromOwnPage(header, publicUrl) || !isOurs) throw new DomainError("CROSS_ORIGIN");
    const { strategy } = await browserSignIn.peek(state, request);
    if (strategy.attempts !== "code") throw new DomainError("INVALID_AUTH_STATE");
    const code = readOne(form, "code");
    const asksBeforeTakeOver = !form.has("take_over");
    const answer = { strategyName: "", state, code, stateOptions: {}, route: plainUrl, asksBeforeTakeOver };
    try {
      const { returnTo, setCookies, waysToKeep } = await finish(answer, request);
      const formAgain = waysToKeep && (await findForm(state, request));
      if (waysToKeep && formAgain) {
        return await renderResult(
          { kind: "take_over", form: formAgain, code, waysToKeep, returnTo },
          request,
        );
      }
      return navigate(returnTo ?? defaultReturnTo, setCookies);
    } catch (error) {
      return await retry(error, state, request);
    }
  }

  /** A stale flow is nothing to bother a person with who is signed in already, as from another tab. */
  async function onRefusal(thrown: unknown, request: PlainRequest): Promise<PlainResponse> {
    const error = noteRefusal(thrown, request);
    if (error.reason === "INVALID_FLOW" && (await findVisitor(authenticator, request)) !== undefined) {
      return sendOn(undefined, []);
    }
    const { strategy_name: strategyName = "", state = "" } = error.metadata;
    if (error.reason === "LINK_REQUIRED") {
      const form = await findForm(state, request);
      if (form !== undefined)
        return await renderResult({ kind: "link_required", form, strategyName }, request);
    }
    return await renderResult({ kind: "refused", error }, request);
  }

  /** A wrong code may be followed by another, while its flow lives. */
  async function retry(error: unknown, state: string, request: PlainRequest) {
    if (!(error instanceof DomainError) || error.reason !== "INVALID_OTP") throw error;
    const form = await findForm(state, request).catch(() => undefined);
    return await renderResult({ kind: "refused", error, ...(form && { form }) }, request);
  }

  const guard =
    (work: (request: PlainRequest) => Promise<PlainResponse>) =>
    (request: PlainRequest): Promise<PlainResponse> =>
      work(request).catch((error) => onRefusal(error, request));

  function toGetRoute(url: string): FunctionRoute {
    const handle = guard((request) => get(url, request));
    return {
      method: "GET",
      path: new URL(url).pathname,
      handle: async (request) => (request.method === "HEAD" ? { status: 200 } : await handle(request)),
    };
  }

  const { strategies } = options;
  const urls = new Set([plainUrl, ...strategies.flatMap(({ callbackUrl = [] }) => callbackUrl)]);
  return [{ method: "POST", path: callbackPath, handle: guard(post) }, ...[...urls].map(toGetRoute)];
}
