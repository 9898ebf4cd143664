import { describe, expect, it } from "vitest";
import { createBrowsers } from "../auth/browser-sign-in.ts";
import type { CallbackResult } from "../auth/callback-routes.ts";
import { openForms } from "../html/forms.ts";
import { createRenderPage } from "../html/frame.ts";
import { toMessageBody } from "../html/message.ts";
import { navigate } from "../html/navigation.ts";
import type { PlainRequest } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import type { Invitation } from "../organizations/invitation.ts";
import type { Organization } from "../organizations/organization.ts";
import type { Passkey } from "../passkeys/passkey.ts";
import type { PersonalToken } from "../personal-tokens/personal-token.ts";
import type { Session } from "../sessions/session.ts";
import { type AccountView, toAccountBody } from "./account-view.ts";
import { createRenderResult } from "./callback.ts";
import {
  toAnswerBody,
  toExpiredText,
  toInvitedBody,
  toNoneForYouBody,
  toProveFirstBody,
  toSomebodyElsesBody,
} from "./invitation-view.ts";
import { toInvitationsBody } from "./invitations-view.ts";
import { toLoginBody } from "./login-view.ts";
import { toOrganizationBody } from "./organization-view.ts";
import { toNewOrganizationBody, toOrganizationsBody } from "./organizations-view.ts";
import {
  type NewPersonalTokenView,
  toMadeTokenBody,
  toNewPersonalTokenBody,
  toPersonalTokensBody,
} from "./personal-tokens-view.ts";

const request: PlainRequest = {
  method: "GET",
  path: "/login",
  query: new URLSearchParams(),
  header: new Headers({ cookie: `vestibule_browser=${Buffer.alloc(32, 7).toString("base64url")}` }),
  body: new Uint8Array(),
  info: { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} },
};
const forms = openForms(request, createBrowsers({ secure: false, crossSite: false }));
const now = new Date("2026-11-22T12:00:00Z");

function organizationOf(text: string): Organization {
  return {
    id: text,
    name: text,
    title: text,
    metadata: {},
    avatar: text,
    state: "enabled",
    createdAt: now,
    updatedAt: now,
  };
}

function invitationOf(text: string): Invitation {
  const { id, name, title, state } = organizationOf(text);
  return {
    id: text,
    orgId: text,
    organization: { id, name, title, state },
    email: text,
    role: "owner",
    projectIds: [text],
    invitedBy: { type: "user", id: text, name: text },
    createdAt: now,
    expiresAt: new Date(now.getTime() + 1000),
  };
}

/** An account whose every text is the same one. */
function accountOf(text: string): AccountView {
  const device = {
    operatingSystem: text,
    browser: text,
    ipAddress: text,
    city: text,
    country: text,
    latitude: text,
    longitude: text,
  };
  const session: Session = {
    id: text,
    userId: text,
    device,
    createdAt: now,
    authenticatedAt: now,
    updatedAt: now,
    expiresAt: now,
  };
  const passkey: Passkey = {
    id: text,
    userId: text,
    credentialId: text,
    publicKey: new Uint8Array(),
    counter: 0,
    transports: [text],
    isSynced: false,
    isBackedUp: false,
    name: text,
    createdAt: now,
  };
  return {
    forms,
    email: text,
    title: text,
    mayProve: true,
    currentSessionId: "another",
    sessions: [session],
    apps: [
      {
        id: text,
        frontdoorId: text,
        frontendId: text,
        host: text,
        providerId: text,
        providerRevision: 1,
        subject: text,
        parentId: text,
        isRenewable: false,
        device,
        createdAt: now,
        lastUsedAt: now,
        expiresAt: now,
      },
    ],
    passkeys: [passkey],
    isRecent: true,
    mayChangeEmail: true,
    invitations: [invitationOf(text)],
    mayCreateOrganization: true,
    memberships: {
      items: [{ organization: organizationOf(text), role: "owner", createdAt: now }],
      nextPageToken: text,
    },
    identities: [
      {
        issuer: text,
        subject: text,
        userId: text,
        strategy: text,
        email: text,
        gaveEmail: true,
        createdAt: now,
      },
    ],
    now,
    problem: text,
    done: text,
  };
}

function personalTokenOf(text: string): PersonalToken {
  return {
    id: text,
    userId: text,
    orgId: text,
    title: text,
    scope: { role: "viewer" },
    metadata: {},
    createdAt: now,
    updatedAt: now,
    expiresAt: now,
  };
}

