/** What people and their organizations are called, as they say it themselves: forms of other pages. */
import { readField } from "../html/forms.ts";
import type { FunctionRoute } from "../http/plain-route.ts";
import { toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import { isTitle } from "../lib/title.ts";
import type { OrganizationService } from "../organizations/service.ts";
import type { UserService } from "../users/service.ts";
import { accountPaths } from "./account-view.ts";
import { toOrganizationPath } from "./organizations-view.ts";
import { titlePaths } from "./titles-view.ts";
import type { Visitors } from "./visitors.ts";

/** Parts that these forms stand on. */
export interface TitlePagesOptions {
  readonly profiles: Pick<UserService, "updateOwn">;
  readonly organizations: Pick<OrganizationService, "update">;
  readonly visitors: Visitors;
}

/** How the pages that have the forms say that a title is none. */
export const titleProblems: Readonly<Record<string, string>> = {
  BAD_TITLE: "That is no name. It may have 200 characters, and none that cannot be seen or turn the writing.",
};

/** Builds the routes of the forms. */
export function createTitlePages({
  profiles,
  organizations,
  visitors,
}: TitlePagesOptions): readonly FunctionRoute[] {
  const refused = { problem: "BAD_TITLE" };
  const problems = { INVALID_REQUEST: "" };
  return [
    visitors.form(titlePaths.person, {
      act: async (caller, form) => {
        await profiles.updateOwn(caller, { title: readTitle(form) });
        return toPath(accountPaths.account, { done: "title" });
      },
      back: () => toPath(accountPaths.account, refused),
      problems,
    }),
    visitors.form(titlePaths.organization, {
      act: async (caller, form) => {
        const id = readField(form, "id");
        await organizations.update(caller, id, { title: readTitle(form) });
        return toOrganizationPath(id, { done: "title" });
      },
      back: (form) => toOrganizationPath(readField(form, "id"), refused),
      problems,
    }),
  ];
}

/** A title as its owner typed it. @throws DomainError INVALID_REQUEST */
function readTitle(form: URLSearchParams): string {
  const title = readField(form, "title").trim();
  if (!isTitle(title)) throw new DomainError("INVALID_REQUEST", { detail: "title" });
  return title;
}
