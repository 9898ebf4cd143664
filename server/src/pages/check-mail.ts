/**
 * `/login/check-mail`: where a mailed code is typed.
 *
 * The page belongs to the browser in which the sign-in began; in any other it
 * only says so. Looking at it changes nothing.
 */
import type { BrowserSignIn, Browsers } from "../auth/browser-sign-in.ts";
import { findVisitor } from "../auth/visitor.ts";
import { openForms, readField, readForm } from "../html/forms.ts";
import { type RenderPage, toNotice } from "../html/frame.ts";
import { html } from "../html/html.ts";
import { navigate } from "../html/navigation.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import { accountPaths } from "./account-view.ts";
import { loginPaths } from "./login-view.ts";
import { toOtherBrowserBody } from "./message-view.ts";
import { ownStrategies } from "./offers.ts";
import { toTakeOverBody } from "./take-over-view.ts";

/** Parts that the page for a mailed code or link stands on. */
export interface CheckMailPagesOptions {
  readonly render: RenderPage;
  readonly browserSignIn: Pick<BrowserSignIn, "begin" | "finish" | "peek">;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly publicUrl: string;
  readonly browsers: Browsers;
  /** Where mail is written to when it is not sent; said to people who are at the machine itself. */
  readonly hasOutbox: boolean;
}

/** What the page says besides asking for the code. */
interface CheckMailView {
  readonly state: string;
  readonly problem?: string | undefined;
  readonly done?: string | undefined;
  /** Whether the code proves a mailbox that an identity is to be joined by. */
  readonly joins: boolean;
}

const wrongCode = "That code is not right. Look for the newest mail, and type the code in it.";

/** Where the code of a flow is typed. */
export function toCheckMailPath(
  state: string,
  about: { readonly joins?: boolean; readonly wrong?: boolean } = {},
): string {
  const { joins = false, wrong = false } = about;
  return toPath(loginPaths.checkMail, {
    state,
    ...(joins && { joins: "1" }),
    ...(wrong && { wrong: "1" }),
  });
}

