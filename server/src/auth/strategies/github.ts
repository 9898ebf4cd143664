/**
 * Sign-in by GitHub: plain OAuth 2 (RFC 6749 §4.1) with PKCE, since GitHub
 * issues no ID tokens to applications.
 *
 * The identity is the account's number, which survives a change of name. Of
 * its addresses only the primary one counts, and only if GitHub has verified
 * it; a profile's public address is not read.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Egress } from "../../egress/egress.ts";
import type { EgressResponse } from "../../egress/exchange.ts";
import { fetchJson, parseObject } from "../../egress/fetch-json.ts";
import { DomainError } from "../../lib/errors.ts";
import { toGithubEndpoints } from "../../lib/well-known-providers.ts";
import { toEmail, toEmailDomain } from "../../users/email.ts";
import type { BeginRequest, Proof, Strategy } from "../strategy.ts";
import { toRefusal, withPatience } from "./oidc-client.ts";
import { toPicture, toTitle } from "./profile.ts";

/** The registered application at GitHub, and the way there. */
export interface GithubStrategyOptions {
  /** Name of the strategy. */
  readonly name: string;
  /** Origin of the site: `https://github.com`, or an Enterprise server's. */
  readonly baseUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scopes: readonly string[];
  /** How long a flow may take. */
  readonly flowSeconds: number;
  /** The URL of ours that the provider is registered with. */
  readonly callbackUrl: string;
  /** Lower case. Domains whose addresses this site speaks for. */
  readonly authoritativeDomains: readonly string[];
  readonly egress: Egress;
}

const timeoutMs = 8_000;

interface Account {
  readonly id: number;
  readonly name?: unknown;
  readonly login?: unknown;
  readonly avatar_url?: unknown;
}

/** What an answer of the API other than 200 means; one for having asked too often may come as 403. */
function toFailure({ status, headers }: Pick<EgressResponse, "status" | "headers">): Error {
  const isTooOften = headers.get("x-ratelimit-remaining") === "0" || headers.has("retry-after");
  return Object.assign(new Error(`answered ${status}`), {
    status: status === 403 && isTooOften ? 429 : status,
  });
}

/** The primary address, in lower case, if it is verified. */
export function findUsableEmail(addresses: unknown): string | undefined {
  if (!Array.isArray(addresses)) return undefined;
  const primary: unknown = addresses.find((one) => one?.primary === true && one?.verified === true);
  const email = (primary as { email?: unknown } | undefined)?.email;
  return typeof email === "string" ? toEmail(email) : undefined;
}

/** A strategy for one site. */
export function createGithubStrategy(options: GithubStrategyOptions): Strategy {
  const { name, baseUrl, clientId, clientSecret, scopes, flowSeconds, authoritativeDomains, egress } =
    options;
  const { authorizationUrl, tokenUrl, apiUrl } = toGithubEndpoints(baseUrl);

  function toAuthorizeUrl(request: BeginRequest, verifier: string): string {
    const url = new URL(authorizationUrl);
    url.search = new URLSearchParams({
      client_id: clientId,
      redirect_uri: request.callbackUrl,
      scope: scopes.join(" "),
      state: request.state,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    }).toString();
    return url.href;
  }

  /** GitHub need not name itself (RFC 9207), but an answer that names another is not its own. */
  function isOfSite(issuer = ""): boolean {
    return issuer === "" || (URL.canParse(issuer) && new URL(issuer).origin === baseUrl);
  }

  async function exchange(code: string, callbackUrl: string, verifier: string): Promise<string> {
    const { value } = await fetchJson(egress, tokenUrl, {
      method: "POST",
      timeoutMs,
      headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({
        client_id: clientId,
        client_secret: clientSecret,
        code,
        redirect_uri: callbackUrl,
        code_verifier: verifier,
      }).toString(),
    });
    // A refusal comes with status 200 and an `error`.
    if (typeof value.access_token !== "string") throw new Error(`refused the code: ${String(value.error)}`);
    return value.access_token;
  }

  async function read(path: string, token: string): Promise<unknown> {
    const answer = await egress.fetch(`${apiUrl}${path}`, {
      timeoutMs,
      headers: {
        accept: "application/vnd.github+json",
        authorization: `Bearer ${token}`,
        "user-agent": "vestibule",
      },
    });
    if (answer.status !== 200) throw toFailure(answer);
    return path === "/user" ? parseObject(answer.body) : JSON.parse(answer.body.toString("utf8"));
  }

  function toProof(account: Account, email: string | undefined): Proof {
    const domain = toEmailDomain(email ?? "");
    const title = toTitle(account.name) ?? toTitle(account.login);
    const avatar = toPicture(account.avatar_url);
    return {
      kind: "identity",
      issuer: baseUrl,
      subject: String(account.id),
      emailVerified: email !== undefined,
      isAuthoritative: authoritativeDomains.includes(domain),
      ...(email !== undefined && { email }),
      ...(title !== undefined && { title }),
      ...(avatar !== undefined && { avatar }),
    };
  }

  async function identify(token: string): Promise<Proof> {
    const [account, addresses] = await Promise.all([read("/user", token), read("/user/emails", token)]);
    const { id } = (account ?? {}) as Partial<Account>;
    if (typeof id !== "number" || !Number.isSafeInteger(id)) throw new Error("told no account number");
    return toProof({ ...(account as object), id }, findUsableEmail(addresses));
  }

  return {
    name,
    params: {},
    flowSeconds,
    callbackUrl: options.callbackUrl,
    attempts: "once",
    async begin(request) {
      const verifier = randomBytes(32).toString("base64url");
      return { endpoint: toAuthorizeUrl(request, verifier), secret: { verifier } };
    },
    async finish({ code, issuer, flow }) {
      if (code === "") throw new DomainError("CODE_MISSING");
      if (!isOfSite(issuer))
        throw new DomainError("INVALID_FLOW", { detail: `${name}: another issuer's answer` });
      return await withPatience(name, async () => {
        try {
          const token = await exchange(code, flow.callbackUrl, String(flow.secret.verifier));
          return await identify(token);
        } catch (error) {
          throw toRefusal(name, error);
        }
      });
    },
  };
}
