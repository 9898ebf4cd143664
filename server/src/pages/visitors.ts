/**
 * Routes that are for people in their own session alone: others are sent to
 * sign in. Pages are shown by GET, forms change something and lead to a page
 * that says what came of it, so that reloading repeats nothing.
 */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { findVisitor } from "../auth/visitor.ts";
import { readForm } from "../html/forms.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import { loginPaths } from "./login-view.ts";

/** Someone in their own session, and the request they make. */
export type Visitor = Caller & { readonly principal: UserPrincipal };

/** What a form does, and where it leads. */
export interface FormAction {
  /** Does it, and answers the path to go on to. */
  act(caller: Visitor, form: URLSearchParams, header: Headers): Promise<string>;
  /** The page that speaks of a refusal. */
  back(form: URLSearchParams, problem: { readonly problem: string }): string;
  /** Where somebody goes first who is not signed in any more; default to sign in. */
  signIn?(form: URLSearchParams): string;
  /** The refusals that it speaks of, by their reasons; others are pages of their own. */
  readonly problems: Readonly<Record<string, string>>;
}

/** @see the head of this file */
export interface Visitors {
  find(request: PlainRequest): Promise<Visitor | undefined>;
  page(path: string, show: (request: PlainRequest, caller: Visitor) => Promise<PlainResponse>): FunctionRoute;
  post(
    path: string,
    answer: (request: PlainRequest, caller: Visitor, form: URLSearchParams) => Promise<PlainResponse>,
    signIn?: FormAction["signIn"],
  ): FunctionRoute;
  form(path: string, action: FormAction): FunctionRoute;
}

/** @see the head of this file */
export function createVisitors(parts: {
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly publicUrl: string;
  readonly browsers: Pick<Browsers, "find">;
}): Visitors {
  const { authenticator, publicUrl, browsers } = parts;

  const find: Visitors["find"] = async (request) => {
    const principal = await findVisitor(authenticator, request);
    return principal && { principal, request: request.info };
  };

  const page: Visitors["page"] = (path, show) => ({
    method: "GET",
    path,
    handle: async (request) => {
      const caller = await find(request);
      return caller === undefined ? redirect(loginPaths.login) : await show(request, caller);
    },
  });

  const post: Visitors["post"] = (path, answer, signIn = () => loginPaths.login) => ({
    method: "POST",
    path,
    handle: async (request) => {
      const form = readForm(request, publicUrl, browsers);
      const caller = await find(request);
      return caller === undefined ? redirect(signIn(form)) : await answer(request, caller, form);
    },
  });

  const form: Visitors["form"] = (path, { act, back, problems, signIn }) => {
    const answer: Parameters<Visitors["post"]>[1] = async (request, caller, fields) => {
      try {
        return redirect(await act(caller, fields, request.header));
      } catch (error) {
        if (!(error instanceof DomainError) || !Object.hasOwn(problems, error.reason)) throw error;
        noteRefusal(request, error);
        return redirect(back(fields, { problem: error.reason }));
      }
    };
    return post(path, answer, signIn);
  };

  return { find, page, post, form };
}

/** Has the log tell of a refusal that is said on a page. */
export function noteRefusal({ info }: PlainRequest, { reason, detail }: DomainError): void {
  info.outcome.reason = reason;
  if (detail !== undefined) info.outcome.detail = detail;
}