/** Builds the routes of the page and its forms. */
export function createCheckMailPages(options: CheckMailPagesOptions): readonly FunctionRoute[] {
  const { render, browserSignIn, authenticator, publicUrl, browsers, hasOutbox } = options;

  async function show(request: PlainRequest, view: CheckMailView): Promise<PlainResponse> {
    const { state, problem, done, joins } = view;
    const { email = "", strategy, returnTo, isSameBrowser } = await browserSignIn.peek(state, request);
    if (strategy.attempts !== "code") throw new DomainError("INVALID_AUTH_STATE");
    if (!isSameBrowser) return render({ title: "Check your mail", body: toOtherBrowserBody() });
    const forms = openForms(request, browsers);
    const isLink = strategy.name === ownStrategies.mailLink;
    const sent = isLink ? "a link and a code" : "a code";
    return render({
      title: "Check your mail",
      setCookies: forms.setCookies,
      body: html`<section class="card">
<h1>${joins ? "One more step" : "Check your mail"}</h1>
<p class="lead">${joins && "To be sure that this mailbox is yours, we "}${joins ? "sent" : "We sent"} ${sent} to <strong class="address">${email}</strong>.${isLink && " Open the link in this browser, or type the code."}</p>
${toNotice(problem)}${toNotice(done, "done")}
<form method="post" action="${loginPaths.checkMail}">
${forms.hidden(loginPaths.checkMail, { state, ...(joins && { joins: "1" }) })}
<label for="code">Code</label>
<input id="code" class="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="characters" autocorrect="off" spellcheck="false" maxlength="20" required autofocus aria-describedby="code-hint"${problem !== undefined && html` aria-invalid="true"`}>
<p class="hint" id="code-hint">Six letters and digits. Case and spaces do not matter.</p>
<button class="primary">Sign in</button>
</form>
<div class="after">
${
  !joins &&
  html`<form method="post" action="${loginPaths.resend}">
${forms.hidden(loginPaths.resend, { state })}
<button class="link">Send it again</button>
</form>`
}
<a href="${toPath(loginPaths.login, { return_to: returnTo })}">Start again</a>
</div>
<p class="hint">No mail after a minute? Look among the unwanted ones. Only a few go out in an hour: if none comes, <a href="${toPath(loginPaths.login, { return_to: returnTo })}">sign in another way</a>.</p>
${hasOutbox && html`<p class="hint outbox">This server sends no mail yet: it writes it to <code>outbox</code> in its data folder, and says in its log where.</p>`}
</section>`,
    });
  }

  async function get(request: PlainRequest): Promise<PlainResponse> {
    const { query } = request;
    const isWrong = query.has("wrong");
    const shown = show(request, {
      state: readField(query, "state"),
      joins: query.has("joins"),
      problem: isWrong ? wrongCode : undefined,
      done: query.has("again") ? "It is on its way once more. Only the newest mail counts." : undefined,
    });
    return isWrong ? await shown.catch(toSpent) : await shown;
  }

  /** A wrong code leads back to the page, so that going back and reloading repeat nothing. */
  async function post(request: PlainRequest): Promise<PlainResponse> {
    const form = readForm(request, publicUrl, browsers);
    const state = readField(form, "state");
    const code = readField(form, "code");
    const principal = await findVisitor(authenticator, request);
    try {
      const asksBeforeTakeOver = !form.has("take_over");
      const answer = { strategyName: "", state, code, stateOptions: {}, asksBeforeTakeOver };
      const finished = await browserSignIn.finish(answer, { ...request, principal });
      const { returnTo, setCookies, waysToKeep } = finished;
      if (waysToKeep !== undefined) return await ask(request, waysToKeep, form);
      return navigate(render, returnTo ?? accountPaths.account, publicUrl, setCookies);
    } catch (error) {
      if (!(error instanceof DomainError) || error.reason !== "INVALID_OTP") throw error;
      request.info.outcome.reason = error.reason;
      return redirect(toCheckMailPath(state, { joins: form.has("joins"), wrong: true }));
    }
  }

  /** The code was right, and would take over an account that can be kept. */
  async function ask(
    request: PlainRequest,
    waysToKeep: readonly string[],
    form: URLSearchParams,
  ): Promise<PlainResponse> {
    const state = readField(form, "state");
    const { email = "", returnTo } = await browserSignIn.peek(state, request);
    const forms = openForms(request, browsers);
    const action = loginPaths.checkMail;
    const again = { state, code: readField(form, "code"), joins: readField(form, "joins") };
    const view = { email, waysToKeep, returnTo, forms, action, fields: forms.hidden(action, again) };
    const { setCookies } = forms;
    return render({ title: "Is this account yours?", setCookies, body: toTakeOverBody(view) });
  }

  /** Sends another mail for the address of a flow of this browser. */
  async function resend(request: PlainRequest): Promise<PlainResponse> {
    const form = readForm(request, publicUrl, browsers);
    const { strategy, email, returnTo, isSameBrowser } = await browserSignIn.peek(
      readField(form, "state"),
      request,
    );
    if (!isSameBrowser || email === undefined) throw new DomainError("INVALID_AUTH_STATE");
    const principal = await findVisitor(authenticator, request);
    const asked = { strategyName: strategy.name, email, returnTo: returnTo ?? "", callbackUrl: "" };
    const { flow, setCookies } = await browserSignIn.begin(asked, { ...request, principal });
    return redirect(toPath(loginPaths.checkMail, { state: flow.state, again: "1" }), setCookies);
  }

  /** A sign-in that is over is nothing to bother a person with who is signed in already, as from another tab. */
  function unlessSignedIn(
    handle: (request: PlainRequest) => Promise<PlainResponse>,
  ): FunctionRoute["handle"] {
    return (request) =>
      handle(request).catch(async (error) => {
        const isOver = error instanceof DomainError && error.reason === "INVALID_FLOW";
        if (!isOver || (await findVisitor(authenticator, request)) === undefined) throw error;
        request.info.outcome.reason = error.reason;
        return redirect(accountPaths.account);
      });
  }

  return [
    { method: "GET", path: loginPaths.checkMail, handle: unlessSignedIn(get) },
    { method: "POST", path: loginPaths.checkMail, handle: unlessSignedIn(post) },
    { method: "POST", path: loginPaths.resend, handle: unlessSignedIn(resend) },
  ];
}

/** The wrong code was the last one: its flow is gone. */
function toSpent(error: unknown): never {
  const isGone = error instanceof DomainError && error.reason === "INVALID_FLOW";
  throw isGone ? new DomainError("INVALID_OTP", { cause: error }) : error;
}
