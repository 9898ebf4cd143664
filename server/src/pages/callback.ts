/** The pages of `/auth/callback`. */
import type { Browsers } from "../auth/browser-sign-in.ts";
import { type CallbackForm, type CallbackResult, callbackPath } from "../auth/callback-routes.ts";
import { openForms } from "../html/forms.ts";
import type { RenderPage } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toMessageBody } from "../html/message.ts";
import type { PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import { toCheckMailPath } from "./check-mail.ts";
import { loginPaths } from "./login-view.ts";
import { toOtherBrowserBody } from "./message-view.ts";
import { toTakeOverBody } from "./take-over-view.ts";
import { explain, toRefusal } from "./texts.ts";

/** Draws the results of `/auth/callback`; a code is typed on the page that is for that. */
export function createRenderResult(
  render: RenderPage,
  browsers: Browsers,
): (result: CallbackResult, request: Pick<PlainRequest, "header" | "info">) => PlainResponse {
  return (result, request) => {
    const { header, info } = request;
    switch (result.kind) {
      case "confirm":
        return render({ title: "Sign in", body: toConfirmBody(result.form, result.code) });
      case "take_over": {
        const { form, code, waysToKeep, returnTo } = result;
        const forms = openForms({ method: "POST", header }, browsers);
        const fields = toFields(form, code);
        const view = { email: form.email, waysToKeep, returnTo, forms, action: callbackPath, fields };
        const { setCookies } = forms;
        return render({ title: "Is this account yours?", setCookies, body: toTakeOverBody(view) });
      }
      case "link_required":
        return redirect(toCheckMailPath(result.form.state, { joins: true }));
      case "other_browser":
        return render({ title: "Sign in", body: toOtherBrowserBody() });
      case "denied": {
        const anew = { ...again, href: toPath(loginPaths.login, { return_to: result.returnTo }) };
        return render({
          refusal: { status: 403, requestId: info.requestId },
          title: "Not signed in",
          body: toMessageBody(notSignedIn, anew),
        });
      }
      case "refused": {
        if (result.form) return redirect(toCheckMailPath(result.form.state, { wrong: true }));
        const told = explain(result.error);
        const isHopeless = told.mayTryAgain === false;
        const body = toMessageBody(told, isHopeless ? { ...again, label: "Sign in another way" } : again);
        return render({ refusal: toRefusal(result.error, request), title: told.title, body });
      }
    }
  };
}

const again = { href: loginPaths.login, label: "Start again" };

const notSignedIn = {
  title: "You are not signed in",
  text: "The sign-in was not completed at the provider. Nothing has changed: try again, or choose another way.",
};

function toFields({ state, formToken }: CallbackForm, code: string): Html {
  return html`<input type="hidden" name="state" value="${state}">
<input type="hidden" name="token" value="${formToken}">
<input type="hidden" name="code" value="${code}">`;
}

function toConfirmBody(form: CallbackForm, code: string): Html {
  return html`<section class="card">
<h1>Sign in</h1>
<p class="lead">as <strong class="address">${form.email}</strong></p>
<form method="post" action="${callbackPath}">
${toFields(form, code)}
<button class="primary" autofocus>Sign in</button>
</form>
<p class="hint">If you did not ask for this, close the page: nothing has happened.</p>
</section>`;
}
