/**
 * A browser's way into gated apps, hop by hop over the wire: cookies, redirects,
 * forms, and in front of the apps what a proxy would do. Nothing is hidden from
 * the test, and nothing happens that it does not ask for.
 */
import type { TestFrontdoor } from "./gate.ts";
import { type Answer, postJson, type Sent, send } from "./http.ts";
import { Person } from "./person.ts";
import type { TestServer } from "./server.ts";

/** An app behind the gate: where it is, and which frontdoor answers for it. */
export interface VisitedApp {
  /** Origin as browsers have it. */
  readonly origin: string;
  readonly frontdoor: Pick<TestFrontdoor, "id" | "proxyToken">;
}

/** Where a browser is. */
export interface Shown {
  readonly url: string;
  readonly status: number;
  readonly headers: Answer["headers"];
  readonly text: string;
  /** Headers that the app was told, where the gate let the request through. */
  readonly told?: Answer["headers"];
  /** Every URL on the way, this one at the end. */
  readonly hops: readonly string[];
}

/** What a browser says when somebody opens a page. */
export const navigation = {
  accept: "text/html,*/*;q=0.8",
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": "document",
  "sec-fetch-site": "none",
} as const;

/** @see the head of this file */
export class GateVisitor {
  readonly server: TestServer;
  readonly apps: readonly VisitedApp[];
  /** Signs in to the server itself. */
  readonly person: Person;
  /** Where it is, where a proxy is to say so that the server trusts. */
  address?: string;
  /** Cookies by host, port included. */
  readonly #jars = new Map<string, Map<string, string>>();

  constructor(server: TestServer, ...apps: readonly VisitedApp[]) {
    this.server = server;
    this.apps = apps;
    this.person = new Person(server);
    this.#jars.set(`localhost:${server.port}`, this.person.cookies);
  }

  /** Cookies of a host. */
  jar(host: string): Map<string, string> {
    const jar = this.#jars.get(host) ?? new Map<string, string>();
    this.#jars.set(host, jar);
    return jar;
  }

  /** Opens a URL and follows wherever it leads, until `stopAt` or a page. */
  async open(url: string, stopAt?: string): Promise<Shown> {
    const hops: string[] = [];
    for (let at = url; hops.length < 20; ) {
      hops.push(at);
      if (stopAt !== undefined && hops.length > 1 && at.startsWith(stopAt)) {
        return { url: at, status: 0, headers: {}, text: "", hops };
      }
      const answer = await this.hop(at);
      const next = findNext(answer);
      if (next === undefined) return { ...answer, url: at, hops };
      at = new URL(next, at).href;
    }
    throw new Error(`too many redirects: ${hops.join(" → ")}`);
  }

  /** Sends the form of a page, changed as told, and follows wherever that leads. */
  async submit(page: Shown, fields: Readonly<Record<string, string>> = {}): Promise<Shown> {
    const action = /<form method="post" action="([^"]*)"/.exec(page.text)?.[1] ?? "";
    const hidden = [...page.text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
    const body = new URLSearchParams();
    for (const [, name = "", value = ""] of hidden) body.set(name, unescapeHtml(value));
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    const { origin } = new URL(page.url);
    const url = new URL(action, page.url).href;
    const answer = await this.hop(url, {
      method: "POST",
      headers: {
        ...navigation,
        origin,
        "content-type": "application/x-www-form-urlencoded",
        "sec-fetch-site": "same-origin",
      },
      body: body.toString(),
    });
    const next = findNext(answer);
    if (next === undefined) return { ...answer, url, hops: [url] };
    const shown = await this.open(new URL(next, url).href);
    return { ...shown, hops: [url, ...shown.hops] };
  }

  /** One request, without following it; by a proxy where it is an app's. */
  async hop(url: string, sent: Sent = {}): Promise<Answer & Pick<Shown, "told">> {
    const { host, origin } = new URL(url);
    const jar = this.jar(host);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = {
      ...(cookie !== "" && { cookie }),
      ...(this.address !== undefined && { "x-forwarded-for": this.address }),
      ...(sent.headers ?? navigation),
    };
    const app = this.apps.find((each) => each.origin === origin);
    const target = url.slice(origin.length) || "/";
    const answer =
      app === undefined
        ? await send(url.replace("//localhost:", "//127.0.0.1:"), { ...sent, headers: { ...headers, host } })
        : await this.#throughProxy(app, target, { ...sent, headers });
    for (const line of [answer.headers["set-cookie"] ?? []].flat()) keepCookie(jar, line);
    return answer;
  }

  async #throughProxy(
    { origin, frontdoor }: VisitedApp,
    target: string,
    sent: Sent,
  ): Promise<Answer & Pick<Shown, "told">> {
    const { host, protocol } = new URL(origin);
    const gate = `${this.server.url}/frontdoor/${frontdoor.id}/gate`;
    const told = { "x-vestibule-proxy-token": frontdoor.proxyToken, "x-forwarded-host": host };
    const own = "/.vestibule/";
    if (target.startsWith(own)) {
      const path = `${gate}/browser/${target.slice(own.length)}`;
      return await send(path, { ...sent, headers: { ...sent.headers, ...told } });
    }
    const asked = {
      ...told,
      "x-forwarded-method": sent.method ?? "GET",
      "x-forwarded-proto": protocol.slice(0, -1),
      "x-forwarded-uri": target,
    };
    const answer = await send(`${gate}/forward-auth`, { headers: { ...sent.headers, ...asked } });
    if (answer.status !== 200) return answer;
    return { status: 200, headers: {}, text: "the app", json: undefined, told: answer.headers };
  }
}

/** Where an answer leads: by redirect, or by a page that goes on by itself. */
function findNext({ status, headers, text }: Answer): string | undefined {
  if (status >= 300 && status < 400) return String(headers.location);
  const refresh = /http-equiv="refresh" content="0; url=([^"]*)"/.exec(text)?.[1];
  return refresh === undefined ? undefined : unescapeHtml(refresh);
}

function unescapeHtml(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}

function keepCookie(jar: Map<string, string>, line: string): void {
  const [pair = ""] = line.split(";");
  const mark = pair.indexOf("=");
  if (/max-age=0(;|$)/i.test(line)) jar.delete(pair.slice(0, mark));
  else jar.set(pair.slice(0, mark), pair.slice(mark + 1));
}

/** Makes whoever is signed in a member of the organization `default`, by the superuser. Answers their id. */
export async function joinDefault(
  { server, person }: Pick<GateVisitor, "server" | "person">,
  headers: Record<string, string>,
): Promise<string> {
  const { id } = (await person.call("GetCurrentUser")).json.user;
  const member = { orgId: "default", userId: id, role: "viewer" };
  const answer = await postJson(server, "/vestibule.v1.OrganizationService/AddMember", member, headers);
  if (answer.status !== 200) throw new Error(answer.text);
  return id;
}
