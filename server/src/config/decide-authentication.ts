/** Fills in and checks the section `authentication`. */

import { findNearest } from "../lib/suggest.ts";
import type {
  AuthenticationConfig,
  CredentialsConfig,
  MailConfig,
  PasskeyConfig,
  SessionConfig,
  SessionHeadersConfig,
  SignupConfig,
  TestUsersConfig,
  TokenConfig,
} from "./config.ts";
import { decideProviders, mailStrategies } from "./decide-providers.ts";
import type { Problems } from "./problems.ts";
import type { Files } from "./read-settings.ts";
import type { Settings } from "./schema.ts";
import { callbackPath, isAddress, isOwnCallback, isWithin } from "./urls.ts";

type Given = NonNullable<Settings["authentication"]>;
type Part<K extends keyof Given> = NonNullable<Given[K]>;

/** The lifetime of a flow, in seconds, unless configured. */
const flowSeconds = 600;

/** Makes the section; see `decide` for what a refusal means. */
export function decideAuthentication(
  given: Given,
  publicUrl: string,
  files: Files,
  problems: Problems,
): AuthenticationConfig {
  const context = { publicUrl, flowSeconds, files };
  const oidcProviders = decideProviders(given.oidc_config ?? {}, context, problems);
  return {
    session: decideSession(given.session ?? {}, publicUrl, problems),
    token: decideToken(given.token ?? {}, publicUrl),
    credentials: decideCredentials(given.credentials ?? {}, problems),
    clockSkewSeconds: given.clock_skew ?? 60,
    assertions: given.assertions ?? "strict",
    signup: decideSignup(given.signup ?? {}, problems),
    frontierHiddenStrategies: decideHidden(
      given.frontier_hidden_strategies ?? [],
      [...mailStrategies, "passkey", ...Object.keys(given.oidc_config ?? {})],
      problems,
    ),
    plainCallbackUrl: `${publicUrl}${callbackPath}`,
    callbackUrls: decideCallbackUrls(given.callback_urls, publicUrl, problems),
    authorizedRedirectUrls: given.authorized_redirect_urls ?? [],
    oidcProviders,
    mailOtp: decideMail("mail_otp", given.mail_otp ?? {}, "Otp", problems),
    mailLink: decideMail("mail_link", given.mail_link ?? {}, "Link", problems),
    passkey: decidePasskey(given.passkey, publicUrl, problems),
    testUsers: decideTestUsers(given.test_users, problems),
  };
}

function decideSession(given: Part<"session">, publicUrl: string, problems: Problems): SessionConfig {
  const isHttps = publicUrl.startsWith("https:");
  const secure = given.secure ?? isHttps;
  const path = "authentication.session";
  if (given.same_site === "none" && !secure && !problems.isRefused(`${path}.secure`)) {
    problems.refuse(
      `${path}.same_site`,
      `must not be none without ${path}.secure: browsers drop such a cookie`,
    );
  }
  const { hostname } = new URL(publicUrl);
  if (given.domain !== undefined && !problems.isRefused("public_url")) {
    if (isAddress(hostname) || !isWithin(hostname, given.domain)) {
      problems.refuse(`${path}.domain`, "must be the host of public_url or a domain above it");
    }
  }
  return {
    hashSecretKey: given.hash_secret_key,
    blockSecretKey: given.block_secret_key,
    previousHashSecretKeys: given.previous_hash_secret_keys ?? [],
    previousBlockSecretKeys: given.previous_block_secret_keys ?? [],
    domain: given.domain,
    sameSite: given.same_site ?? "lax",
    secure,
    isBound: isHttps && secure && given.domain === undefined,
    validitySeconds: given.validity ?? 720 * 3600,
    headers: decideHeaders(given.headers ?? {}),
  };
}

/** The default names are Frontier's. */
function decideHeaders(given: NonNullable<Part<"session">["headers"]>): SessionHeadersConfig {
  return {
    clientIp: given.client_ip ?? "x-forwarded-for",
    clientCountry: given.client_country ?? "x-frontier-country",
    clientCity: given.client_city ?? "x-frontier-city",
    clientLatitude: given.client_latitude ?? "x-frontier-latitude",
    clientLongitude: given.client_longitude ?? "x-frontier-longitude",
    clientUserAgent: given.client_user_agent ?? "user-agent",
  };
}

function decideToken(given: Part<"token">, publicUrl: string): TokenConfig {
  const issuer = given.issuer ?? publicUrl;
  return {
    issuer,
    audience: given.audience ?? issuer,
    validitySeconds: given.validity ?? 3600,
    algorithm: given.algorithm ?? "ES256",
    claims: {
      addOrgIds: given.claims?.add_org_ids ?? true,
      addOrganizations: given.claims?.add_organizations ?? true,
      addUserEmail: given.claims?.add_user_email ?? true,
      addSessionId: given.claims?.add_session_id ?? true,
    },
  };
}

