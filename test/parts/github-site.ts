/** A site that signs people in as GitHub does: plain OAuth 2, codes by account, addresses at a place of their own. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** An account: what `/user` and `/user/emails` answer. */
export interface GithubAccount {
  readonly user: Readonly<Record<string, unknown>>;
  readonly emails: readonly {
    readonly email: string;
    readonly primary: boolean;
    readonly verified: boolean;
  }[];
}

export interface GithubSite {
  readonly baseUrl: string;
  /** Forms posted for a token, in order. */
  readonly exchanges: URLSearchParams[];
  /** Where a browser is sent back to once the account has agreed: what the site's page would do. */
  approve(endpoint: string, login: string): URL;
  /** From now on every answer takes this long. */
  setDelay(ms: number): void;
  stop(): Promise<void>;
}

/** Starts the site. Codes are single use; PKCE is not checked. */
export async function startGithubSite(
  accounts: Readonly<Record<string, GithubAccount>>,
): Promise<GithubSite> {
  const exchanges: URLSearchParams[] = [];
  const codes = new Map<string, string>();
  const tokens = new Map<string, string>();
  let count = 0;
  let delayMs = 0;

  async function answer(request: IncomingMessage): Promise<unknown> {
    const path = (request.url ?? "").split("?")[0];
    if (path === "/login/oauth/access_token") {
      let text = "";
      for await (const chunk of request) text += chunk;
      const form = new URLSearchParams(text);
      exchanges.push(form);
      const login = codes.get(form.get("code") ?? "");
      if (login === undefined) return { error: "bad_verification_code" };
      codes.delete(form.get("code") ?? "");
      const token = `gho_${count++}`;
      tokens.set(token, login);
      return { access_token: token, token_type: "bearer", scope: "read:user,user:email" };
    }
    const [, token = ""] = (request.headers.authorization ?? "").split(" ");
    const account = accounts[tokens.get(token) ?? ""];
    if (account === undefined) return undefined;
    if (path === "/api/v3/user") return account.user;
    return path === "/api/v3/user/emails" ? account.emails : undefined;
  }

  const server = createServer(async (request, response) => {
    const body = await answer(request);
    if (delayMs > 0) await sleep(delayMs, undefined, { ref: false });
    response.statusCode = body === undefined ? 401 : 200;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(body ?? { message: "Bad credentials" }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    approve(endpoint, login) {
      const { searchParams } = new URL(endpoint);
      const code = `code-${count++}`;
      codes.set(code, login);
      const back = new URL(searchParams.get("redirect_uri") ?? "");
      back.search = new URLSearchParams({ code, state: searchParams.get("state") ?? "" }).toString();
      return back;
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
