/**
 * Second step: fill in the defaults and refuse what does not belong together.
 * Values come here read and checked one by one.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import type {
  BootstrapConfig,
  Config,
  DatabaseConfig,
  LimitsConfig,
  ListenConfig,
  TlsConfig,
} from "./config.ts";
import { decideAuthentication } from "./decide-authentication.ts";
import { readPem } from "./pem-file.ts";
import { type Problems, toEitherName } from "./problems.ts";
import type { Environment, Files } from "./read-settings.ts";
import { readTracing } from "./read-tracing.ts";
import type { Settings } from "./schema.ts";

/** Terminal, folder and variables, which decide besides the settings. */
export interface ConfigContext extends Files {
  /** Whether the log is read by a person on a terminal. */
  readonly isTty: boolean;
  /** For the variables that are no settings of ours: OpenTelemetry's. */
  readonly env: Environment;
}

/** Makes the configuration; what is missing or impossible is refused, and then the answer is not to be used. */
export function decide(settings: Settings, context: ConfigContext, problems: Problems): Config {
  const listen = settings.listen ?? { host: "127.0.0.1", port: 7400 };
  const publicUrl = settings.public_url ?? decidePublicUrl(listen, settings, problems);
  const dataDir = resolve(context.cwd, settings.data_dir ?? "data");
  const database = decideDatabase(settings, dataDir, context);
  if (database.dialect === "postgres") requireKeys(settings, problems);
  return {
    listen,
    publicUrl,
    dataDir,
    database,
    bootstrap: decideBootstrap(settings, problems),
    adminEmails: settings.admin_emails ?? [],
    smtpUrl: settings.smtp?.url,
    mailFrom: settings.smtp?.from,
    trustedProxies: settings.trusted_proxies ?? [],
    tls: decideTls(settings, context, problems),
    hsts: decideHsts(settings, publicUrl, problems),
    encryptionKeys: settings.encryption_key ?? [],
    cors: { allowedOrigins: settings.cors?.allowed_origins ?? [] },
    egress: { allowCidrs: settings.egress?.allow_cidrs ?? [] },
    limits: decideLimits(settings.limits ?? {}, settings.smtp?.url !== undefined, problems),
    directCalls: settings.direct_calls ?? true,
    audit: { retentionSeconds: settings.audit?.retention ?? 90 * 24 * 3600 },
    shutdown: { graceSeconds: settings.shutdown?.grace ?? (context.isTty ? 0 : 5) },
    log: {
      level: settings.log?.level ?? "info",
      format: settings.log?.format ?? (context.isTty ? "pretty" : "json"),
    },
    tracing: readTracing(context.env, context, problems),
    gate: { reasonHeader: settings.gate?.reason_header ?? false },
    organizations: { creation: settings.organizations?.creation ?? "everybody" },
    invitations: { validitySeconds: settings.invitations?.validity ?? 7 * 24 * 3600 },
    pats: { longestValiditySeconds: settings.pats?.longest_validity ?? 365 * 24 * 3600 },
    authentication: decideAuthentication(settings.authentication ?? {}, publicUrl, context, problems),
  };
}

function decidePublicUrl(listen: ListenConfig, settings: Settings, problems: Problems): string {
  if (listen.port === 0 && !problems.isRefused("public_url")) {
    problems.refuse(toEitherName("public_url"), "must be given when listen leaves the port to the system");
  }
  const hasTls = settings.tls?.cert !== undefined || problems.isRefused("tls");
  return new URL(`${hasTls ? "https" : "http"}://localhost:${listen.port}`).origin;
}

/** Browsers heed it by https alone (RFC 6797 §8.1): whoever asks for it by http believes in what is not there. */
function decideHsts({ hsts }: Settings, publicUrl: string, problems: Problems): boolean {
  const isHttps = publicUrl.startsWith("https:");
  if (hsts === true && !isHttps && !problems.isRefused("public_url")) {
    problems.refuse("hsts", "can be true only when public_url is https");
  }
  return isHttps && (hsts ?? true);
}

function decideDatabase(settings: Settings, dataDir: string, { cwd }: Files): DatabaseConfig {
  const given = settings.database_url;
  if (given === undefined) return { dialect: "sqlite", path: resolve(dataDir, "vestibule.db") };
  return given.dialect === "sqlite" ? { ...given, path: resolve(cwd, given.path) } : given;
}