function decideCredentials(
  { validity, longest_validity: longest }: Part<"credentials">,
  problems: Problems,
): CredentialsConfig {
  if (validity !== undefined && longest !== undefined && validity > longest) {
    const path = "authentication.credentials";
    problems.refuse(`${path}.validity`, `must not be longer than ${path}.longest_validity`);
  }
  return { validitySeconds: validity ?? longest, longestValiditySeconds: longest };
}

function decideSignup(given: Part<"signup">, problems: Problems): SignupConfig {
  const { mode = "open", domains = [], by_members: byMembers = false } = given;
  const path = "authentication.signup";
  const isJudged = !problems.isRefused(`${path}.mode`) && !problems.isRefused(`${path}.domains`);
  if (isJudged && mode === "domains" && domains.length === 0) {
    problems.refuse(`${path}.domains`, "must name at least one domain when the mode is domains");
  }
  if (isJudged && mode !== "domains" && domains.length > 0) {
    problems.refuse(`${path}.domains`, "must be left out unless the mode is domains");
  }
  if (isJudged && mode === "open" && byMembers) {
    problems.refuse(`${path}.by_members`, "can be true only when the mode is domains or invited");
  }
  return { mode, domains, byMembers };
}

function decideHidden(
  given: readonly string[],
  names: readonly string[],
  problems: Problems,
): readonly string[] {
  for (const [index, name] of given.entries()) {
    if (names.includes(name)) continue;
    const nearest = findNearest(name, names);
    const meant = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    problems.refuse(
      `authentication.frontier_hidden_strategies[${index}]`,
      `must be the name of a strategy${meant}`,
    );
  }
  return given;
}

function decideCallbackUrls(given: readonly string[] | undefined, publicUrl: string, problems: Problems) {
  const path = "authentication.callback_urls";
  if (given?.length === 0) problems.refuse(path, "must name at least one URL");
  const plain = `${publicUrl}${callbackPath}`;
  for (const [index, url] of (given ?? []).entries()) {
    if (url === plain || problems.isRefused("public_url") || !isOwnCallback(url, publicUrl)) continue;
    problems.refuse(
      `${path}[${index}]`,
      `must be ${plain}, which stands for each provider's own URL, or a client's page`,
    );
  }
  return given ?? [];
}

/** @param needed the value that a mail is for: a text of one's own that does not name it lets nobody in. */
function decideMail(
  name: "mail_otp" | "mail_link",
  given: Part<"mail_otp">,
  needed: "Otp" | "Link",
  problems: Problems,
): MailConfig {
  const placeholder = new RegExp(`\\{\\{\\s*\\.${needed}\\s*\\}\\}`);
  const isTold = [given.subject ?? "", given.body ?? ""].some((text) => placeholder.test(text));
  if (given.body !== undefined && !isTold) {
    problems.refuse(`authentication.${name}.body`, `must hold {{.${needed}}}, or nobody could sign in by it`);
  }
  return { subject: given.subject, body: given.body, validitySeconds: given.validity ?? flowSeconds };
}

/**
 * The relying party id must be the public host or a domain above it that
 * someone can own (WebAuthn Level 2 §5.1.2): one label alone never is.
 */
function decidePasskey(given: Part<"passkey"> | undefined, publicUrl: string, problems: Problems) {
  const { hostname } = new URL(publicUrl);
  const path = "authentication.passkey";
  if (isAddress(hostname)) {
    if (Object.keys(given ?? {}).length > 0)
      problems.refuse(path, "must be left out while the host of public_url is an address");
    return undefined;
  }
  const rpId = given?.rpid ?? hostname;
  const passkey: PasskeyConfig = {
    rpDisplayName: given?.rpdisplayname ?? rpId,
    rpId,
    rpOrigins: given?.rporigins ?? [publicUrl],
  };
  const isOwnable = rpId === hostname || (rpId.includes(".") && isWithin(hostname, rpId));
  if (!isOwnable && !problems.isRefused("public_url")) {
    problems.refuse(`${path}.rpid`, "must be the host of public_url or a registrable domain above it");
  }
  if (given?.rporigins?.length === 0) problems.refuse(`${path}.rporigins`, "must name at least one origin");
  for (const [index, origin] of (given?.rporigins ?? []).entries()) {
    if (problems.isRefused(`${path}.rpid`) || isWithin(new URL(origin).hostname, rpId)) continue;
    problems.refuse(`${path}.rporigins[${index}]`, `must have ${path}.rpid or a name below it as its host`);
  }
  return passkey;
}

function decideTestUsers(
  given: Part<"test_users"> | undefined,
  problems: Problems,
): TestUsersConfig | undefined {
  const { enabled = false, domain, otp } = given ?? {};
  if (!enabled) return undefined;
  const path = "authentication.test_users";
  for (const [key, value] of Object.entries({ domain, otp })) {
    if (value !== undefined || problems.isRefused(`${path}.${key}`)) continue;
    problems.refuse(`${path}.${key}`, `must be given when ${path}.enabled is true`);
  }
  return { domain: domain ?? "", otp: otp ?? "" };
}
