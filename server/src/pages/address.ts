/**
 * The address of one's account: `/account/email`, where the code is typed that a
 * change needs, and `/email-change/undo`, where the link in the mail to the
 * address before leads. The link shows what it can undo, however often scanners
 * look; its button does it, for whoever has the link, in any browser.
 */
import type { EmailChange } from "../accounts/email-change.ts";
import { type EmailUndo, undoPath } from "../accounts/email-undo.ts";
import type { Browsers } from "../auth/browser-sign-in.ts";
import { openForms, readField, readForm } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import { toMessageBody } from "../html/message.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import { accountPaths } from "./account-view.ts";
import { addressPaths, toAddressCodeBody, toTakenBack, toUndoBody } from "./address-view.ts";
import { loginPaths } from "./login-view.ts";
import { findText, toProblemTexts, toRefusal } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that the pages about an address stand on. */
export interface AddressPagesOptions {
  readonly render: RenderPage;
  readonly emailChange: Pick<EmailChange, "begin" | "peek" | "finish">;
  readonly emailUndo: Pick<EmailUndo, "look" | "undo">;
  readonly visitors: Visitors;
  readonly publicUrl: string;
  readonly browsers: Browsers;
  /** Where mail is written to when it is not sent; said to people who are at the machine itself. */
  readonly hasOutbox: boolean;
}

/** Refusals of a change that are said on the page of the account, by their reasons. */
export const addressProblems: Readonly<Record<string, string>> = {
  ...toProblemTexts(["INVALID_EMAIL", "REAUTH_REQUIRED", "ADDRESS_UNPROVEN", "EMAIL_CHANGE_PAUSED"]),
  INVALID_REQUEST: "That is the address of your account already.",
  UNAVAILABLE: "Mail cannot be sent at the moment. Try again in a few minutes.",
  INVALID_FLOW:
    "That change of your address is over: it took too long, was tried too often or finished already, or somebody else has the address by now. Begin it again.",
  INVALID_AUTH_STATE:
    "That change of your address began in another browser or session. Finish it there, or begin it here.",
};

const codeProblems = {
  INVALID_OTP: "That code is not right. Look for the newest mail, and type the code in it.",
} as const;

const overLink = {
  title: "This link does not work any more",
  text: "It was used already, its seven days are over, or the address was changed otherwise since. If you can sign in, look at your account; else ask whoever runs this site.",
};

/** Builds the routes of both pages and their forms. */
export function createAddressPages(options: AddressPagesOptions): readonly FunctionRoute[] {
  const { render, emailChange, emailUndo, visitors, publicUrl, browsers, hasOutbox } = options;

  const toAccount = (problem: string) => toPath(accountPaths.account, { problem });

  /** Says a refusal on the page of the account. */
  function refuse(request: PlainRequest, error: unknown): PlainResponse {
    if (!(error instanceof DomainError) || !Object.hasOwn(addressProblems, error.reason)) throw error;
    noteRefusal(request, error);
    return redirect(toAccount(error.reason));
  }

  async function showCode(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const state = readField(request.query, "state");
    try {
      const email = await emailChange.peek(caller, state, request.header);
      const problem = findText(codeProblems, readField(request.query, "problem"));
      const forms = openForms(request, browsers);
      const body = toAddressCodeBody({ forms, email, state, problem, hasOutbox });
      return render({ title: "Check your mail", setCookies: forms.setCookies, body });
    } catch (error) {
      return refuse(request, error);
    }
  }

  async function confirm(
    request: PlainRequest,
    caller: Visitor,
    form: URLSearchParams,
  ): Promise<PlainResponse> {
    const state = readField(form, "state");
    const code = readField(form, "code");
    try {
      const { setCookies } = await emailChange.finish(caller, { state, code }, request.header);
      return redirect(toPath(accountPaths.account, { done: "address" }), setCookies);
    } catch (error) {
      if (!(error instanceof DomainError) || error.reason !== "INVALID_OTP") return refuse(request, error);
      noteRefusal(request, error);
      return redirect(toPath(addressPaths.code, { state, problem: error.reason }));
    }
  }

  function showOver(request: PlainRequest, error: unknown): PlainResponse {
    if (!(error instanceof DomainError) || error.reason !== "INVALID_FLOW") throw error;
    noteRefusal(request, error);
    const next = { href: loginPaths.login, label: "Go to sign-in" };
    return render({
      refusal: toRefusal(error, request),
      title: overLink.title,
      body: toMessageBody(overLink, next),
    });
  }

  async function showUndo(request: PlainRequest): Promise<PlainResponse> {
    const token = readField(request.query, "t");
    try {
      const change = await emailUndo.look(token);
      const forms = openForms(request, browsers);
      const body = toUndoBody(forms, token, change);
      return render({ title: "Take your address back?", setCookies: forms.setCookies, body });
    } catch (error) {
      return showOver(request, error);
    }
  }

  async function undo(request: PlainRequest): Promise<PlainResponse> {
    const form = readForm(request, publicUrl, browsers);
    try {
      const { told, next } = toTakenBack(await emailUndo.undo(readField(form, "t"), request.info));
      return render({ title: told.title, body: toMessageBody(told, next) });
    } catch (error) {
      return showOver(request, error);
    }
  }

  return [
    visitors.page(addressPaths.code, showCode),
    visitors.form(addressPaths.code, {
      act: async (caller, form, header) => {
        const { state } = await emailChange.begin(caller, readField(form, "email"), header);
        return toPath(addressPaths.code, { state });
      },
      back: (_, { problem }) => toAccount(problem),
      problems: addressProblems,
    }),
    visitors.post(addressPaths.confirm, confirm),
    { method: "GET", path: undoPath, handle: showUndo },
    { method: "POST", path: undoPath, handle: undo },
  ];
}
