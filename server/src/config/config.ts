/**
 * What the process is told to be: one value, made once at start, validated
 * and frozen to the bottom. Every other room reads this and never
 * `process.env` or a file of settings.
 *
 * `docs/configuration.md` says the same for operators, key by key.
 */
import type { Cidr } from "../http/cidr.ts";
import type { ClaimsMap } from "../lib/claims-map.ts";
import type { ClientAuthentication } from "../lib/client-authentication.ts";
import type { OAuthEndpoints } from "../lib/well-known-providers.ts";

/** Whom mail comes from. */
export interface MailSenderConfig {
  /** Absent where the address stands alone. */
  readonly name: string | undefined;
  readonly address: string;
}

/** All settings, with every default filled in. */
export interface Config {
  /** Where the one port is opened. */
  readonly listen: ListenConfig;
  /**
   * Origin that clients see, without a slash at its end. Links in mails,
   * redirect URIs, `iss` and metadata are made from it, never from a header.
   */
  readonly publicUrl: string;
  /** Absolute path of the folder for the database, key files and outbox. */
  readonly dataDir: string;
  readonly database: DatabaseConfig;
  /** The superuser's credential; absent, one is generated at the first start. */
  readonly bootstrap: BootstrapConfig | undefined;
  /** Lower case. Users who proved one of these addresses are superusers. */
  readonly adminEmails: readonly string[];
  /** `smtp:` or `smtps:` URL, with its password; absent, mail goes to the outbox folder. */
  readonly smtpUrl: string | undefined;
  /** Absent, mail comes from `no-reply` at the public host, in the name of the place. */
  readonly mailFrom: MailSenderConfig | undefined;
  /** Peers whose `Forwarded` and `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: readonly Cidr[];
  /** Absent: the port speaks plain text. */
  readonly tls: TlsConfig | undefined;
  /** Whether browsers are told to come by https alone; never where the public URL is not https. */
  readonly hsts: boolean;
  /**
   * Keys of 32 bytes in base64url, the first encrypts; empty when they come
   * from the data directory. Read them through `resolveSecrets`.
   */
  readonly encryptionKeys: readonly string[];
  readonly cors: CorsConfig;
  readonly egress: EgressConfig;
  readonly limits: LimitsConfig;
  /** Whether most calls are answered without the library's adapter. */
  readonly directCalls: boolean;
  readonly audit: AuditConfig;
  readonly shutdown: ShutdownConfig;
  readonly log: LogConfig;
  /** Absent unless the environment asks for traces. */
  readonly tracing: TracingConfig | undefined;
  readonly gate: GateConfig;
  readonly organizations: OrganizationsConfig;
  readonly invitations: InvitationsConfig;
  readonly pats: PatsConfig;
  readonly authentication: AuthenticationConfig;
}

