/** `/account/delete`: how people leave. They type their address, so that no click does it. */
import type { AccountDeletion } from "../accounts/deletion.ts";
import type { BrowserSignIn } from "../auth/browser-sign-in.ts";
import { readField } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import type { MemberService } from "../organizations/member-service.ts";
import { toEmail } from "../users/email.ts";
import { accountPaths } from "./account-view.ts";
import { leavePath, toStillOwnerBody } from "./leave-view.ts";
import { loginPaths } from "./login-view.ts";
import { toProblemTexts, toRefusal } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that leaving stands on. */
export interface LeavePagesOptions {
  readonly render: RenderPage;
  readonly deletion: Pick<AccountDeletion, "delete">;
  readonly members: Pick<MemberService, "listOwn">;
  readonly browserSignIn: Pick<BrowserSignIn, "toClearCookies">;
  readonly visitors: Visitors;
}

/** Refusals that are said on the page of the account, by their reasons or names of our own. */
export const leaveProblems: Readonly<Record<string, string>> = {
  ...toProblemTexts(["REAUTH_REQUIRED", "EMAIL_UNDO_OPEN"]),
  other_address: "That is not the address of this account. Nothing was deleted.",
};

/** How many organizations somebody is looked for in. */
const mostListed = 1000;

/** Builds the route of the form. */
export function createLeavePages(options: LeavePagesOptions): readonly FunctionRoute[] {
  const { render, deletion, members, browserSignIn, visitors } = options;

  async function showOwned(
    request: PlainRequest,
    caller: Visitor,
    refusal: DomainError,
  ): Promise<PlainResponse> {
    noteRefusal(request, refusal);
    const ids = new Set(refusal.metadata.org_ids?.split(","));
    const { items } = await members.listOwn(caller, { size: mostListed, token: "" });
    const owned = items.filter(({ organization }) => ids.has(organization.id));
    return render({
      refusal: toRefusal(refusal, request),
      title: "These organizations need you",
      body: toStillOwnerBody(owned),
    });
  }

  async function leave(
    request: PlainRequest,
    caller: Visitor,
    form: URLSearchParams,
  ): Promise<PlainResponse> {
    if (toEmail(readField(form, "email")) !== caller.principal.email) {
      return redirect(toPath(accountPaths.account, { problem: "other_address" }));
    }
    try {
      await deletion.delete(caller);
      return redirect(toPath(loginPaths.login, { done: "deleted" }), browserSignIn.toClearCookies());
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (error.reason === "LAST_OWNER") return await showOwned(request, caller, error);
      if (!Object.hasOwn(leaveProblems, error.reason)) throw error;
      noteRefusal(request, error);
      return redirect(toPath(accountPaths.account, { problem: error.reason }));
    }
  }

  return [visitors.post(leavePath, leave)];
}
