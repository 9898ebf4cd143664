/** `/account/organizations`: all organizations of a person, and the form for a new one. */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { openForms, readField } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { defaultPageSize } from "../lib/page-token.ts";
import { isTitle } from "../lib/title.ts";
import type { MemberService } from "../organizations/member-service.ts";
import { organizationNamePattern } from "../organizations/organization.ts";
import type { OrganizationService } from "../organizations/service.ts";
import { toSignOutForm } from "./account-view.ts";
import {
  type NewOrganizationView,
  organizationPaths,
  toNewOrganizationBody,
  toOrganizationPath,
  toOrganizationsBody,
} from "./organizations-view.ts";
import { toProblemTexts, toRefusal } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that these pages stand on. */
export interface OrganizationPagesOptions {
  readonly render: RenderPage;
  readonly organizations: Pick<OrganizationService, "create" | "mayCreate">;
  readonly members: Pick<MemberService, "listOwn">;
  readonly visitors: Visitors;
  readonly browsers: Browsers;
}

/** Refusals that are said above the form, which keeps what was typed. */
const problems: Readonly<Record<string, string>> = {
  ...toProblemTexts(["NAME_TAKEN", "TOO_MANY_ORGANIZATIONS", "ADDRESS_UNPROVEN"]),
  INVALID_REQUEST: "That is no short name. See below what it is made of.",
};

/** Builds the routes of the list and of the form. */
export function createOrganizationPages(options: OrganizationPagesOptions): readonly FunctionRoute[] {
  const { render, organizations, members, visitors, browsers } = options;

  async function list(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const after = readField(request.query, "after");
    const own = await members.listOwn(caller, { size: defaultPageSize, token: after });
    const forms = openForms(request, browsers);
    return render({
      title: "Your organizations",
      width: "wide",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toOrganizationsBody(own, after, organizations.mayCreate(caller.principal)),
    });
  }

  function showForm(
    request: PlainRequest,
    { principal }: Visitor,
    typed: Pick<NewOrganizationView, "name" | "title" | "problem">,
    error?: DomainError,
  ): PlainResponse {
    const forms = openForms(request, browsers);
    return render({
      refusal: error && toRefusal(error, request),
      title: "New organization",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toNewOrganizationBody({
        ...typed,
        forms,
        mayCreate: organizations.mayCreate(principal),
        isProven: principal.emailProven,
      }),
    });
  }

  async function create(
    request: PlainRequest,
    caller: Visitor,
    form: URLSearchParams,
  ): Promise<PlainResponse> {
    const typed = { name: readField(form, "name").trim(), title: readField(form, "title").trim() };
    try {
      checkDraft(typed);
      const { id } = await organizations.create(caller, { ...typed, metadata: {}, avatar: "" });
      return redirect(toOrganizationPath(id, { done: "created" }));
    } catch (error) {
      const problem = error instanceof DomainError ? problems[error.reason] : undefined;
      if (!(error instanceof DomainError) || problem === undefined) throw error;
      noteRefusal(request, error);
      return showForm(request, caller, { ...typed, problem }, error);
    }
  }

  return [
    visitors.page(organizationPaths.list, list),
    visitors.page(organizationPaths.create, async (request, caller) =>
      showForm(request, caller, { name: "", title: "" }),
    ),
    visitors.post(organizationPaths.create, create),
  ];
}

const namePattern = new RegExp(`^${organizationNamePattern}$`);

/** What the schema asks of an organization. @throws DomainError INVALID_REQUEST */
export function checkDraft({ name, title }: { readonly name: string; readonly title: string }): void {
  const isGood = namePattern.test(name) && !isUuid(name) && isTitle(title);
  if (!isGood) throw new DomainError("INVALID_REQUEST", { detail: "name or title of an organization" });
}