/** Processes that share a database must share its keys, so none of them may make its own. */
function requireKeys(settings: Settings, problems: Problems): void {
  const session = settings.authentication?.session;
  const keys = {
    encryption_key: settings.encryption_key,
    "authentication.session.hash_secret_key": session?.hash_secret_key,
    "authentication.session.block_secret_key": session?.block_secret_key,
  };
  for (const [path, key] of Object.entries(keys)) {
    if (key !== undefined || problems.isRefused(path)) continue;
    problems.refuse(
      toEitherName(path),
      "must be given: with postgres:// all keys come from the configuration",
    );
  }
}

function decideBootstrap(settings: Settings, problems: Problems): BootstrapConfig | undefined {
  const { client_id: clientId, client_secret: clientSecret } = settings.bootstrap ?? {};
  if (clientId !== undefined && clientSecret !== undefined) return { clientId, clientSecret };
  requireBoth("bootstrap.client_id", clientId, "bootstrap.client_secret", clientSecret, problems);
  return undefined;
}

function decideTls(settings: Settings, files: Files, problems: Problems): TlsConfig | undefined {
  const { cert: certPath, key: keyPath } = settings.tls ?? {};
  if (certPath === undefined || keyPath === undefined) {
    requireBoth("tls.cert", certPath, "tls.key", keyPath, problems);
    return undefined;
  }
  const cert = readPem("tls.cert", certPath, "certificate", parseCertificate, files, problems);
  const key = readPem(
    "tls.key",
    keyPath,
    "private key without passphrase",
    createPrivateKey,
    files,
    problems,
  );
  if (cert === undefined || key === undefined) return undefined;
  if (!cert.parsed.checkPrivateKey(key.parsed))
    problems.refuse("tls.key", "must be the private key of tls.cert");
  return { cert: cert.pem, key: key.pem };
}

function parseCertificate(pem: string): X509Certificate {
  return new X509Certificate(pem);
}

/** Refuses the absent half of a pair; a half that was refused for itself counts as given. */
function requireBoth(
  firstPath: string,
  first: unknown,
  secondPath: string,
  second: unknown,
  problems: Problems,
): void {
  const isGiven = (path: string, value: unknown) => value !== undefined || problems.isRefused(path);
  const hasFirst = isGiven(firstPath, first);
  const hasSecond = isGiven(secondPath, second);
  if (hasFirst && !hasSecond)
    problems.refuse(toEitherName(secondPath), `must be given together with ${firstPath}`);
  if (hasSecond && !hasFirst)
    problems.refuse(toEitherName(firstPath), `must be given together with ${secondPath}`);
}

function decideLimits(
  given: NonNullable<Settings["limits"]>,
  sendsMail: boolean,
  problems: Problems,
): LimitsConfig {
  const limits = {
    bodyBytes: given.body_bytes ?? 1024 * 1024,
    headerBytes: given.header_bytes ?? 16 * 1024,
    headerTimeSeconds: given.header_time ?? 10,
    requestTimeSeconds: given.request_time ?? 30,
    idleTimeSeconds: given.idle_time ?? 120,
    failedCredentialsPerClientPerMinute: given.failed_credentials_per_client_per_minute ?? 20,
    failedCredentialsPerAddressPerMinute: given.failed_credentials_per_address_per_minute ?? 100,
    wrongCodesPerFlow: given.wrong_codes_per_flow ?? 3,
    wrongCodesPerMailboxPerHour: given.wrong_codes_per_mailbox_per_hour ?? 10,
    begunFlowsPerIpv4AddressPerMinute: given.begun_flows_per_ipv4_address_per_minute ?? 600,
    begunFlowsPerIpv6BlockPerMinute: given.begun_flows_per_ipv6_block_per_minute ?? 60,
    mailsPerMailboxPerHour: given.mails_per_mailbox_per_hour ?? 5,
    mailsPerAddressPerHour: given.mails_per_address_per_hour ?? (sendsMail ? 100 : undefined),
    organizationsPerPerson: given.organizations_per_person ?? 20,
  };
  const isJudged = !problems.isRefused("limits.header_time") && !problems.isRefused("limits.request_time");
  if (isJudged && limits.headerTimeSeconds > limits.requestTimeSeconds) {
    problems.refuse("limits.header_time", "must not be longer than limits.request_time, which includes it");
  }
  return limits;
}
