/**
 * Every key a settings file may hold, and how each value is read. Everything
 * is optional here: defaults and what belongs together is decided later, in
 * `decide.ts`.
 */
import { z } from "zod";
import { parseCidr } from "../http/cidr.ts";
import { clientAuthenticationMethods } from "../lib/client-authentication.ts";
import { ValueError } from "../lib/value-error.ts";
import { durationExpected, parseDurationSeconds } from "./duration.ts";
import {
  parseDocumentUrl,
  parseExactUrl,
  parseIssuerUrl,
  parseOrigin,
  parsePublicUrl,
  parseSiteUrl,
  parseSmtpUrl,
  parseStringOrUri,
} from "./urls.ts";
import {
  parseClaimPaths,
  parseClientSecret,
  parseDatabaseUrl,
  parseDomain,
  parseEmail,
  parseEncryptionKeys,
  parseHeaderName,
  parseHostName,
  parseLine,
  parseListen,
  parseMailSender,
  parseScope,
  parseSessionKey,
  parseUuid,
} from "./values.ts";

const notText = "must be text; put it in quotes if it looks like something else";

/** A text that `parse` turns into its value, or refuses by a ValueError. */
function text<T>(parse: (text: string) => T, error = notText) {
  return z.string({ error }).transform((given, context) => {
    try {
      if (given.trim() === "") throw new ValueError("must not be empty; leave the setting out instead");
      return parse(given);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      context.issues.push({ code: "custom", message: error.message, input: undefined });
      return z.NEVER;
    }
  });
}

function list<T>(parse: (text: string) => T) {
  return z.array(text(parse), { error: "must be a list" }).optional();
}

function choice<const T extends readonly [string, ...string[]]>(...options: T) {
  return z.enum(options, { error: `must be one of ${options.join(", ")}` }).optional();
}

function flag() {
  return z.boolean({ error: "must be true or false" }).optional();
}

function count(least: number, most: number) {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error }).optional();
}

const tenYearsSeconds = 10 * 365 * 24 * 3600;

function duration(leastSeconds: number, mostSeconds = tenYearsSeconds) {
  const parse = (given: string): number => {
    const seconds = parseDurationSeconds(given);
    if (seconds >= leastSeconds && seconds <= mostSeconds) return seconds;
    throw new ValueError(`must be a duration from ${leastSeconds}s to ${mostSeconds}s`);
  };
  return text(parse, durationExpected).optional();
}

function section<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.strictObject(shape, { error: sectionError }).optional();
}

function sectionError(issue: { readonly code?: string }): string | undefined {
  return issue.code === "invalid_type" ? "must be a section with keys of its own" : undefined;
}

const value = <T>(parse: (text: string) => T) => text(parse).optional();

const mail = () =>
  section({ subject: value(parseLine), body: value((body) => body), validity: duration(1, 24 * 3600) });

const oidcProvider = z.strictObject(
  {
    issuer_url: value(parseIssuerUrl),
    discovery_url: value(parseDocumentUrl),
    tenants: list(parseUuid),
    base_url: value(parseSiteUrl),
    authorization_url: value(parseDocumentUrl),
    token_url: value(parseDocumentUrl),
    userinfo_url: value(parseDocumentUrl),
    emails_url: value(parseDocumentUrl),
    claims: section({
      subject: value(parseClaimPaths),
      email: value(parseClaimPaths),
      email_verified: value(parseClaimPaths),
      name: value(parseClaimPaths),
      picture: value(parseClaimPaths),
    }),
    client_id: value(parseLine),
    client_authentication: choice(...clientAuthenticationMethods),
    client_secret: value(parseLine),
    private_keys: list(parseLine),
    key_id: value(parseLine),
    team_id: value(parseLine),
    response_mode: choice("query", "form_post"),
    nonce: flag(),
    pkce: flag(),
    scopes: list(parseScope),
    validity: duration(1, 24 * 3600),
    authoritative_domains: list(parseDomain),
    callback: choice("own", "shared"),
  },
  { error: sectionError },
);

const session = section({
  hash_secret_key: value(parseSessionKey),
  block_secret_key: value(parseSessionKey),
  previous_hash_secret_keys: list(parseSessionKey),
  previous_block_secret_keys: list(parseSessionKey),
  domain: value(parseDomain),
  same_site: choice("lax", "strict", "none"),
  validity: duration(1),
  secure: flag(),
  headers: section({
    client_ip: value(parseHeaderName),
    client_country: value(parseHeaderName),
    client_city: value(parseHeaderName),
    client_latitude: value(parseHeaderName),
    client_longitude: value(parseHeaderName),
    client_user_agent: value(parseHeaderName),
  }),
});

const token = section({
  issuer: value(parseStringOrUri),
  audience: value(parseStringOrUri),
  validity: duration(1, 30 * 24 * 3600),
  algorithm: choice("ES256", "RS256", "EdDSA"),
  claims: section({
    add_org_ids: flag(),
    add_organizations: flag(),
    add_user_email: flag(),
    add_session_id: flag(),
  }),
});

/** How long credentials of service users live. */
const credentials = section({ validity: duration(60), longest_validity: duration(60) });

