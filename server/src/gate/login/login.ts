/**
 * `/gate/login`: the login of all frontends, at the public URL.
 *
 * A visit names the frontend; by which provider somebody comes, they choose
 * where there are several. Opening the page grants nothing: what has to be said
 * yes to is a form, and what follows is of use only to the browser that has the
 * visit's flow cookie at the frontend.
 */
import { type FormBrowsers, readField, readForm } from "../../html/forms.ts";
import type { RenderPage } from "../../html/frame.ts";
import { navigate, navigateByPage } from "../../html/navigation.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../../http/plain-route.ts";
import type { GateProvider } from "../directory/frontend.ts";
import { sendOn } from "./desk.ts";
import { toChooserBody, toKnownName, toLabel } from "./login-views.ts";
import type { Answer, OwnLoginFlow, Way } from "./own-login.ts";
import { gatePaths } from "./places.ts";
import type { ProviderTrips } from "./provider-trips.ts";
import { type FoundVisit, isPage, type VisitDesk } from "./visits.ts";

/** What the login stands on. */
export interface LoginOptions {
  readonly desk: VisitDesk;
  readonly own: OwnLoginFlow;
  readonly trips: ProviderTrips;
  readonly render: RenderPage;
  readonly browsers: FormBrowsers;
  readonly publicUrl: string;
  /** What the people who come here call the place. */
  readonly siteName: string;
  /** Whether session cookies are `SameSite=Strict`: a browser that another site sends here brings none. */
  readonly isSessionStrict: boolean;
}

/** Makes the routes of the login's own pages. */
export function createLogin(options: LoginOptions): readonly FunctionRoute[] {
  const { desk, own, trips, render, browsers, publicUrl, siteName, isSessionStrict } = options;

  async function get(request: PlainRequest): Promise<PlainResponse> {
    if (request.method === "HEAD") return { status: 200 };
    if (isSessionStrict && request.header.get("sec-fetch-site") === "cross-site") {
      return navigateByPage(render, new URL(`${request.path}?${request.query}`, publicUrl));
    }
    const found = await desk.find(request, readField(request.query, "state"));
    if (isPage(found)) return found;
    const provider = chooseProvider(found, readField(request.query, "with"));
    if (provider === undefined) return choose(found);
    const way = await goOn(found, provider);
    if ("page" in way) return way.page;
    // Signing in ended with a form, whose page's `form-action` holds for all redirects that follow it.
    const isAfterForm = request.query.has("signed_in");
    return isAfterForm
      ? navigate(render, way.url, publicUrl, way.setCookies)
      : sendOn(way.url, way.setCookies);
  }

  async function post(request: PlainRequest): Promise<PlainResponse> {
    const form = readForm(request, publicUrl, browsers);
    const found = await desk.find(request, readField(form, "state"));
    if (isPage(found)) return found;
    const provider = chooseProvider(found, readField(form, "with"));
    if (provider === undefined) return choose(found);
    const mayTell = readField(form, "answer") === "tell";
    const way = await goOn(found, provider, { sessionId: readField(form, "session"), mayTell });
    return "page" in way ? way.page : navigate(render, way.url, publicUrl, way.setCookies);
  }

  async function goOn(found: FoundVisit, provider: GateProvider, answer?: Answer): Promise<Way> {
    const isOwn = provider.type.login?.kind === "own";
    return isOwn ? await own.goOn(found, provider, answer) : await trips.begin(found, provider);
  }

  function choose(found: FoundVisit): PlainResponse {
    const { frontend, host } = found.place;
    if (frontend.logins.length === 0) {
      return desk.show(found, {
        status: 403,
        title: "Nobody signs in there any more",
        text: "While you were signing in, every way for people to come in was taken away.",
      });
    }
    const choices = frontend.logins.map((each) => ({
      id: each.id,
      name: toKnownName(each),
      label: toLabel(each, siteName),
    }));
    return render({ title: "Sign in", body: toChooserBody(host, found.state, choices) });
  }

  return [
    { method: "GET" as const, path: gatePaths.login, handle: get },
    { method: "POST" as const, path: gatePaths.answer, handle: post },
  ].map((route) => desk.route(route));
}

/** The provider that was named, if it still is one; else the one whose session is asked for anew, or the only one. */
function chooseProvider({ place, visit }: FoundVisit, named: string): GateProvider | undefined {
  const { logins } = place.frontend;
  const wanted = named === "" ? visit.renews?.providerId : named;
  const [only, ...others] = logins;
  return logins.find(({ id }) => id === wanted) ?? (others.length === 0 ? only : undefined);
}