function newTokenOf(text: string): NewPersonalTokenView {
  return {
    forms,
    isProven: true,
    isRecent: true,
    memberships: accountOf(text).memberships.items,
    validities: [3600],
    draft: { title: text, orgId: "", role: "viewer", validitySeconds: 3600 },
    problem: text,
  };
}

const render = createRenderPage("Site");
const browsers = createBrowsers({ secure: false, crossSite: false });
const toResult = createRenderResult(render, browsers);
const renderResult = (result: CallbackResult) =>
  toResult(result, { header: new Headers(), info: request.info });

/** Every page that shows what came from outside, with one text in all places. */
const pages: readonly (readonly [name: string, page: (text: string) => string])[] = [
  ["account", (text) => toAccountBody(accountOf(text)).toString()],
  [
    "organizations",
    (text) => {
      const { memberships } = accountOf(text);
      return `${toOrganizationsBody(memberships, text, true)}${toNewOrganizationBody({ forms, mayCreate: true, isProven: true, name: text, title: text, problem: text })}`;
    },
  ],
  [
    "organization",
    (text) => {
      const member = {
        userId: text,
        email: text,
        emailVerified: false,
        title: text,
        role: "owner",
        createdAt: now,
      } as const;
      const other = { ...member, userId: "other" };
      const standing = { organization: organizationOf(text), role: "owner", member } as const;
      const members = { items: [member, other], nextPageToken: text };
      const view = { forms, standing, members, after: text, problem: text, done: text };
      return toOrganizationBody(view).toString();
    },
  ],
  [
    "personal tokens",
    (text) => {
      const token = personalTokenOf(text);
      const tokens = { items: [token], nextPageToken: text };
      const { items: memberships } = accountOf(text).memberships;
      const told = { problem: text, done: text };
      return [
        toPersonalTokensBody({ forms, tokens, after: text, memberships, now, ...told }),
        toPersonalTokensBody({ forms, tokens, after: text, memberships: [], now, ...told }),
        toNewPersonalTokenBody(newTokenOf(text)),
        toMadeTokenBody(token, text),
      ].join("");
    },
  ],
  [
    "invitations",
    (text) => {
      const standing = { organization: organizationOf(text), role: "owner", member: undefined } as const;
      const project = { ...organizationOf(text), orgId: text, membersCount: 0 };
      return toInvitationsBody({
        forms,
        standing,
        invitations: { items: [invitationOf(text)], nextPageToken: text },
        after: text,
        projects: [project],
        draft: { emails: text, role: "viewer", projects: [text] },
        draftProblem: text,
        now,
        problem: text,
        done: text,
      }).toString();
    },
  ],
  [
    "invitation",
    (text) => {
      const invitation = invitationOf(text);
      const offers = { mailCode: true, mailLink: false, isMailClosed: false, passkey: true, providers: [] };
      const next = { href: text, label: text };
      return [
        toInvitedBody(invitation, { offers, forms, returnTo: text }),
        toAnswerBody(invitation, forms),
        toProveFirstBody(invitation, { forms, mayProve: true, returnTo: text }),
        toNoneForYouBody({ forms, email: text, mayProve: true, returnTo: text }),
        toSomebodyElsesBody(invitation, text, text),
        toMessageBody(toExpiredText(invitation), next),
      ].join("");
    },
  ],
  [
    "login",
    (text) => {
      const offers = {
        mailCode: true,
        mailLink: true,
        isMailClosed: false,
        passkey: true,
        providers: [{ name: text, label: text }],
      };
      const view = { offers, forms, returnTo: text, email: text, again: text };
      return toLoginBody({ ...view, problem: text, done: text }).toString();
    },
  ],
  [
    "confirm",
    (text) => {
      const form = { state: text, formToken: text, email: text };
      return String(renderResult({ kind: "confirm", form, code: text }).body);
    },
  ],
  [
    "take-over",
    (text) => {
      const form = { state: text, formToken: text, email: text };
      const asked = { code: text, waysToKeep: [text, "passkey"], returnTo: text };
      return String(renderResult({ kind: "take_over", form, ...asked }).body);
    },
  ],
  [
    "leave",
    (text) =>
      String(
        navigate(render, `https://app.example/?q=${encodeURIComponent(text)}'`, "https://id.example").body,
      ),
  ],
  [
    "frame",
    (text) => createRenderPage(text)({ title: text, body: toLoginBodyOf(text), setCookies: [] }).body ?? "",
  ],
];

function toLoginBodyOf(text: string) {
  const offers = { mailCode: true, mailLink: false, isMailClosed: false, passkey: false, providers: [] };
  return toLoginBody({ offers, forms, returnTo: "", problem: text });
}