const authentication = section({
  session,
  token,
  credentials,
  clock_skew: duration(0, 600),
  assertions: choice("strict", "frontier"),
  signup: section({
    mode: choice("open", "domains", "invited"),
    domains: list(parseDomain),
    by_members: flag(),
  }),
  frontier_hidden_strategies: list(parseLine),
  callback_urls: list(parseExactUrl),
  authorized_redirect_urls: list(parseExactUrl),
  oidc_config: z.record(z.string(), oidcProvider, { error: sectionError }).optional(),
  mail_otp: mail(),
  mail_link: mail(),
  passkey: section({
    rpdisplayname: value(parseLine),
    rpid: value(parseHostName),
    rporigins: list(parseOrigin),
  }),
  test_users: section({ enabled: flag(), domain: value(parseDomain), otp: value(parseLine) }),
});

/** The bounds of contract §8. Times are at most what a slow but honest client needs. */
const limits = section({
  body_bytes: count(1024, 64 * 1024 * 1024),
  header_bytes: count(1024, 1024 * 1024),
  header_time: duration(1, 3600),
  request_time: duration(1, 3600),
  idle_time: duration(1, 3600),
  failed_credentials_per_client_per_minute: count(1, 1_000_000),
  failed_credentials_per_address_per_minute: count(1, 1_000_000),
  wrong_codes_per_flow: count(1, 10),
  wrong_codes_per_mailbox_per_hour: count(1, 100),
  begun_flows_per_ipv4_address_per_minute: count(1, 1_000_000),
  begun_flows_per_ipv6_block_per_minute: count(1, 1_000_000),
  mails_per_mailbox_per_hour: count(1, 1_000_000),
  mails_per_address_per_hour: count(1, 1_000_000),
  organizations_per_person: count(1, 1_000_000),
});

/** The whole of a settings file. */
export const settingsSchema = z.strictObject(
  {
    listen: value(parseListen),
    public_url: value(parsePublicUrl),
    data_dir: value(parseLine),
    database_url: value(parseDatabaseUrl),
    bootstrap: section({ client_id: value(parseUuid), client_secret: value(parseClientSecret) }),
    admin_emails: list(parseEmail),
    smtp: section({ url: value(parseSmtpUrl), from: value(parseMailSender) }),
    trusted_proxies: list(parseCidr),
    hsts: flag(),
    tls: section({ cert: value(parseLine), key: value(parseLine) }),
    encryption_key: value(parseEncryptionKeys),
    cors: section({ allowed_origins: list(parseOrigin) }),
    egress: section({ allow_cidrs: list(parseCidr) }),
    limits,
    direct_calls: flag(),
    audit: section({ retention: duration(3600) }),
    // What comes after takes up to 15 s more, and most supervisors kill after 30 s.
    shutdown: section({ grace: duration(0, 10) }),
    log: section({ level: choice("debug", "info", "warn", "error"), format: choice("pretty", "json") }),
    gate: section({ reason_header: flag() }),
    organizations: section({ creation: choice("everybody", "superusers") }),
    invitations: section({ validity: duration(60, 90 * 24 * 3600) }),
    pats: section({ longest_validity: duration(3600, 10 * 365 * 24 * 3600) }),
    authentication,
  },
  { error: sectionError },
);

/** What {@link settingsSchema} makes of a file and the environment. */
export type Settings = z.output<typeof settingsSchema>;

/** How a variable's text becomes the value of its key. */
interface Variable {
  readonly path: string;
  /** `list`: parts between commas, blanks around them dropped. */
  readonly form: "text" | "list";
}

/** The environment variables, but for the one that names the file. */
export const variables = {
  VESTIBULE_LISTEN: { path: "listen", form: "text" },
  VESTIBULE_PUBLIC_URL: { path: "public_url", form: "text" },
  VESTIBULE_DATA_DIR: { path: "data_dir", form: "text" },
  VESTIBULE_DATABASE_URL: { path: "database_url", form: "text" },
  VESTIBULE_BOOTSTRAP_CLIENT_ID: { path: "bootstrap.client_id", form: "text" },
  VESTIBULE_BOOTSTRAP_CLIENT_SECRET: { path: "bootstrap.client_secret", form: "text" },
  VESTIBULE_ADMIN_EMAILS: { path: "admin_emails", form: "list" },
  VESTIBULE_SMTP_URL: { path: "smtp.url", form: "text" },
  VESTIBULE_SMTP_FROM: { path: "smtp.from", form: "text" },
  VESTIBULE_TRUSTED_PROXIES: { path: "trusted_proxies", form: "list" },
  VESTIBULE_TLS_CERT: { path: "tls.cert", form: "text" },
  VESTIBULE_TLS_KEY: { path: "tls.key", form: "text" },
  VESTIBULE_ENCRYPTION_KEY: { path: "encryption_key", form: "text" },
} as const satisfies Record<string, Variable>;

/** Names the file of settings. */
export const configVariable = "VESTIBULE_CONFIG";

/** The variable that sets a key, if there is one. */
export function findVariableOf(path: string): string | undefined {
  return Object.entries(variables).find(([, variable]) => variable.path === path)?.[0];
}
