/**
 * `/account/organization`: who is a member of an organization, and as what.
 *
 * Everyone who has a role in it sees it; owners say who has which. The rules
 * are those of the room of organizations: what a form does not offer is
 * refused there, whoever sends it.
 */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { openForms, readField } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import { toMessageBody } from "../html/message.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import { defaultPageSize } from "../lib/page-token.ts";
import type { MemberService } from "../organizations/member-service.ts";
import { type Role, roles } from "../principals/principal.ts";
import { accountPaths, toSignOutForm } from "./account-view.ts";
import { toOrganizationBody } from "./organization-view.ts";
import { organizationPaths, toOrganizationLabel, toOrganizationPath } from "./organizations-view.ts";
import { findText, toProblemTexts, toRefusal } from "./texts.ts";
import { titleProblems } from "./titles.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that the page of an organization stands on. */
export interface OrganizationPageOptions {
  readonly render: RenderPage;
  readonly members: Pick<MemberService, "getStanding" | "list" | "setRole" | "remove">;
  readonly visitors: Visitors;
  readonly browsers: Browsers;
}

/** What the page says of what has just been done; the query only names it. */
const doneTexts: Readonly<Record<string, string>> = {
  created: "The organization is created.",
  joined: "You are a member now.",
  role: "The role is changed. It counts from now on.",
  removed: "They are no member any more.",
  title: "The organization has its new name.",
};

/** Refusals that are said on the page itself. */
const problems = {
  ...toProblemTexts([
    "NOT_AUTHORIZED",
    "ADDRESS_UNPROVEN",
    "MEMBER_NOT_FOUND",
    "LAST_OWNER",
    "TOO_MANY_ORGANIZATIONS",
  ]),
  ...titleProblems,
};

const toAccount = { href: accountPaths.account, label: "Back to your account" };

const unseen = {
  title: "You have no role in this organization",
  text: "It may be gone, or you may have been removed from it. One of its owners can invite you.",
};

/** Builds the routes of the page and its forms. */
export function createOrganizationPage(options: OrganizationPageOptions): readonly FunctionRoute[] {
  const { render, members, visitors, browsers } = options;

  async function show(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const { query } = request;
    const id = readField(query, "id");
    const after = readField(query, "after");
    const standing = await members.getStanding(caller, id);
    const listed = await members.list(caller, standing.organization.id, {
      size: defaultPageSize,
      token: after,
    });
    const forms = openForms(request, browsers);
    return render({
      title: toOrganizationLabel(standing.organization),
      width: "wide",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toOrganizationBody({
        forms,
        standing,
        members: listed,
        after,
        done: findText(doneTexts, readField(query, "done")),
        problem: findText(problems, readField(query, "problem")),
      }),
    });
  }

  /** Says in one way that it is not there and that the person has no role in it. */
  async function showUnlessUnseen(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    try {
      return await show(request, caller);
    } catch (error) {
      if (!(error instanceof DomainError) || error.reason !== "NOT_AUTHORIZED") throw error;
      noteRefusal(request, error);
      const body = toMessageBody(unseen, toAccount);
      return render({ refusal: toRefusal(error, request), title: unseen.title, body });
    }
  }

  /** @param work answers the path to go on to */
  function form(
    path: string,
    work: (caller: Visitor, org: string, form: URLSearchParams) => Promise<string>,
  ) {
    return visitors.form(path, {
      act: (caller, fields) => work(caller, readField(fields, "id"), fields),
      back: (fields, problem) => toOrganizationPath(readField(fields, "id"), problem),
      problems,
    });
  }

  return [
    visitors.page(organizationPaths.organization, showUnlessUnseen),
    form(organizationPaths.setRole, async (caller, org, fields) => {
      await members.setRole(caller, { org, userId: readField(fields, "user") }, readRole(fields));
      return toOrganizationPath(org, { done: "role" });
    }),
    form(organizationPaths.removeMember, async (caller, org, fields) => {
      await members.remove(caller, { org, userId: readField(fields, "user") });
      return toOrganizationPath(org, { done: "removed" });
    }),
    form(organizationPaths.leave, async (caller, org) => {
      await members.remove(caller, { org, userId: caller.principal.id });
      return toPath(accountPaths.account, { done: "left" });
    }),
  ];
}

/** A role as a form sends it. @throws DomainError INVALID_REQUEST */
export function readRole(form: URLSearchParams): Role {
  const asked = readField(form, "role");
  const role = roles.find((each) => each === asked);
  if (role === undefined) throw new DomainError("INVALID_REQUEST", { detail: "role" });
  return role;
}
