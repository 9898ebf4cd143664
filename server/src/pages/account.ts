/**
 * `/account`: what opens a person's account, and where it is open.
 *
 * For people in their own session alone. Each action is a form of its own;
 * what came of it is said on the page that follows, so that reloading repeats
 * nothing.
 */
import type { BrowserSignIn, Browsers } from "../auth/browser-sign-in.ts";
import { registrationWindowSeconds } from "../auth/strategies/passkey.ts";
import { findVisitor } from "../auth/visitor.ts";
import { openForms, readField, readForm } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { maxPasskeyName } from "../passkeys/passkey.ts";
import type { PasskeyService } from "../passkeys/service.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import type { SessionService } from "../sessions/service.ts";
import type { Session } from "../sessions/session.ts";
import type { IdentityService } from "../users/identity-service.ts";
import { accountPaths, toAccountBody, toSignOutForm } from "./account-view.ts";
import { loginPaths } from "./login-view.ts";
import type { Offers } from "./offers.ts";
import { explain } from "./texts.ts";

/** Parts that the page of one's own account stands on. */
export interface AccountPagesOptions {
  readonly render: RenderPage;
  readonly offers: Pick<Offers, "mailCode">;
  readonly browserSignIn: Pick<BrowserSignIn, "signOut" | "toClearCookies">;
  readonly authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">;
  readonly sessions: Pick<SessionService, "list" | "revoke" | "revokeAll">;
  /** Absent where passkeys are not offered. */
  readonly passkeys: Pick<PasskeyService, "list" | "rename" | "delete"> | undefined;
  readonly identities: Pick<IdentityService, "list" | "unlink">;
  readonly clock: Clock;
  readonly publicUrl: string;
  readonly browsers: Browsers;
}

/** Someone in their own session, and the request they make. */
type Visitor = Caller & { readonly principal: UserPrincipal };

/** What the page says of what has just been done; the query only names it. */
const doneTexts: Readonly<Record<string, string>> = {
  ended: "That session is signed out.",
  others: "All other sessions are signed out.",
  renamed: "The passkey has its new name.",
  removed: "The passkey is removed. We have told you by mail, too.",
  unlinked: "That account does not sign you in here any more. We have told you by mail, too.",
  added: "The passkey is added. Next time it signs you in. We have told you by mail, too.",
};

/** What an action of a form ends with: the name of what was done. */
type Action = (caller: Visitor, form: URLSearchParams) => Promise<keyof typeof doneTexts>;

/** Builds the routes of the account page and its forms. */
export function createAccountPages(options: AccountPagesOptions): readonly FunctionRoute[] {
  const {
    render,
    offers,
    browserSignIn,
    authenticator,
    sessions,
    passkeys,
    identities,
    clock,
    publicUrl,
    browsers,
  } = options;

  function isYoung(session: Session | undefined): boolean {
    const ageMs = clock.now().getTime() - (session?.createdAt.getTime() ?? 0);
    return ageMs <= registrationWindowSeconds * 1000;
  }

  async function show(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    const { email, emailProven, sessionId } = caller.principal;
    const [open, keys, linked] = await Promise.all([
      sessions.list(caller),
      passkeys?.list(caller),
      identities.list(caller),
    ]);
    const forms = openForms(request, browsers);
    const current = open.find((session) => session.id === sessionId);
    return render({
      title: "Your account",
      width: "wide",
      usesPasskeys: keys !== undefined,
      aside: toSignOutForm(forms),
      setCookies: forms.setCookies,
      body: toAccountBody({
        forms,
        email,
        mayProve: !emailProven && offers.mailCode,
        currentSessionId: sessionId,
        sessions: open,
        passkeys: keys,
        mayAddPasskey: isYoung(current),
        identities: linked,
        now: clock.now(),
        done: doneTexts[readField(request.query, "done")],
        problem: problemTexts[readField(request.query, "problem")],
      }),
    });
  }

  async function findCaller(request: PlainRequest): Promise<Visitor | undefined> {
    const principal = await findVisitor(authenticator, request);
    return principal && { principal, request: request.info };
  }

  async function get(request: PlainRequest): Promise<PlainResponse> {
    const caller = await findCaller(request);
    return caller === undefined ? redirect(loginPaths.login) : await show(request, caller);
  }

  /** A form's route: does it, and goes back to the page. */
  function act(path: string, action: Action): FunctionRoute {
    async function handle(request: PlainRequest): Promise<PlainResponse> {
      const form = readForm(request, publicUrl, browsers);
      const caller = await findCaller(request);
      if (caller === undefined) return redirect(loginPaths.login);
      try {
        const done = await action(caller, form);
        return redirect(toPath(accountPaths.account, { done: String(done) }));
      } catch (error) {
        if (!(error instanceof DomainError) || !(error.reason in problemTexts)) throw error;
        request.info.outcome.reason = error.reason;
        return redirect(toPath(accountPaths.account, { problem: error.reason }));
      }
    }
    return { method: "POST", path, handle };
  }

  async function signOut(request: PlainRequest): Promise<PlainResponse> {
    readForm(request, publicUrl, browsers);
    const principal = await findVisitor(authenticator, request);
    const { setCookies } = await browserSignIn.signOut({ ...request, principal });
    return redirect(toPath(loginPaths.login, { done: "signed-out" }), setCookies);
  }

  async function revokeAll(request: PlainRequest): Promise<PlainResponse> {
    readForm(request, publicUrl, browsers);
    const caller = await findCaller(request);
    if (caller !== undefined) await sessions.revokeAll(caller, false);
    return redirect(toPath(loginPaths.login, { done: "everywhere" }), browserSignIn.toClearCookies());
  }

  const routes: FunctionRoute[] = [
    { method: "GET", path: accountPaths.account, handle: get },
    { method: "POST", path: accountPaths.signOut, handle: signOut },
    { method: "POST", path: accountPaths.revokeAll, handle: revokeAll },
    act(accountPaths.revokeSession, async (caller, form) => {
      await sessions.revoke(caller, readField(form, "id"));
      return "ended";
    }),
    act(accountPaths.revokeOthers, async (caller) => {
      await sessions.revokeAll(caller, true);
      return "others";
    }),
    act(accountPaths.unlinkIdentity, async (caller, form) => {
      await identities.unlink(caller, {
        issuer: readField(form, "issuer"),
        subject: readField(form, "subject"),
      });
      return "unlinked";
    }),
  ];
  if (passkeys === undefined) return routes;
  return [
    ...routes,
    act(accountPaths.renamePasskey, async (caller, form) => {
      await passkeys.rename(caller, readField(form, "id"), readName(form));
      return "renamed";
    }),
    act(accountPaths.removePasskey, async (caller, form) => {
      await passkeys.delete(caller, readField(form, "id"));
      return "removed";
    }),
  ];
}

/** Refusals that are said on the account page itself. */
const problemTexts: Readonly<Record<string, string>> = Object.fromEntries(
  (["SESSION_NOT_FOUND", "PASSKEY_NOT_FOUND", "IDENTITY_NOT_FOUND", "LAST_WAY_IN"] as const).map((reason) => {
    const { title, text } = explain(new DomainError(reason));
    return [reason, `${title}. ${text}`];
  }),
);

/** A passkey's name as its owner typed it. @throws DomainError INVALID_REQUEST */
function readName(form: URLSearchParams): string {
  const name = readField(form, "name").trim();
  const isGood = name !== "" && [...name].length <= maxPasskeyName && !/\p{Cc}/u.test(name);
  if (!isGood) throw new DomainError("INVALID_REQUEST", { detail: "name of a passkey" });
  return name;
}
