/**
 * `/account/organization/invitations`: who is asked into an organization and
 * has not answered, and the form to invite by.
 */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { openForms, readField } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import type { InvitationService } from "../invitations/service.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { defaultPageSize } from "../lib/page-token.ts";
import type { MemberService } from "../organizations/member-service.ts";
import type { ProjectService } from "../organizations/project-service.ts";
import { toSignOutForm } from "./account-view.ts";
import { type InvitationDraft, type InvitationsView, toInvitationsBody } from "./invitations-view.ts";
import { readRole } from "./organization.ts";
import { organizationPaths } from "./organizations-view.ts";
import { findText, toProblemTexts, toRefusal } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that the page of an organization's invitations stands on. */
export interface InvitationPagesOptions {
  readonly render: RenderPage;
  readonly members: Pick<MemberService, "getStanding">;
  readonly projects: Pick<ProjectService, "list">;
  readonly invitations: Pick<InvitationService, "list" | "create" | "renew" | "withdraw">;
  readonly visitors: Visitors;
  readonly clock: Clock;
  readonly browsers: Browsers;
}

/** What the page says of what has just been done; the query only names it. */
const doneTexts: Readonly<Record<string, string>> = {
  invited: "The invitation is on its way.",
  renewed: "It is on its way once more. Only the link in the newest mail works.",
  withdrawn: "The invitation is withdrawn.",
};

/** Refusals that are said above the form, which keeps what was typed. */
const draftProblems = {
  INVALID_EMAIL:
    "One of these is no e-mail address, or there are more than ten. Separate them by commas. Nobody was invited.",
  ...toProblemTexts(["ALREADY_MEMBER", "PROJECT_NOT_FOUND", "TOO_MANY_INVITATIONS", "ADDRESS_UNPROVEN"]),
};

/** Refusals that are said on the page itself. */
const problems = toProblemTexts([
  "NOT_AUTHORIZED",
  "ADDRESS_UNPROVEN",
  "INVITATION_NOT_FOUND",
  "ALREADY_MEMBER",
  "TOO_MANY_INVITATIONS",
]);

/** How many projects there are to choose from at most. */
const shownProjects = 200;

/** How many addresses may be invited at once; the schema's. */
const mostAddresses = 10;

const emptyDraft: InvitationDraft = { emails: "", role: "viewer", projects: [] };

/** Builds the routes of the page and its forms. */
export function createInvitationPages(options: InvitationPagesOptions): readonly FunctionRoute[] {
  const { render, members, projects, invitations, visitors, clock, browsers } = options;

  async function show(
    request: PlainRequest,
    caller: Visitor,
    asked: Pick<InvitationsView, "after" | "draft" | "draftProblem" | "problem" | "done"> & {
      readonly id: string;
    },
    error?: DomainError,
  ): Promise<PlainResponse> {
    const standing = await members.getStanding(caller, asked.id);
    const org = standing.organization.id;
    const page = { size: defaultPageSize, token: asked.after };
    const listed = await invitations.list(caller, { org }, page);
    const choice = await projects.list(caller, org, { size: shownProjects, token: "" });
    const forms = openForms(request, browsers);
    return render({
      refusal: error && toRefusal(error, request),
      title: "Invitations",
      width: "wide",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toInvitationsBody({
        ...asked,
        forms,
        standing,
        invitations: listed,
        projects: choice.items,
        now: clock.now(),
      }),
    });
  }

  async function get(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const { query } = request;
    return await show(request, caller, {
      id: readField(query, "id"),
      after: readField(query, "after"),
      draft: emptyDraft,
      problem: findText(problems, readField(query, "problem")),
      done: findText(doneTexts, readField(query, "done")),
    });
  }

  async function invite(
    request: PlainRequest,
    caller: Visitor,
    form: URLSearchParams,
  ): Promise<PlainResponse> {
    const id = readField(form, "id");
    const draft = {
      emails: readField(form, "emails"),
      role: readRole(form),
      projects: form.getAll("project").slice(0, shownProjects),
    };
    try {
      const emails = readAddresses(draft.emails);
      await invitations.create(caller, { org: id, emails, role: draft.role, projects: draft.projects });
      return redirect(toInvitationsPath(id, { done: "invited" }));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const draftProblem = findText(draftProblems, error.reason);
      if (draftProblem === undefined && !Object.hasOwn(problems, error.reason)) throw error;
      noteRefusal(request, error);
      if (draftProblem === undefined) return redirect(toInvitationsPath(id, { problem: error.reason }));
      return await show(request, caller, { id, after: "", draft, draftProblem }, error);
    }
  }

  /** A form about one invitation. */
  function form(
    path: string,
    done: string,
    work: (caller: Visitor, ref: { org: string; id: string }) => Promise<unknown>,
  ) {
    return visitors.form(path, {
      act: async (caller, fields) => {
        const org = readField(fields, "id");
        await work(caller, { org, id: readField(fields, "invitation") });
        return toInvitationsPath(org, { done });
      },
      back: (fields, problem) => toInvitationsPath(readField(fields, "id"), problem),
      problems,
    });
  }

  return [
    visitors.page(organizationPaths.invitations, get),
    visitors.post(organizationPaths.invite, invite),
    form(organizationPaths.renew, "renewed", (caller, ref) => invitations.renew(caller, ref)),
    form(organizationPaths.withdraw, "withdrawn", (caller, ref) => invitations.withdraw(caller, ref)),
  ];
}

function toInvitationsPath(id: string, about: Readonly<Record<string, string>>): string {
  return toPath(organizationPaths.invitations, { id, ...about });
}

/** The addresses in a field, as a browser joins them. @throws DomainError INVALID_EMAIL, also where there are too many */
function readAddresses(text: string): readonly string[] {
  const emails = text.split(/[\s,;]+/).filter((each) => each !== "");
  if (emails.length === 0) throw new DomainError("INVALID_EMAIL");
  if (emails.length > mostAddresses) throw new DomainError("INVALID_EMAIL", { detail: "too many addresses" });
  return emails;
}