/** Its tags and the names of their attributes, without any text. */
function toSkeleton(markup: string): string[] {
  return (markup.match(/<[^>]*>/g) ?? []).map((tag) => tag.replace(/"[^"]*"/g, '""'));
}

describe.each(pages)("the %s page", (_, page) => {
  it.each([
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" autofocus onfocus="alert(1)',
    "</title></style></script><svg/onload=alert(1)>",
    "{{.Otp}}<!--",
    "`-alert(1)-`",
  ])("is built the same around %j", (hostile) => {
    const markup = page(hostile);
    expect(toSkeleton(markup)).toEqual(toSkeleton(page("harmless")));
    expect(markup).not.toContain(hostile);
  });
});

describe("the account page", () => {
  const visible = (view: Partial<AccountView>) => toAccountBody({ ...accountOf("x"), ...view }).toString();

  it("offers to add a passkey to those who have just signed in, and to others to sign in again", () => {
    expect(visible({})).toMatch(/<button type="button">Add a passkey[\s\S]*<div class="again" hidden>/);
    expect(visible({ isRecent: false })).toMatch(
      /<button type="button" hidden>Add a passkey[\s\S]*<div class="again">[\s\S]*href="\/login\?again=1"/,
    );
  });

  it("offers a code to those whose address nobody has proven", () => {
    expect(visible({})).toMatch(/action="\/login\/mail"[\s\S]*name="email" value="x"[\s\S]*value="mailotp"/);
    expect(visible({ mayProve: false })).not.toContain("Confirm your address");
  });

  it("offers none where there are as many as there may be, and no section where there are none at all", () => {
    const [passkey] = accountOf("x").passkeys ?? [];
    const many = Array.from({ length: 20 }, () => passkey as Passkey);
    expect(visible({ passkeys: many })).not.toContain("Add a passkey");
    expect(visible({ passkeys: many.slice(1) })).toContain("Add a passkey");
    expect(visible({ passkeys: undefined })).not.toContain("Passkeys");
  });

  it("marks this browser, and lets only the others be ended one by one", () => {
    expect(visible({ currentSessionId: "x" })).not.toMatch(/sessions\/end"|end-others/);
    expect(visible({ currentSessionId: "x" })).toContain("This browser");
    expect(visible({})).toMatch(/sessions\/end"[\s\S]*end-others/);
    expect(visible({})).not.toContain("This browser");
  });
});

it("the form for a token is for those who may make one, and offers no role above all of theirs", () => {
  const shown = (view: Partial<NewPersonalTokenView>) =>
    toNewPersonalTokenBody({ ...newTokenOf("x"), ...view }).toString();
  expect(shown({})).toMatch(/value="owner"[\s\S]*value="3600" selected>1 hour</);
  const memberships = newTokenOf("x").memberships.map((each) => ({ ...each, role: "viewer" as const }));
  expect(shown({ memberships })).not.toMatch(/value="(manager|owner)"/);
  const reasons = [
    [{ isProven: false }, "Confirm your address first"],
    [{ memberships: [] }, "you are a member of none that is enabled"],
    [{ isRecent: false }, 'href="/login?again=1"'],
  ] as const;
  for (const [view, text] of reasons) {
    expect(shown(view)).toContain(text);
    expect(shown(view)).not.toContain("<form");
  }
});

it.each<CallbackResult>([
  { kind: "denied", returnTo: undefined },
  { kind: "refused", error: new DomainError("INVALID_FLOW") },
])("a callback that comes to nothing names its request: $kind", (result) => {
  expect(renderResult(result).body).toContain("Request <code>r</code>");
});

it("draws one page at a time with a nonce of its own, under a policy that lets nothing else in", () => {
  const [one, two] = [0, 1].map(() => render({ title: "T", body: toLoginBodyOf("x"), usesPasskeys: true }));
  const policy = String(one?.headers?.["content-security-policy"]);
  expect(policy.replace(/nonce-[\w-]{22}/g, "nonce-N").split("; ")).toEqual([
    "default-src 'none'",
    "style-src 'nonce-N'",
    "img-src 'self'",
    "script-src 'nonce-N'",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]);
  expect(two?.headers?.["content-security-policy"]).not.toBe(policy);
  const [, nonce = "none"] = /script-src 'nonce-([\w-]+)'/.exec(policy) ?? [];
  expect(one?.body?.match(new RegExp(`nonce="${nonce}"`, "g"))).toHaveLength(2);
  const plain = String(render({ title: "T", body: toLoginBodyOf("x") }).headers?.["content-security-policy"]);
  expect(plain).not.toMatch(/script-src|connect-src/);
});
