/**
 * A real OpenID provider (`oidc-provider`) on a free port, which signs people
 * in without asking: `login_hint` names the account, consent is given.
 */
import { once } from "node:events";
import type { Server } from "node:http";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import Provider, { type AccountClaims, type KoaContextWithOIDC } from "oidc-provider";

/** An account of the provider's: its claims besides `sub`. */
export type Accounts = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface IdentityProviderOptions {
  readonly accounts: Accounts;
  readonly redirectUris: readonly string[];
  /** Redirect URIs that begin so are good as well: for clients whose own URIs are known only later. */
  readonly redirectsBelow?: string;
  /** Whether people are asked who they are, on a page with a link for each account. Default false. */
  readonly asksWhom?: boolean;
  /** Whether it hands out refresh tokens. Default false. */
  readonly refreshes?: boolean;
  /** Whether its answers name it (RFC 9207), and its metadata promise that. Default true. */
  readonly namesItself?: boolean;
}

export interface IdentityProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Requests so far, as `METHOD /path`. */
  readonly requests: string[];
  /** Codes that came to its token endpoint, whoever had issued them. */
  readonly codes: string[];
  /** `grant_type` of each request of its token endpoint, and `prompt` of each of its authorization endpoint. */
  readonly grants: string[];
  readonly prompts: string[];
  /** Whom it signs in who comes without a hint; undefined for nobody in particular. */
  setAccount(account: string | undefined): void;
  /** Sends whoever comes to be signed in elsewhere instead; undefined for no longer. */
  setDetour(toUrl: ((asked: URL) => URL) | undefined): void;
  /** Stops answering, or answers again. */
  setDown(down: boolean): void;
  /** From now on every answer takes this long. */
  setDelay(ms: number): void;
  stop(): Promise<void>;
}

/** Starts the provider. */
export async function startIdentityProvider(options: IdentityProviderOptions): Promise<IdentityProvider> {
  const requests: string[] = [];
  const codes: string[] = [];
  const grants: string[] = [];
  const prompts: string[] = [];
  let account: string | undefined;
  let toDetour: ((asked: URL) => URL) | undefined;
  let isDown = false;
  let delayMs = 0;
  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    response.end();
  const server: Server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url?.split("?")[0]}`);
    if (isDown) {
      response.statusCode = 503;
      response.end();
      return;
    }
    const asked = new URL(request.url ?? "", issuer);
    if (asked.pathname === "/auth") prompts.push(asked.searchParams.get("prompt") ?? "");
    if (toDetour !== undefined && asked.pathname === "/auth") {
      response.writeHead(303, { location: toDetour(asked).href }).end();
      return;
    }
    if (delayMs === 0) handle(request, response);
    else setTimeout(() => handle(request, response), delayMs).unref();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clientId = "vestibule-at-the-provider";
  const clientSecret = "a-secret-between-the-two-of-them";
  const { redirectsBelow } = options;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [...options.redirectUris, ...(redirectsBelow === undefined ? [] : [redirectsBelow])],
        grant_types: ["authorization_code", ...(options.refreshes ? ["refresh_token"] : [])],
        response_types: ["code"],
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified", "hd"], profile: ["name", "picture"] },
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...options.accounts[id] }) as AccountClaims,
    }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    features: { devInteractions: { enabled: false } },
    ...(options.refreshes && { issueRefreshToken: async () => true }),
    cookies: { keys: ["a key of the test's"] },
  });
  if (redirectsBelow !== undefined) {
    provider.Client.prototype.redirectUriAllowed = (uri) => uri.startsWith(redirectsBelow);
  }
  provider.use(async (context, next) => {
    await next();
    const answered = context as KoaContextWithOIDC;
    const { code, grant_type: grant } = answered.oidc?.body ?? {};
    if (typeof code === "string") codes.push(code);
    if (typeof grant === "string") grants.push(grant);
    if (options.namesItself === false) hideName(answered);
  });
  const callback = provider.callback();
  handle = (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", issuer);
    if (!pathname.startsWith("/interaction/")) return callback(request, response);
    const chosen = searchParams.get("as") ?? account;
    const names = options.asksWhom && chosen === undefined ? Object.keys(options.accounts) : [];
    finishInteraction(provider, { request, response, account: chosen, names }).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  };
  return {
    issuer,
    clientId,
    clientSecret,
    requests,
    codes,
    grants,
    prompts,
    setAccount: (name) => {
      account = name;
    },
    setDetour: (toUrl) => {
      toDetour = toUrl;
    },
    setDown: (down) => {
      isDown = down;
    },
    setDelay: (ms) => {
      delayMs = ms;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Takes the issuer out of an answer, and out of the metadata what promises it. */
function hideName({ oidc, response, body }: KoaContextWithOIDC): void {
  if (oidc?.route === "discovery") {
    delete (body as Record<string, unknown>).authorization_response_iss_parameter_supported;
  }
  const location = response.get("location");
  if (!URL.canParse(location)) return;
  const url = new URL(location);
  url.searchParams.delete("iss");
  response.set("location", url.href);
}

/** Signs the hinted account in, or asks whom of several, and grants whatever is asked. */
async function finishInteraction(
  provider: Provider,
  about: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly account: string | undefined;
    readonly names: readonly string[];
  },
): Promise<void> {
  const { request, response, account, names } = about;
  const { prompt, params, session, uid } = await provider.interactionDetails(request, response);
  if (prompt.name !== "consent") {
    if (names.length > 0 && params.login_hint === undefined) {
      const links = names.map((name) => `<p><a href="/interaction/${uid}?as=${name}">${name}</a></p>`);
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(`<!doctype html><title>Who are you?</title><h1>Who are you?</h1>${links.join("")}`);
      return;
    }
    const accountId = String(params.login_hint ?? account ?? "nobody");
    return await provider.interactionFinished(request, response, { login: { accountId } });
  }
  const grant = new provider.Grant({
    accountId: session?.accountId ?? "",
    clientId: String(params.client_id),
  });
  grant.addOIDCScope(String(params.scope));
  const grantId = await grant.save();
  return await provider.interactionFinished(request, response, { consent: { grantId } });
}

/**
 * Walks a browser's way through the provider: follows redirects with a cookie
 * jar until one leads to `stopAt`, and answers that URL.
 */
export async function walkRedirects(start: string, stopAt: string): Promise<URL> {
  const jar = new Map<string, string>();
  let url = start;
  for (let hops = 0; hops < 15; hops++) {
    if (url.startsWith(stopAt)) return new URL(url);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", headers: cookie === "" ? {} : { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      const mark = pair.indexOf("=");
      jar.set(pair.slice(0, mark), pair.slice(mark + 1));
    }
    const location = answer.headers.get("location");
    if (location === null) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
    url = new URL(location, url).href;
  }
  throw new Error("too many redirects");
}