/** The address that the one port binds to. */
export interface ListenConfig {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** Which database holds all state. */
export type DatabaseConfig =
  | {
      readonly dialect: "sqlite";
      /** Absolute path of the file. */
      readonly path: string;
    }
  | {
      readonly dialect: "postgres";
      /** Connection URL, with its password. */
      readonly url: string;
    };

/** The first credential, made at start for who is to make all others. */
export interface BootstrapConfig {
  /** UUID in lower case. */
  readonly clientId: string;
  /** At least 32 characters. */
  readonly clientSecret: string;
}

/** Certificate chain and its private key, as PEM; they were seen to fit. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
}

/** Pages of other origins that may call by script, with credentials. */
export interface CorsConfig {
  /** Exact origins, as a browser sends them. */
  readonly allowedOrigins: readonly string[];
}

/** Exceptions to the rule that nothing is fetched inside the network. */
export interface EgressConfig {
  /** Internal networks that outgoing fetches may reach. */
  readonly allowCidrs: readonly Cidr[];
}

/** Bounds that hold against everyone; rates are per rolling window. */
export interface LimitsConfig {
  readonly bodyBytes: number;
  readonly headerBytes: number;
  /** From the first byte of a request to the end of its headers. */
  readonly headerTimeSeconds: number;
  /** From the first byte of a request to its last. */
  readonly requestTimeSeconds: number;
  /** How long a connection without a request stays open, and one whose answer finds no taker. */
  readonly idleTimeSeconds: number;
  /** Failed machine credentials per (address, client id) and minute. */
  readonly failedCredentialsPerClientPerMinute: number;
  /** Failed machine credentials per address and minute. */
  readonly failedCredentialsPerAddressPerMinute: number;
  /** Wrong codes that end a flow. */
  readonly wrongCodesPerFlow: number;
  /** Wrong codes per mailbox and hour, over all its flows. */
  readonly wrongCodesPerMailboxPerHour: number;
  /** Sign-ins begun and not ended per IPv4 address and minute. */
  readonly begunFlowsPerIpv4AddressPerMinute: number;
  /** The same per IPv6 /64. */
  readonly begunFlowsPerIpv6BlockPerMinute: number;
  readonly mailsPerMailboxPerHour: number;
  /** Absent, as by default where mail goes to the outbox folder: as many as are asked for. */
  readonly mailsPerAddressPerHour: number | undefined;
  /** Organizations that a person may own; superusers may own and give more. */
  readonly organizationsPerPerson: number;
}

/** How the audit trail is kept. */
export interface AuditConfig {
  /** How long audit records are kept. */
  readonly retentionSeconds: number;
}

/** How a process stops. */
export interface ShutdownConfig {
  /** For how long a process that is told to stop goes on accepting connections. */
  readonly graceSeconds: number;
}

/** What is logged, and in which shape. */
export interface LogConfig {
  readonly level: LogLevel;
  /** `pretty` for people, `json` one object a line. */
  readonly format: "pretty" | "json";
}

/** Least severe level that is written. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Traces, as OpenTelemetry's variables ask for them. */
export interface TracingConfig {
  /** Where spans are sent; absent when they only go to the log. */
  readonly otlp: OtlpConfig | undefined;
  /** Whether each span is a line of the log. */
  readonly console: boolean;
  /** What every span says of this process; `service.name` is among them. */
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly sampler: SamplerConfig;
  /** Whether the trace context of requests (W3C) is looked at. */
  readonly takesTraceContext: boolean;
  readonly batch: SpanBatchConfig;
}

/** A collector that takes OTLP over HTTP, as protobuf. */
export interface OtlpConfig {
  /** Whole, with its path. */
  readonly url: string;
  /** May hold secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** For one export, its retries included. */
  readonly timeoutMs: number;
  readonly gzip: boolean;
  /** PEM of the authority to trust instead of the system's. */
  readonly ca: string | undefined;
  /** PEM of what this process proves itself with; both or none. */
  readonly clientCert: string | undefined;
  readonly clientKey: string | undefined;
}

/** Which traces are kept. */
export interface SamplerConfig {
  /** Whether a trace that someone else began is kept if and only if they keep it. */
  readonly followsParent: boolean;
  /** Of all others, which part: 1 is all, 0 none. */
  readonly ratio: number;
}

/** How spans are gathered before they are sent. */
export interface SpanBatchConfig {
  readonly delayMs: number;
  readonly exportTimeoutMs: number;
  /** Spans that come when this many wait are lost. */
  readonly mostWaiting: number;
  readonly perExport: number;
}

/** How the gate answers proxies. */
export interface GateConfig {
  /** Whether denials tell the proxy their reason in a header. */
  readonly reasonHeader: boolean;
}

/** Who may make organizations. */
export interface OrganizationsConfig {
  /** `everybody` are all people who have proven their address. */
  readonly creation: "everybody" | "superusers";
}

/** Invitations into organizations. */
export interface InvitationsConfig {
  /** How long one can be accepted. */
  readonly validitySeconds: number;
}

/** Personal access tokens. */
export interface PatsConfig {
  /** How long one lives at most. */
  readonly longestValiditySeconds: number;
}

/** How machines and people prove who they are, and what they get for it. */
export interface AuthenticationConfig {
  readonly session: SessionConfig;
  readonly token: TokenConfig;
  readonly credentials: CredentialsConfig;
  /** Leeway in reading instants that others have set. */
  readonly clockSkewSeconds: number;
  /** `frontier` relaxes the checks of assertions at `AuthToken`. */
  readonly assertions: "strict" | "frontier";
  readonly signup: SignupConfig;
  /** Strategy names that the Frontier alias does not list. */
  readonly frontierHiddenStrategies: readonly string[];
  /** Where our own pages are answered: the public URL's `/auth/callback`. Those of providers are here or below. */
  readonly plainCallbackUrl: string;
  /**
   * Besides our own. The first is the default, without any it is the provider's
   * own. The plain one in here stands for each provider's own.
   */
  readonly callbackUrls: readonly string[];
  /** A request's `return_to` must equal one of them. */
  readonly authorizedRedirectUrls: readonly string[];
  /** By strategy name, in the order of the file. */
  readonly oidcProviders: readonly OidcProviderConfig[];
  readonly mailOtp: MailConfig;
  readonly mailLink: MailConfig;
  /** Absent when the public host is an address: WebAuthn needs a name. */
  readonly passkey: PasskeyConfig | undefined;
  /** Absent unless configured and enabled. */
  readonly testUsers: TestUsersConfig | undefined;
}

/** Sessions, their cookies, and the headers that tell of a device. */
export interface SessionConfig {
  /** 32 ASCII characters; absent when it comes from the data directory. */
  readonly hashSecretKey: string | undefined;
  /** 32 ASCII characters; absent when it comes from the data directory. */
  readonly blockSecretKey: string | undefined;
  /** Accepted on reading a cookie, never used for a new one. */
  readonly previousHashSecretKeys: readonly string[];
  /** Accepted on reading a cookie, never used for a new one. */
  readonly previousBlockSecretKeys: readonly string[];
  /** Cookie domain; absent, the cookie belongs to the public host alone. */
  readonly domain: string | undefined;
  readonly sameSite: "lax" | "strict" | "none";
  readonly secure: boolean;
  /**
   * Whether a companion ties the cookie to the public host: browsers come by
   * https, and neither a domain above nor plain http may have the cookie.
   */
  readonly isBound: boolean;
  /** Absolute lifetime of a session. */
  readonly validitySeconds: number;
  readonly headers: SessionHeadersConfig;
}

/** Header names in lower case; believed from trusted proxies only. */
export interface SessionHeadersConfig {
  readonly clientIp: string;
  readonly clientCountry: string;
  readonly clientCity: string;
  readonly clientLatitude: string;
  readonly clientLongitude: string;
  readonly clientUserAgent: string;
}

/** Access tokens: who issues them, for whom, how long they hold, what they say. */
export interface TokenConfig {
  readonly issuer: string;
  readonly audience: string;
  readonly validitySeconds: number;
  readonly algorithm: "ES256" | "RS256" | "EdDSA";
  readonly claims: TokenClaimsConfig;
}

/** How long credentials of service users live. Neither touches those that are there. */
export interface CredentialsConfig {
  /** Of one whose call does not say; absent, it does not expire. Never beyond the longest. */
  readonly validitySeconds: number | undefined;
  /** Of any; absent, there is no limit. */
  readonly longestValiditySeconds: number | undefined;
}

/** Which optional claims access tokens carry. */
export interface TokenClaimsConfig {
  readonly addOrgIds: boolean;
  readonly addOrganizations: boolean;
  readonly addUserEmail: boolean;
  readonly addSessionId: boolean;
}

/** Who may become a user by signing in. */
export interface SignupConfig {
  readonly mode: "open" | "domains" | "invited";
  /** Lower case; not empty exactly when the mode is `domains`. */
  readonly domains: readonly string[];
  /** Whether owners' invitations into their organizations admit as superusers' do. */
  readonly byMembers: boolean;
}

/** One sign-in provider: OpenID Connect, or GitHub's plain OAuth 2. */
export interface OidcProviderConfig {
  /** Name of the strategy. */
  readonly name: string;
  /** Exactly as its ID tokens say it, or with `{tenantid}` where they say a tenant's id; of plain OAuth 2, whose the identities are. */
  readonly issuerUrl: string | undefined;
  /** Where its document is, if not where OpenID Connect Discovery 1.0 §4 says. */
  readonly discoveryUrl: string | undefined;
  /** Ids, in lower case, of the tenants whose people may come in; absent, those of every tenant. */
  readonly tenants: readonly string[] | undefined;
  /** Of a provider that speaks plain OAuth 2 alone. */
  readonly oauth: (OAuthEndpoints & { readonly claims: ClaimsMap }) | undefined;
  readonly clientId: string;
  readonly clientAuthentication: ClientAuthentication;
  /** How the browser brings the answer: in the URL, or in a form that the provider has it post (Form Post Response Mode 1.0). */
  readonly responseMode: "query" | "form_post";
  /** False for a provider that answers with no nonce: only PKCE then ties a code to its flow. */
  readonly usesNonce: boolean;
  /** False for a provider that refuses PKCE: only the nonce then ties a code to its flow, and of plain OAuth 2 only `state`. */
  readonly usesPkce: boolean;
  readonly scopes: readonly string[];
  /** How long a flow may take. */
  readonly validitySeconds: number;
  /** Lower case. Domains whose addresses this provider speaks for. */
  readonly authoritativeDomains: readonly string[];
  /**
   * The URL of ours that it is registered with and sends browsers back to: no
   * other provider's, so that an answer tells by where it comes whose it is
   * (RFC 9700 §4.4.2).
   */
  readonly callbackUrl: string;
}

/** Mail of one strategy; an absent text means the built-in one. */
export interface MailConfig {
  readonly subject: string | undefined;
  readonly body: string | undefined;
  /** How long a code or link works. */
  readonly validitySeconds: number;
}

/** WebAuthn's relying party (Level 2 §5.4.2). */
export interface PasskeyConfig {
  readonly rpDisplayName: string;
  readonly rpId: string;
  readonly rpOrigins: readonly string[];
}

/** Addresses that sign in with a fixed code: for tests of whole systems only. */
export interface TestUsersConfig {
  /** Lower case. */
  readonly domain: string;
  readonly otp: string;
}
