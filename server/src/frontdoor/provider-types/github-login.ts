/**
 * People come in by GitHub: its code flow, and what its API says of an account.
 *
 * Organizations are asked for only where the data name some, since people have
 * to agree to that. A membership that cannot be seen is none.
 */
import type { Metadata } from "../../lib/metadata.ts";
import { GithubSite } from "../../openid/github-site.ts";
import type { OAuthTokens } from "../../openid/oauth-site.ts";
import { beginPatience, withPatience } from "../../openid/patience.ts";
import { toTitle } from "../../openid/profile.ts";
import type { ProviderTypeContext } from "./context.ts";
import { findClientSecret, findTexts, getText, toTexts } from "./data.ts";
import { decideOnLogin, readTraded, toRenewal } from "./login-outcome.ts";
import type {
  LoggedIn,
  LoginAnswer,
  ProviderData,
  ProviderIdentity,
  ProviderLogin,
  RenewedLogin,
} from "./provider-type.ts";
import { decideNow, refuse } from "./refused.ts";

/** A renewal trades an access token that ends before this much time has passed, in seconds. */
const earlySeconds = 60;

/** Makes the login. @param getSite the origin of the provider's site */
export function createGithubLogin(
  { clock, egress }: ProviderTypeContext,
  getSite: (data: ProviderData) => string,
): ProviderLogin {
  function toSite(data: ProviderData): GithubSite {
    const clientSecret = findClientSecret(data) ?? "";
    return new GithubSite({
      baseUrl: getSite(data),
      clientId: getText(data, "clientId"),
      clientSecret,
      egress,
    });
  }

  function toLoggedIn(data: ProviderData, tokens: OAuthTokens, identity: ProviderIdentity): LoggedIn {
    const now = clock.now();
    const renewAt = toRenewal(tokens.expiresInSeconds, undefined, now);
    return { allowed: true, identity: admit(data, identity), renewAt, kept: toKept(tokens, now) };
  }

  async function finish(data: ProviderData, answer: LoginAnswer): Promise<LoggedIn> {
    const site = toSite(data);
    const tokens = await site.finish(answer);
    return toLoggedIn(data, tokens, await readIdentity(site, data, tokens.accessToken));
  }

  async function renew(data: ProviderData, { kept, identity }: RenewedLogin): Promise<LoggedIn> {
    const site = toSite(data);
    const within = beginPatience();
    const { isTraded, tokens } = await within(() => freshen(site, kept, clock.now()));
    const read = () => within(() => readIdentity(site, data, tokens.accessToken));
    const told = isTraded ? await readTraded(read, () => undefined) : await read();
    if (told === undefined) {
      const login = toLoggedIn(data, tokens, identity);
      return { ...login, renewAt: toRenewal(0, undefined, clock.now()) };
    }
    if (told.subject !== identity.subject) {
      refuse("claim_mismatch", "the site answered a renewal with somebody else's account");
    }
    return toLoggedIn(data, tokens, told);
  }

  return {
    kind: "provider",
    isPossible: () => true,
    async begin({ data }, { callbackUrl, state, prompt, loginHint }) {
      const scopes = ["read:user", "user:email", ...(namesOrganizations(data) ? ["read:org"] : [])];
      const parameters = {
        scope: scopes.join(" "),
        // GitHub knows no silent sign-in: who is signed in and has agreed is sent straight back.
        ...(prompt === "again" && { prompt: "select_account" }),
        ...(loginHint !== undefined && { login: loginHint }),
      };
      return toSite(data).begin({ callbackUrl, state, parameters });
    },
    finish: ({ data }, answer) =>
      decideOnLogin("login", getSite(data), () => withPatience(() => finish(data, answer))),
    renew: ({ data }, login) => decideOnLogin("renewal", getSite(data), () => renew(data, login)),
    admit: ({ data }, identity) => decideNow(() => admit(data, identity)),
  };
}

function namesOrganizations(data: ProviderData): boolean {
  return findTexts(data, "allowedOrganizations") !== undefined;
}

async function readIdentity(site: GithubSite, data: ProviderData, token: string): Promise<ProviderIdentity> {
  const [{ subject, email, name: told, told: account }, organizations] = await Promise.all([
    site.readPerson(token),
    namesOrganizations(data) ? site.listOrganizations(token) : [],
  ]);
  const login = toTitle(account.login);
  const name = toTitle(told);
  return {
    subject,
    ...(name !== undefined && { name }),
    ...(email !== undefined && { email }),
    emailVerified: email !== undefined,
    organizations: [],
    groups: [],
    claims: {
      sub: subject,
      ...(login !== undefined && { login }),
      ...(email !== undefined && { email, email_verified: true }),
      // All of them: the data may come to name others.
      organizations,
    },
    dependsOn: [],
  };
}

/** GitHub's names ignore case. The others are nobody's business here. @throws Refused */
function admit(data: ProviderData, identity: ProviderIdentity): ProviderIdentity {
  const allowed = findTexts(data, "allowedOrganizations")?.map((name) => name.toLowerCase());
  const held = toTexts(identity.claims.organizations);
  const organizations = held.filter((name) => allowed?.includes(name));
  if (allowed !== undefined && organizations.length === 0) {
    refuse(
      "not_permitted",
      "the account is not seen to be in one of allowedOrganizations: join one, have its owners let this application see it, or add another",
    );
  }
  return { ...identity, organizations };
}

function toKept({ accessToken, refreshToken, expiresInSeconds }: OAuthTokens, now: Date): Metadata {
  return {
    accessToken,
    ...(refreshToken !== undefined && { refreshToken }),
    ...(expiresInSeconds !== undefined && { endsAt: now.getTime() + expiresInSeconds * 1000 }),
  };
}

/** Tokens to ask with: those that were kept, or where they end new ones, traded for the refresh token. */
async function freshen(
  site: GithubSite,
  kept: Metadata,
  now: Date,
): Promise<{ readonly isTraded: boolean; readonly tokens: OAuthTokens }> {
  const { accessToken, refreshToken, endsAt } = kept;
  if (typeof accessToken !== "string") {
    refuse("unknown_credential", "nothing was kept that a renewal could go by: sign in again");
  }
  if (typeof endsAt !== "number") return { isTraded: false, tokens: { accessToken } };
  const expiresInSeconds = (endsAt - now.getTime()) / 1000;
  if (typeof refreshToken === "string" && expiresInSeconds <= earlySeconds) {
    return { isTraded: true, tokens: await site.refresh(refreshToken) };
  }
  const rest = typeof refreshToken === "string" && { refreshToken };
  return { isTraded: false, tokens: { accessToken, ...rest, expiresInSeconds } };
}
