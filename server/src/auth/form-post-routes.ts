/**
 * POST of `/auth/callback/<name>`, for providers that answer by a form (OAuth
 * 2.0 Form Post Response Mode 1.0).
 *
 * The browser posts it from the provider's site, and with that no cookie of
 * ours: `SameSite=Lax` stays. What it brought is kept under its state, and the
 * browser sent on to GET of the same path, where its cookie comes along and
 * says whether it is the flow's. Nothing here says who somebody is: whoever
 * posts a sign-in of their own into another's browser has it kept and ends
 * nothing by it.
 */
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { toPath } from "../http/redirect.ts";
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import { noteRefusal, readBrought, readForm, readOne } from "./brought.ts";
import type { BrowserSignIn } from "./browser-sign-in.ts";
import type { CallbackRoutesOptions } from "./callback-routes.ts";
import type { Strategy } from "./strategy.ts";

/** Parts that these routes stand on. */
export interface FormPostRoutesOptions extends Pick<CallbackRoutesOptions, "renderResult"> {
  readonly browserSignIn: Pick<BrowserSignIn, "keepPosted">;
  readonly strategies: readonly Pick<Strategy, "callbackUrl" | "isAnsweredByForm">[];
}

/** Largest form taken, in bytes. */
const largestForm = 32_768;

/** Builds the route of each provider that answers by a form. */
export function createFormPostRoutes(options: FormPostRoutesOptions): readonly FunctionRoute[] {
  const { browserSignIn, renderResult, strategies } = options;

  async function keep(url: string, request: PlainRequest): Promise<PlainResponse> {
    if (request.body.length > largestForm)
      throw invalidRequest(`must be a form of at most ${largestForm} bytes`);
    const form = readForm(request);
    const state = readOne(form, "state");
    const answer = readBrought(form);
    if (answer.code === undefined && answer.error === undefined) throw new DomainError("CODE_MISSING");
    await browserSignIn.keepPosted(state, url, answer);
    return {
      status: 303,
      headers: {
        location: toPath(request.path, { state }),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
      },
    };
  }

  return strategies.flatMap(({ callbackUrl: url, isAnsweredByForm }) => {
    if (url === undefined || !isAnsweredByForm) return [];
    return {
      method: "POST",
      path: new URL(url).pathname,
      readsNoCookie: true,
      handle: (request) =>
        keep(url, request).catch((error) =>
          renderResult({ kind: "refused", error: noteRefusal(error, request) }, request),
        ),
    };
  });
}
