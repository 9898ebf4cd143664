/**
 * `/account/tokens`: a person's personal access tokens, and the form for a new
 * one. The page that answers the form has the secret, this once: it is kept
 * nowhere, not in an address either, and the same form sent again makes nothing,
 * for its title is taken then.
 */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { openForms, readField } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { toPath } from "../http/redirect.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { defaultPageSize } from "../lib/page-token.ts";
import type { MemberService } from "../organizations/member-service.ts";
import type { Membership } from "../organizations/organization.ts";
import { toScopeEntries } from "../personal-tokens/scope.ts";
import type { PersonalTokenService } from "../personal-tokens/service.ts";
import type { SessionService } from "../sessions/service.ts";
import { isRecentSignIn } from "../sessions/session.ts";
import { toSignOutForm } from "./account-view.ts";
import { readRole } from "./organization.ts";
import {
  type PersonalTokenDraft,
  personalTokenPaths,
  toMadeTokenBody,
  toNewPersonalTokenBody,
  toPersonalTokensBody,
} from "./personal-tokens-view.ts";
import { findText, toProblemTexts, toRefusal } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that these pages stand on. */
export interface PersonalTokenPagesOptions {
  readonly render: RenderPage;
  readonly personalTokens: Pick<
    PersonalTokenService,
    "listOwn" | "create" | "delete" | "longestValiditySeconds"
  >;
  readonly members: Pick<MemberService, "listOwn">;
  readonly sessions: Pick<SessionService, "list">;
  readonly visitors: Visitors;
  readonly clock: Clock;
  readonly browsers: Browsers;
}

/** What the list says of what has just been done; the query only names it. */
const doneTexts: Readonly<Record<string, string>> = {
  deleted: "The token is deleted. Nothing comes in by it any more.",
};

/** Refusals that are said above the list. */
const listProblems = toProblemTexts(["PAT_NOT_FOUND"]);

/** Refusals that are said above the form, which keeps what was typed. */
const formProblems: Readonly<Record<string, string>> = {
  ...toProblemTexts([
    "PAT_TITLE_TAKEN",
    "TOO_MANY_PATS",
    "ADDRESS_UNPROVEN",
    "REAUTH_REQUIRED",
    "ORGANIZATION_DISABLED",
  ]),
  NOT_AUTHORIZED: "You are no member of that organization any more. Nothing was made.",
};

/** What is wrong with what was typed, by the field of the schema. */
const fieldProblems: Readonly<Record<string, string>> = {
  title: "That is no title. It has one line of 50 characters at most, with single spaces between.",
  scopes: "Nothing was made: your own role in that organization is not as high. Choose a lower one.",
};

const daySeconds = 86_400;

/** How long a token may live, by choice. */
const offeredSeconds = [1, 7, 30, 90, 180, 365].map((days) => days * daySeconds);

/** How many organizations are offered to choose from. */
const mostListed = 1000;

/** Builds the routes of the list and of the form. */
export function createPersonalTokenPages(options: PersonalTokenPagesOptions): readonly FunctionRoute[] {
  const { render, personalTokens, members, sessions, visitors, clock, browsers } = options;
  const listValidities = () => toValidities(personalTokens.longestValiditySeconds);

  async function listMemberships(caller: Visitor): Promise<readonly Membership[]> {
    return (await members.listOwn(caller, { size: mostListed, token: "" })).items;
  }

  async function list(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const { query } = request;
    const after = readField(query, "after");
    const tokens = await personalTokens.listOwn(caller, { size: defaultPageSize, token: after });
    const memberships = await listMemberships(caller);
    const forms = openForms(request, browsers);
    return render({
      title: "Personal access tokens",
      width: "wide",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toPersonalTokensBody({
        forms,
        tokens,
        after,
        memberships,
        now: clock.now(),
        done: findText(doneTexts, readField(query, "done")),
        problem: findText(listProblems, readField(query, "problem")),
      }),
    });
  }

  async function isRecent(caller: Visitor): Promise<boolean> {
    const open = await sessions.list(caller);
    const current = open.find(({ id }) => id === caller.principal.sessionId);
    return current !== undefined && isRecentSignIn(current.authenticatedAt, clock.now());
  }

  async function showForm(
    request: PlainRequest,
    caller: Visitor,
    draft: PersonalTokenDraft,
    refused?: { readonly error: DomainError; readonly problem: string },
  ): Promise<PlainResponse> {
    const memberships = await listMemberships(caller);
    const forms = openForms(request, browsers);
    return render({
      refusal: refused && toRefusal(refused.error, request),
      title: "New token",
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toNewPersonalTokenBody({
        forms,
        isProven: caller.principal.emailProven,
        isRecent: await isRecent(caller),
        memberships: memberships.filter(({ organization }) => organization.state === "enabled"),
        validities: listValidities(),
        draft,
        problem: refused?.problem,
      }),
    });
  }

  async function make(request: PlainRequest, caller: Visitor, form: URLSearchParams): Promise<PlainResponse> {
    const draft = readDraft(form, listValidities());
    const { title, orgId, role, validitySeconds } = draft;
    try {
      const { token, secret } = await personalTokens.create(caller, {
        title,
        orgId,
        // As its owner by that role: it sees the projects that they see.
        scopes: toScopeEntries({ role, projects: { role: "viewer", ids: [] } }),
        metadata: {},
        expiresAt: new Date(clock.now().getTime() + validitySeconds * 1000),
      });
      const forms = openForms(request, browsers);
      return render({
        title: "Your new token",
        aside: toSignOutForm(forms),
        setCookies: forms.setCookies,
        body: toMadeTokenBody(token, secret),
      });
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const problem = findProblem(error);
      if (problem === undefined) throw error;
      noteRefusal(request, error);
      return await showForm(request, caller, draft, { error, problem });
    }
  }

  return [
    visitors.page(personalTokenPaths.list, list),
    visitors.page(personalTokenPaths.create, async (request, caller) => {
      const preferred = listValidities().findLast((seconds) => seconds <= 30 * daySeconds) ?? 0;
      return await showForm(request, caller, {
        title: "",
        orgId: "",
        role: "viewer",
        validitySeconds: preferred,
      });
    }),
    visitors.post(personalTokenPaths.create, make),
    visitors.form(personalTokenPaths.remove, {
      act: async (caller, form) => {
        await personalTokens.delete(caller, readField(form, "id"));
        return toPath(personalTokenPaths.list, { done: "deleted" });
      },
      back: (_, problem) => toPath(personalTokenPaths.list, problem),
      problems: listProblems,
    }),
  ];
}

/** Those that are short enough; where none is, the longest there may be. */
function toValidities(longestSeconds: number): readonly number[] {
  const short = offeredSeconds.filter((seconds) => seconds <= longestSeconds);
  return short.length > 0 ? short : [longestSeconds];
}

/** What a form asks for. @throws DomainError INVALID_REQUEST for what no form of ours sends */
function readDraft(form: URLSearchParams, validities: readonly number[]): PersonalTokenDraft {
  const orgId = readField(form, "org");
  const asked = readField(form, "validity");
  const validitySeconds = validities.find((seconds) => String(seconds) === asked);
  if (validitySeconds === undefined || !isUuid(orgId)) {
    throw new DomainError("INVALID_REQUEST", { detail: "validity or organization of a token" });
  }
  return { title: readField(form, "title").trim(), orgId, role: readRole(form), validitySeconds };
}

function findProblem({ reason, violations: [first] }: DomainError): string | undefined {
  if (reason !== "INVALID_REQUEST") return findText(formProblems, reason);
  return first && findText(fieldProblems, first.field);
}
