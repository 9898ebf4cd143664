import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Config } from "./config.ts";
import { type Given, load, problemsOf, tls } from "./test-support.ts";

const key31 = "k".repeat(31);
const key32 = "k".repeat(32);
const key33 = "k".repeat(33);
const uuid = "0198c0de-0000-7000-8000-000000000001";
const toKey = (fill: number, bytes = 32): string => Buffer.alloc(bytes, fill).toString("base64url");

const ofSession = (yaml: string): Given => ({ yaml: `authentication: { session: { ${yaml} } }` });
const ofAuthentication = (yaml: string): Given => ({ yaml: `authentication: { ${yaml} }` });
const ofProvider = (name: string, yaml: string): Given =>
  ofAuthentication(`oidc_config: { ${name}: { ${yaml} } }`);
const ofEnv = (env: Record<string, string>): Given => ({ env });

describe("where settings come from", () => {
  test("with nothing given, everything has its default", () => {
    expect(load({})).toMatchObject({
      listen: { host: "127.0.0.1", port: 7400 },
      publicUrl: "http://localhost:7400",
      dataDir: "/srv/data",
      database: { dialect: "sqlite", path: "/srv/data/vestibule.db" },
      bootstrap: undefined,
      smtpUrl: undefined,
      mailFrom: undefined,
      trustedProxies: [],
      tls: undefined,
      encryptionKeys: [],
      limits: {
        bodyBytes: 1_048_576,
        headerBytes: 16_384,
        headerTimeSeconds: 10,
        requestTimeSeconds: 30,
        idleTimeSeconds: 120,
        begunFlowsPerIpv4AddressPerMinute: 600,
        begunFlowsPerIpv6BlockPerMinute: 60,
        mailsPerMailboxPerHour: 5,
        mailsPerAddressPerHour: undefined,
      },
      log: { level: "info", format: "json" },
      gate: { reasonHeader: false },
      organizations: { creation: "everybody" },
      invitations: { validitySeconds: 604_800 },
      authentication: {
        session: {
          domain: undefined,
          sameSite: "lax",
          secure: false,
          isBound: false,
          validitySeconds: 2_592_000,
        },
        token: {
          issuer: "http://localhost:7400",
          audience: "http://localhost:7400",
          validitySeconds: 3600,
          algorithm: "ES256",
          claims: { addOrgIds: true, addOrganizations: true, addUserEmail: true, addSessionId: true },
        },
        credentials: { validitySeconds: undefined, longestValiditySeconds: undefined },
        clockSkewSeconds: 60,
        assertions: "strict",
        signup: { mode: "open", domains: [], byMembers: false },
        plainCallbackUrl: "http://localhost:7400/auth/callback",
        callbackUrls: [],
        authorizedRedirectUrls: [],
        oidcProviders: [],
        mailOtp: { validitySeconds: 600 },
        passkey: { rpDisplayName: "localhost", rpId: "localhost", rpOrigins: ["http://localhost:7400"] },
        testUsers: undefined,
      },
    } satisfies { [K in keyof Config]?: unknown });
  });

  test.each([
    ["smtp: { url: smtp://mail }", 100],
    ["smtp: { url: smtp://mail }\nlimits: { mails_per_address_per_hour: 7 }", 7],
    ["limits: { mails_per_address_per_hour: 7 }", 7],
  ])("with %j mails per address are %d", (yaml, mailsPerAddressPerHour) => {
    expect(load({ yaml }).limits).toMatchObject({ mailsPerAddressPerHour });
  });

  test("the environment wins over the file, also over a bad value there", () => {
    const yaml =
      "listen: nonsense\ndata_dir: from-file\nsmtp: { url: smtp://file }\nadmin_emails: [a@example.com]";
    const env = {
      VESTIBULE_LISTEN: "[::1]:80",
      VESTIBULE_SMTP_URL: "smtp://env",
      VESTIBULE_SMTP_FROM: "Example <id@example.com>",
      VESTIBULE_ADMIN_EMAILS: "B@example.com, c@example.com",
    };
    expect(load({ yaml, env })).toMatchObject({
      listen: { host: "::1", port: 80 },
      dataDir: "/srv/from-file",
      smtpUrl: "smtp://env",
      mailFrom: { name: "Example", address: "id@example.com" },
      adminEmails: ["b@example.com", "c@example.com"],
    });
  });

  test("an empty list in the environment is an empty list", () => {
    expect(
      load({ yaml: "trusted_proxies: [10.0.0.0/8]", env: { VESTIBULE_TRUSTED_PROXIES: "" } }).trustedProxies,
    ).toEqual([]);
  });

  test("VESTIBULE_CONFIG names the file, relative to the working directory", () => {
    const files = { "/srv/conf/v.yaml": "data_dir: /var/lib/v" };
    expect(load({ files, env: { VESTIBULE_CONFIG: "conf/v.yaml" } }).dataDir).toBe("/var/lib/v");
    expect(load({ files, env: { VESTIBULE_CONFIG: "/srv/conf/v.yaml" } }).dataDir).toBe("/var/lib/v");
  });

  test.each(["", "# only a comment", "---", "smtp:\ntls:\nauthentication:\n  session:\n"])(
    "a file without values (%j) is fine",
    (yaml) => {
      expect(load({ yaml })).toEqual(load({}));
    },
  );

  test("log.format is pretty on a terminal unless given", () => {
    expect(load({ isTty: true }).log.format).toBe("pretty");
    expect(load({ isTty: true, yaml: "log: { format: json }" }).log.format).toBe("json");
  });

  test("the answer is frozen to the bottom", () => {
    const config = load({ yaml: "trusted_proxies: [10.0.0.0/8]" });
    for (const part of [
      config,
      config.listen,
      config.trustedProxies,
      config.trustedProxies[0],
      config.authentication.token.claims,
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });
});

describe("what depends on other settings", () => {
  test.each([
    ["the port", "listen: 0.0.0.0:8080", "http://localhost:8080"],
    ["TLS", "tls: { cert: c.pem, key: k.pem }", "https://localhost:7400"],
    ["the scheme's own port", "listen: localhost:80", "http://localhost"],
  ])("the public URL follows %s", (_, yaml, publicUrl) => {
    expect(load({ yaml, files: { "/srv/c.pem": tls.cert, "/srv/k.pem": tls.key } }).publicUrl).toBe(
      publicUrl,
    );
  });

  test("cookies, tokens, callbacks and passkeys follow the public URL", () => {
    const { authentication } = load({ yaml: "public_url: https://auth.example.com/" });
    expect(authentication).toMatchObject({
      session: { secure: true, isBound: true },
      token: { issuer: "https://auth.example.com", audience: "https://auth.example.com" },
      plainCallbackUrl: "https://auth.example.com/auth/callback",
      passkey: { rpId: "auth.example.com", rpOrigins: ["https://auth.example.com"] },
    });
  });

  test("the audience follows the issuer", () => {
    expect(load(ofAuthentication("token: { issuer: frontier }")).authentication.token).toMatchObject({
      issuer: "frontier",
      audience: "frontier",
    });
  });

  test("there are no passkeys while the public host is an address", () => {
    expect(load({ yaml: "public_url: http://127.0.0.1:7400" }).authentication.passkey).toBeUndefined();
  });

  test("certificate and key are read", () => {
    const config = load({
      yaml: "tls: { cert: c.pem, key: /k.pem }",
      files: { "/srv/c.pem": tls.cert, "/k.pem": tls.key },
    });
    expect(config.tls).toEqual(tls);
  });

  test("well-known providers need no issuer, others keep theirs as written", () => {
    const yaml = `
authentication:
  oidc_config:
    google: { client_id: g, client_secret: gs }
    github: { client_id: h, client_secret: hs, base_url: "https://git.example.com/" }
    okta: { client_id: o, client_secret: os, issuer_url: "https://id.example.com/", validity: 5m, authoritative_domains: [Example.com], callback: shared }
`;
    expect(load({ yaml }).authentication.oidcProviders).toEqual([
      {
        name: "google",
        issuerUrl: "https://accounts.google.com",
        discoveryUrl: undefined,
        tenants: undefined,
        oauth: undefined,
        clientId: "g",
        clientAuthentication: { method: "announced", secret: "gs" },
        responseMode: "query",
        usesNonce: true,
        usesPkce: true,
        scopes: ["openid", "email", "profile"],
        validitySeconds: 600,
        authoritativeDomains: [],
        callbackUrl: "http://localhost:7400/auth/callback/google",
      },
      {
        name: "github",
        issuerUrl: "https://git.example.com",
        discoveryUrl: undefined,
        tenants: undefined,
        oauth: {
          authorizationUrl: "https://git.example.com/login/oauth/authorize",
          tokenUrl: "https://git.example.com/login/oauth/access_token",
          userinfoUrl: "https://git.example.com/api/v3/user",
          emailsUrl: "https://git.example.com/api/v3/user/emails",
          claims: { subject: ["id"], name: ["name", "login"], picture: ["avatar_url"] },
        },
        clientId: "h",
        clientAuthentication: { method: "client_secret_post", secret: "hs" },
        responseMode: "query",
        usesNonce: true,
        usesPkce: true,
        scopes: ["read:user", "user:email"],
        validitySeconds: 600,
        authoritativeDomains: [],
        callbackUrl: "http://localhost:7400/auth/callback/github",
      },
      {
        name: "okta",
        issuerUrl: "https://id.example.com/",
        discoveryUrl: undefined,
        tenants: undefined,
        oauth: undefined,
        clientId: "o",
        clientAuthentication: { method: "announced", secret: "os" },
        responseMode: "query",
        usesNonce: true,
        usesPkce: true,
        scopes: ["openid", "email", "profile"],
        validitySeconds: 300,
        authoritativeDomains: ["example.com"],
        callbackUrl: "http://localhost:7400/auth/callback",
      },
    ]);
  });

  test("test users are honoured only when enabled", () => {
    const users = "domain: test.example.com, otp: '111111'";
    expect(load(ofAuthentication(`test_users: { ${users} }`)).authentication.testUsers).toBeUndefined();
    expect(
      load(ofAuthentication(`test_users: { enabled: true, ${users} }`)).authentication.testUsers,
    ).toEqual({
      domain: "test.example.com",
      otp: "111111",
    });
  });
});

const secret31 = "s".repeat(31);
const secret32 = "s".repeat(32);
const postgresKeys = `
encryption_key: ${toKey(1)}
authentication: { session: { hash_secret_key: ${key32}, block_secret_key: ${key32} } }
`;

/** What is refused, the start of what is said, and the nearest thing that is taken. */
const boundaries: readonly (readonly [string, Given, string, Given])[] = [
  [
    "a session key of 31 characters",
    ofSession(`hash_secret_key: ${key31}`),
    "authentication.session.hash_secret_key: must be exactly 32 characters, has 31",
    ofSession(`hash_secret_key: ${key32}`),
  ],
  [
    "a session key of 33 characters",
    ofSession(`block_secret_key: ${key33}`),
    "authentication.session.block_secret_key: must be exactly 32 characters, has 33",
    ofSession(`block_secret_key: ${key32}`),
  ],
  [
    "a session key of 32 other characters",
    ofSession(`hash_secret_key: "${"é".repeat(32)}"`),
    "authentication.session.hash_secret_key: must be exactly 32 printable ASCII characters",
    ofSession(`hash_secret_key: "${"~ ".repeat(16)}"`),
  ],
  [
    "a session key that YAML reads as a number",
    ofSession(`hash_secret_key: ${"1".repeat(32)}`),
    "authentication.session.hash_secret_key: must be text; put it in quotes",
    ofSession(`hash_secret_key: "${"1".repeat(32)}"`),
  ],
  [
    "a previous key of 31 characters",
    ofSession(`previous_hash_secret_keys: [${key32}, ${key31}]`),
    "authentication.session.previous_hash_secret_keys[1]: must be exactly 32 characters, has 31",
    ofSession(`previous_hash_secret_keys: [${key32}]`),
  ],
  [
    "a previous key of 33 characters",
    ofSession(`previous_block_secret_keys: [${key33}]`),
    "authentication.session.previous_block_secret_keys[0]: must be exactly 32 characters, has 33",
    ofSession(`previous_block_secret_keys: [${key32}]`),
  ],
  [
    "an encryption key of 31 bytes",
    ofEnv({ VESTIBULE_ENCRYPTION_KEY: toKey(1, 31) }),
    "VESTIBULE_ENCRYPTION_KEY (encryption_key): must be 32 bytes",
    ofEnv({ VESTIBULE_ENCRYPTION_KEY: toKey(1) }),
  ],
  [
    "an encryption key of 33 bytes",
    ofEnv({ VESTIBULE_ENCRYPTION_KEY: `${toKey(1)},${toKey(2, 33)}` }),
    "VESTIBULE_ENCRYPTION_KEY (encryption_key): must be 32 bytes as base64url (43 characters, no padding), or several with commas between; key 2 of 2",
    ofEnv({ VESTIBULE_ENCRYPTION_KEY: `${toKey(1)}, ${toKey(2)}` }),
  ],
  [
    "a padded encryption key",
    { yaml: `encryption_key: ${toKey(1)}=` },
    "encryption_key: must be 32 bytes",
    { yaml: `encryption_key: ${toKey(1)}` },
  ],
  [
    "one encryption key twice",
    { yaml: `encryption_key: "${toKey(1)},${toKey(1)}"` },
    "encryption_key: must not name one key twice",
    { yaml: `encryption_key: "${toKey(1)},${toKey(2)}"` },
  ],
  [
    "a bootstrap secret of 31 characters",
    { yaml: `bootstrap: { client_id: ${uuid}, client_secret: ${secret31} }` },
    "bootstrap.client_secret: must be 32 to 1024 characters, has 31",
    { yaml: `bootstrap: { client_id: ${uuid}, client_secret: ${secret32} }` },
  ],
  [
    "a bootstrap secret of 1025 characters",
    { yaml: `bootstrap: { client_id: ${uuid}, client_secret: ${"s".repeat(1025)} }` },
    "bootstrap.client_secret: must be 32 to 1024 characters, has 1025",
    { yaml: `bootstrap: { client_id: ${uuid}, client_secret: ${"s".repeat(1024)} }` },
  ],
  [
    "a bootstrap id that is no UUID",
    { yaml: `bootstrap: { client_id: admin, client_secret: ${secret32} }` },
    "bootstrap.client_id: must be a UUID",
    { yaml: `bootstrap: { client_id: ${uuid}, client_secret: ${secret32} }` },
  ],
  [
    "a bootstrap id without secret",
    ofEnv({ VESTIBULE_BOOTSTRAP_CLIENT_ID: uuid }),
    "bootstrap.client_secret (or VESTIBULE_BOOTSTRAP_CLIENT_SECRET): must be given together with bootstrap.client_id",
    ofEnv({ VESTIBULE_BOOTSTRAP_CLIENT_ID: uuid, VESTIBULE_BOOTSTRAP_CLIENT_SECRET: secret32 }),
  ],
  [
    "a bootstrap secret without id",
    ofEnv({ VESTIBULE_BOOTSTRAP_CLIENT_SECRET: secret32 }),
    "bootstrap.client_id (or VESTIBULE_BOOTSTRAP_CLIENT_ID): must be given together with bootstrap.client_secret",
    { yaml: `bootstrap: { client_id: ${uuid} }`, env: { VESTIBULE_BOOTSTRAP_CLIENT_SECRET: secret32 } },
  ],
  [
    "same_site none without secure",
    ofSession("same_site: none"),
    "authentication.session.same_site: must not be none without",
    ofSession("same_site: none, secure: true"),
  ],
  [
    "an unknown same_site",
    ofSession("same_site: default"),
    "authentication.session.same_site: must be one of lax, strict, none",
    ofSession("same_site: strict"),
  ],
  [
    "a cookie domain beside the public host",
    {
      yaml: "public_url: https://auth.example.com\nauthentication: { session: { domain: other.example.com } }",
    },
    "authentication.session.domain: must be the host of public_url or a domain above it",
    { yaml: "public_url: https://auth.example.com\nauthentication: { session: { domain: example.com } }" },
  ],
  [
    "a cookie domain of one label",
    ofSession("domain: localhost"),
    "authentication.session.domain: must be a domain",
    ofSession(""),
  ],
  [
    "a public URL with a path",
    { yaml: "public_url: https://auth.example.com/base" },
    "public_url: must be an http or https origin",
    { yaml: "public_url: https://auth.example.com" },
  ],
  [
    "a public URL that is not http",
    ofEnv({ VESTIBULE_PUBLIC_URL: "ftp://auth.example.com" }),
    "VESTIBULE_PUBLIC_URL (public_url): must be an http or https origin",
    ofEnv({ VESTIBULE_PUBLIC_URL: "http://auth.example.com" }),
  ],
  [
    "a chosen port without a public URL",
    { yaml: "listen: 127.0.0.1:0" },
    "public_url (or VESTIBULE_PUBLIC_URL): must be given when listen leaves the port to the system",
    { yaml: "listen: 127.0.0.1:0\npublic_url: http://localhost:1234" },
  ],
  [
    "an empty variable",
    ofEnv({ VESTIBULE_SMTP_URL: "" }),
    "VESTIBULE_SMTP_URL (smtp.url): must not be empty",
    ofEnv({ VESTIBULE_SMTP_URL: "smtp://localhost" }),
  ],
  [
    "a mail for a code without it",
    { yaml: "authentication: { mail_otp: { body: 'Hello {{.Link}}' } }" },
    "authentication.mail_otp.body: must hold {{.Otp}}, or nobody could sign in by it",
    { yaml: "authentication: { mail_otp: { subject: 'Type {{ .Otp }}', body: 'Hello' } }" },
  ],
  [
    "a mail for a link without it",
    { yaml: "authentication: { mail_link: { body: 'Hello {{.Otp}}' } }" },
    "authentication.mail_link.body: must hold {{.Link}}, or nobody could sign in by it",
    { yaml: "authentication: { mail_link: { body: 'Hello {{.Link}}' } }" },
  ],
  ["an empty name of the file", ofEnv({ VESTIBULE_CONFIG: "" }), "VESTIBULE_CONFIG: must not be empty", {}],
  [
    "a file that is not there",
    ofEnv({ VESTIBULE_CONFIG: "other.yaml" }),
    "VESTIBULE_CONFIG (or --config): must name a file that can be read, got ENOENT",
    { env: { VESTIBULE_CONFIG: "other.yaml" }, files: { "/srv/other.yaml": "" } },
  ],
  [
    "an unknown variable",
    ofEnv({ VESTIBULE_LISTN: "127.0.0.1:1" }),
    "VESTIBULE_LISTN: is not a setting; did you mean VESTIBULE_LISTEN?",
    ofEnv({ VESTIBULE_LISTEN: "127.0.0.1:1" }),
  ],
  [
    "a port of its own",
    ofEnv({ VESTIBULE_PORT: "8080" }),
    "VESTIBULE_PORT: is not a setting",
    ofEnv({
      VESTIBULE_PORT: "tcp://10.0.0.1:7400",
      VESTIBULE_SERVICE_HOST: "10.0.0.1",
      VESTIBULE_PORT_7400_TCP_ADDR: "10.0.0.1",
    }),
  ],
  [
    "a key that is not there",
    { yaml: "lisen: 127.0.0.1:1" },
    "lisen: is not a setting; did you mean listen?",
    { yaml: "listen: 127.0.0.1:1" },
  ],
  [
    "a key below that is not there",
    { yaml: "authentication: { session: { sameSite: lax } }" },
    "authentication.session.sameSite: is not a setting; did you mean authentication.session.same_site?",
    ofSession("same_site: lax"),
  ],
  [
    "a key in the wrong place",
    { yaml: "same_site: lax" },
    "same_site: is not a setting; did you mean authentication.session.same_site?",
    ofSession("same_site: lax"),
  ],
  ["a key of no setting at all", { yaml: "spicedb: {}" }, "spicedb: is not a setting", {}],
  ["a key that JavaScript knows", { yaml: "__proto__: { listen: x }" }, "__proto__: is not a setting", {}],
  [
    "a text in a section's place",
    { yaml: "tls: yes please" },
    "tls: must be a section with keys of its own",
    { yaml: "tls: {}" },
  ],
  [
    "a list in a section's place",
    { yaml: "- listen" },
    "vestibule.yaml: must hold sections and keys",
    { yaml: "{}" },
  ],
  [
    "a text in a list's place",
    { yaml: "admin_emails: a@example.com" },
    "admin_emails: must be a list",
    { yaml: "admin_emails: [a@example.com]" },
  ],
  [
    "a number in a list of texts",
    { yaml: "admin_emails: [a@example.com, 5]" },
    "admin_emails[1]: must be text",
    { yaml: "admin_emails: []" },
  ],
  [
    "a text in a flag's place",
    ofSession("secure: 'true'"),
    "authentication.session.secure: must be true or false",
    ofSession("secure: true"),
  ],
  [
    "a number in a duration's place",
    ofSession("validity: 600"),
    "authentication.session.validity: must be a duration such as",
    ofSession("validity: 600s"),
  ],
  ["no value", { yaml: "listen:" }, "listen: must be text", { yaml: "smtp:" }],
  [
    "an alias that contains itself",
    { yaml: "authentication: &a { session: *a }" },
    "authentication.session.session: is not a setting",
    { yaml: "authentication: { session: {} }" },
  ],
  [
    "a session without length",
    ofSession("validity: 0s"),
    "authentication.session.validity: must be a duration from 1s",
    ofSession("validity: 1s"),
  ],
  [
    "a clock skew of over ten minutes",
    ofAuthentication("clock_skew: 601s"),
    "authentication.clock_skew: must be a duration from 0s to 600s",
    ofAuthentication("clock_skew: 10m"),
  ],
  [
    "a body limit below 1 KiB",
    { yaml: "limits: { body_bytes: 1023 }" },
    "limits.body_bytes: must be a whole number from 1024 to 67108864",
    { yaml: "limits: { body_bytes: 1024 }" },
  ],
  [
    "a limit that is not whole",
    { yaml: "limits: { wrong_codes_per_flow: 1.5 }" },
    "limits.wrong_codes_per_flow: must be a whole number from 1 to 10",
    { yaml: "limits: { wrong_codes_per_flow: 10 }" },
  ],
  [
    "a limit of nothing",
    { yaml: "limits: { mails_per_mailbox_per_hour: 0 }" },
    "limits.mails_per_mailbox_per_hour: must be a whole number from 1",
    { yaml: "limits: { mails_per_mailbox_per_hour: 1 }" },
  ],
  [
    "headers that may take longer than requests",
    { yaml: "limits: { header_time: 31s }" },
    "limits.header_time: must not be longer than limits.request_time",
    { yaml: "limits: { header_time: 30s }" },
  ],
  [
    "an unknown log level",
    { yaml: "log: { level: trace }" },
    "log.level: must be one of debug, info, warn, error",
    { yaml: "log: { level: warn }" },
  ],
  [
    "an unknown algorithm",
    ofAuthentication("token: { algorithm: HS256 }"),
    "authentication.token.algorithm: must be one of ES256, RS256, EdDSA",
    ofAuthentication("token: { algorithm: EdDSA }"),
  ],
  [
    "a network with bits behind its prefix",
    ofEnv({ VESTIBULE_TRUSTED_PROXIES: "10.0.0.0/8, 10.0.0.1/8" }),
    "VESTIBULE_TRUSTED_PROXIES (trusted_proxies[1]): must have no bits set",
    ofEnv({ VESTIBULE_TRUSTED_PROXIES: "10.0.0.0/8, ::1" }),
  ],
  [
    "an egress network that is none",
    { yaml: "egress: { allow_cidrs: [intranet] }" },
    "egress.allow_cidrs[0]: must be an address or a network",
    { yaml: "egress: { allow_cidrs: [192.168.0.0/16] }" },
  ],
  [
    "a CORS wildcard",
    { yaml: "cors: { allowed_origins: ['*'] }" },
    "cors.allowed_origins[0]: must be one exact origin",
    { yaml: "cors: { allowed_origins: [https://app.example.com] }" },
  ],
  [
    "strict transport by http",
    { yaml: "hsts: true" },
    "hsts: can be true only when public_url is https",
    { yaml: "hsts: true\npublic_url: https://id.example.com" },
  ],
  [
    "a wildcard callback",
    ofAuthentication("callback_urls: ['https://*.example.com/cb']"),
    "authentication.callback_urls[0]: must be an absolute http or https URL",
    ofAuthentication("callback_urls: ['https://app.example.com/cb']"),
  ],
  [
    "a callback at a provider's own URL",
    ofAuthentication("callback_urls: ['http://localhost:7400/auth/callback/google']"),
    "authentication.callback_urls[0]: must be http://localhost:7400/auth/callback, which stands for each provider's own URL",
    ofAuthentication("callback_urls: ['http://localhost:7400/auth/callback']"),
  ],
  [
    "a callback at our own URL, spelt otherwise",
    ofAuthentication("callback_urls: ['http://LOCALHOST:7400/x/../auth/callback?app=1']"),
    "authentication.callback_urls[0]: must be http://localhost:7400/auth/callback, which",
    ofAuthentication("callback_urls: ['http://localhost:7400/auth/callbacks?app=1']"),
  ],
  [
    "no callback",
    ofAuthentication("callback_urls: []"),
    "authentication.callback_urls: must name at least one URL",
    ofAuthentication("authorized_redirect_urls: []"),
  ],
  [
    "a relative redirect",
    ofAuthentication("authorized_redirect_urls: [/home]"),
    "authentication.authorized_redirect_urls[0]: must be an absolute",
    ofAuthentication("authorized_redirect_urls: ['https://app.example.com/home']"),
  ],
  [
    "signup by domains without one",
    ofAuthentication("signup: { mode: domains }"),
    "authentication.signup.domains: must name at least one domain",
    ofAuthentication("signup: { mode: domains, domains: [example.com] }"),
  ],
  [
    "members' invitations for open signup",
    ofAuthentication("signup: { by_members: true }"),
    "authentication.signup.by_members: can be true only when the mode is domains or invited",
    ofAuthentication("signup: { mode: invited, by_members: true }"),
  ],
  [
    "domains for open signup",
    ofAuthentication("signup: { domains: [example.com] }"),
    "authentication.signup.domains: must be left out",
    ofAuthentication("signup: { mode: open, domains: [] }"),
  ],
  [
    "an unknown hidden strategy",
    ofAuthentication("frontier_hidden_strategies: [passkeys]"),
    "authentication.frontier_hidden_strategies[0]: must be the name of a strategy; did you mean passkey?",
    ofAuthentication("frontier_hidden_strategies: [passkey, maillink]"),
  ],
  [
    "a mail subject of two lines",
    ofAuthentication('mail_otp: { subject: "a\\nBcc: b" }'),
    "authentication.mail_otp.subject: must be text on one line",
    ofAuthentication('mail_otp: { subject: "a", body: "a\\n{{.Otp}}" }'),
  ],
  [
    "a provider without issuer",
    ofProvider("okta", "client_id: a, client_secret: s"),
    "authentication.oidc_config.okta.issuer_url: must be given",
    ofProvider("okta", "client_id: a, client_secret: s, issuer_url: 'https://id.example.com'"),
  ],
  [
    "a provider without client id",
    ofProvider("google", "client_secret: s"),
    "authentication.oidc_config.google.client_id: must be given",
    ofProvider("google", "client_id: a, client_secret: s"),
  ],
  [
    "credentials that live longer than any may",
    { yaml: "authentication: { credentials: { validity: 721h, longest_validity: 720h } }" },
    "authentication.credentials.validity: must not be longer than authentication.credentials.longest_validity",
    { yaml: "authentication: { credentials: { validity: 720h, longest_validity: 720h } }" },
  ],
  [
    "credentials that live less than a minute",
    { yaml: "authentication: { credentials: { longest_validity: 59s } }" },
    "authentication.credentials.longest_validity: must be a duration from 60s",
    { yaml: "authentication: { credentials: { longest_validity: 60s } }" },
  ],
  [
    "a well-known provider without secret",
    ofProvider("github", "client_id: a"),
    "authentication.oidc_config.github.client_secret: must be given",
    ofProvider("github", "client_id: a, client_secret: s"),
  ],
  [
    "GitHub with an issuer",
    ofProvider("github", "client_id: a, client_secret: s, issuer_url: 'https://github.com'"),
    "authentication.oidc_config.github.issuer_url: must be left out",
    ofProvider("github", "client_id: a, client_secret: s, base_url: 'https://git.example.com'"),
  ],
  [
    "another provider with a base URL",
    ofProvider(
      "okta",
      "client_id: a, client_secret: s, issuer_url: 'https://id.example.com', base_url: 'https://id.example.com'",
    ),
    "authentication.oidc_config.okta.base_url: must be left out",
    ofProvider("okta", "client_id: a, client_secret: s, issuer_url: 'https://id.example.com'"),
  ],
  [
    "an issuer over plain http",
    ofProvider("okta", "client_id: a, client_secret: s, issuer_url: 'http://id.example.com'"),
    "authentication.oidc_config.okta.issuer_url: must be an https URL",
    ofProvider("okta", "client_id: a, client_secret: s, issuer_url: 'http://localhost:9000'"),
  ],
  [
    "a second provider that is answered at the shared URL",
    ofAuthentication(
      "oidc_config: { google: { client_id: a, client_secret: s, callback: shared }, github: { client_id: a, client_secret: s, callback: shared } }",
    ),
    "authentication.oidc_config.github.callback: must be own: authentication.oidc_config.google is shared, and only one can be",
    ofAuthentication(
      "oidc_config: { google: { client_id: a, client_secret: s, callback: shared }, github: { client_id: a, client_secret: s, callback: own } }",
    ),
  ],
  [
    "a callback that is none",
    ofProvider("google", "client_id: a, client_secret: s, callback: 'https://app.example.com/cb'"),
    "authentication.oidc_config.google.callback: must be one of own, shared",
    ofProvider("google", "client_id: a, client_secret: s, callback: own"),
  ],
  [
    "scopes without openid",
    ofProvider(
      "okta",
      "client_id: a, client_secret: s, issuer_url: 'https://id.example.com', scopes: [email]",
    ),
    "authentication.oidc_config.okta.scopes: must contain openid",
    ofProvider(
      "okta",
      "client_id: a, client_secret: s, issuer_url: 'https://id.example.com', scopes: [openid]",
    ),
  ],
  [
    "an unknown key of a provider",
    ofProvider("google", "client_id: a, client_secret: s, issuer: x"),
    "authentication.oidc_config.google.issuer: is not a setting; did you mean authentication.oidc_config.google.issuer_url?",
    ofProvider("google", "client_id: a, client_secret: s"),
  ],
  [
    "a provider with a built-in name",
    ofProvider("mailotp", "client_id: a, issuer_url: 'https://id.example.com'"),
    "authentication.oidc_config.mailotp: must have another name",
    ofProvider("mail", "client_id: a, client_secret: s, issuer_url: 'https://id.example.com'"),
  ],
  [
    "a provider with an odd name",
    ofProvider("Okta", "client_id: a, issuer_url: 'https://id.example.com'"),
    "authentication.oidc_config.Okta: must have a name of at most 63",
    ofProvider("okta-2", "client_id: a, client_secret: s, issuer_url: 'https://id.example.com'"),
  ],
  [
    "a relying party that is no domain above",
    { yaml: "public_url: https://auth.example.com\nauthentication: { passkey: { rpid: other.com } }" },
    "authentication.passkey.rpid: must be the host of public_url",
    { yaml: "public_url: https://auth.example.com\nauthentication: { passkey: { rpid: example.com } }" },
  ],
  [
    "a relying party nobody can own",
    { yaml: "public_url: https://auth.localhost\nauthentication: { passkey: { rpid: localhost } }" },
    "authentication.passkey.rpid: must be the host of public_url",
    { yaml: "public_url: https://auth.localhost\nauthentication: { passkey: { rpid: auth.localhost } }" },
  ],
  [
    "a relying party's foreign origin",
    {
      yaml: "public_url: https://auth.example.com\nauthentication: { passkey: { rpid: example.com, rporigins: ['https://example.com', 'https://notexample.com'] } }",
    },
    "authentication.passkey.rporigins[1]: must have authentication.passkey.rpid",
    {
      yaml: "public_url: https://auth.example.com\nauthentication: { passkey: { rpid: example.com, rporigins: ['https://example.com', 'https://app.example.com'] } }",
    },
  ],
  [
    "a relying party on an address",
    { yaml: "public_url: http://127.0.0.1:7400\nauthentication: { passkey: { rpdisplayname: A } }" },
    "authentication.passkey: must be left out",
    { yaml: "public_url: http://localhost:7400\nauthentication: { passkey: { rpdisplayname: A } }" },
  ],
  [
    "enabled test users without code",
    ofAuthentication("test_users: { enabled: true, domain: example.com }"),
    "authentication.test_users.otp: must be given",
    ofAuthentication("test_users: { enabled: true, domain: example.com, otp: '111111' }"),
  ],
  [
    "an unknown database",
    { yaml: "database_url: mysql://u:p@db/x" },
    "database_url: must be sqlite:",
    { yaml: "database_url: sqlite:x.db" },
  ],
  [
    "Postgres without encryption key",
    {
      yaml: postgresKeys.replace(/encryption_key.*/, ""),
      env: { VESTIBULE_DATABASE_URL: "postgres://db/v" },
    },
    "encryption_key (or VESTIBULE_ENCRYPTION_KEY): must be given: with postgres:// all keys come from the configuration",
    { yaml: postgresKeys, env: { VESTIBULE_DATABASE_URL: "postgres://db/v" } },
  ],
  [
    "Postgres without a session key",
    { yaml: `database_url: postgresql://db/v${postgresKeys.replace(/, block.* }/, " } }")}` },
    "authentication.session.block_secret_key: must be given: with postgres:// all keys",
    { yaml: `database_url: postgresql://db/v${postgresKeys}` },
  ],
];

describe("refused", () => {
  test.each(boundaries)("%s", (_, refused, message, accepted) => {
    const [problem, ...more] = problemsOf(refused);
    expect(problem?.slice(0, message.length)).toBe(message);
    expect(problem).toBeDefined();
    expect(more).toEqual([]);
    expect(problemsOf(accepted)).toEqual([]);
  });

  test("all of it at once", () => {
    const yaml =
      "listen: 5\nlog: { level: loud }\nauthentication: { oidc_config: { okta: { client_secret: a } } }";
    expect(problemsOf({ yaml, env: { VESTIBULE_X: "1", VESTIBULE_TLS_CERT: "c.pem" } })).toEqual([
      "VESTIBULE_X: is not a setting",
      "listen: must be text; put it in quotes if it looks like something else",
      "log.level: must be one of debug, info, warn, error",
      "tls.key (or VESTIBULE_TLS_KEY): must be given together with tls.cert",
      "authentication.oidc_config.okta.client_id: must be given",
      "authentication.oidc_config.okta.issuer_url: must be given",
    ]);
  });

  test("a provider with nothing", () => {
    expect(problemsOf(ofAuthentication("oidc_config: { google: }"))).toEqual([
      "authentication.oidc_config.google.client_id: must be given",
      "authentication.oidc_config.google.client_secret: must be given",
    ]);
  });

  test("each missing key of Postgres is named", () => {
    expect(problemsOf({ yaml: "database_url: postgres://db/v" }).map((line) => line.split(":")[0])).toEqual([
      "encryption_key (or VESTIBULE_ENCRYPTION_KEY)",
      "authentication.session.hash_secret_key",
      "authentication.session.block_secret_key",
    ]);
  });
});

describe("TLS", () => {
  const otherKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const otherPem = otherKey.export({ type: "pkcs8", format: "pem" }).toString();
  const lockedPem = otherKey
    .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" })
    .toString();
  const yaml = "tls: { cert: c.pem, key: k.pem }";

  test.each([
    [
      "no certificate file",
      { "/srv/k.pem": tls.key },
      "tls.cert: must name a file that can be read, got ENOENT",
    ],
    ["no key file", { "/srv/c.pem": tls.cert }, "tls.key: must name a file that can be read, got ENOENT"],
    [
      "a key in the certificate's place",
      { "/srv/c.pem": tls.key, "/srv/k.pem": tls.key },
      "tls.cert: must name a file that holds a certificate in PEM form",
    ],
    [
      "a certificate in the key's place",
      { "/srv/c.pem": tls.cert, "/srv/k.pem": tls.cert },
      "tls.key: must name a file that holds a private key without passphrase in PEM form",
    ],
    [
      "a key with a passphrase",
      { "/srv/c.pem": tls.cert, "/srv/k.pem": lockedPem },
      "tls.key: must name a file that holds a private key without passphrase in PEM form",
    ],
    [
      "another certificate's key",
      { "/srv/c.pem": tls.cert, "/srv/k.pem": otherPem },
      "tls.key: must be the private key of tls.cert",
    ],
  ])("%s", (_, files, problem) => {
    expect(problemsOf({ yaml, files })).toEqual([problem]);
  });

  test("a certificate without key, named by the environment", () => {
    expect(problemsOf({ env: { VESTIBULE_TLS_KEY: "k.pem" } })).toEqual([
      "tls.cert (or VESTIBULE_TLS_CERT): must be given together with tls.key",
    ]);
  });
});

describe("YAML", () => {
  test.each([
    [
      "a key twice",
      "listen: a\nlog:\n  level: info\n  level: info",
      "vestibule.yaml: line 4, column 3: this key is given twice in one section",
    ],
    [
      "an open quote",
      'data_dir: "x',
      "vestibule.yaml: line 1, column 13: a closing or separating character is missing",
    ],
    [
      "a tab",
      "log:\n\tlevel: info",
      "vestibule.yaml: line 2, column 1: a tab in the indentation; use spaces",
    ],
    [
      "two documents",
      "listen: a\n---\nlisten: b",
      "vestibule.yaml: line 2, column 1: a second document; only one is read",
    ],
    ["an unknown tag", "listen: !secret a", "vestibule.yaml: line 1, column 9: an unknown tag"],
    ["a key that is no text", "? [a]\n: b", "vestibule.yaml: line 1, column 3: keys must be text"],
    [
      "an alias without anchor",
      "listen: *a",
      "vestibule.yaml: an alias has no anchor before it, or aliases unfold without end",
    ],
  ])("%s is refused with its place", (_, yaml, problem) => {
    expect(problemsOf({ yaml })).toContain(problem);
  });

  test("one slip with many faults after it is told in a few lines", () => {
    const problems = problemsOf({ yaml: "[".repeat(10_000) });
    expect(problems).toHaveLength(10);
    expect(problems[0]).toMatch(/^vestibule.yaml: line 1, column \d+: too deeply nested$/);
  });

  test("aliases that unfold without end are refused", () => {
    const levels = Array.from(
      { length: 9 },
      (_, index) => `k${index + 1}: &k${index + 1} [${`*k${index},`.repeat(9)}]`,
    );
    expect(problemsOf({ yaml: ["k0: &k0 [x]", ...levels].join("\n") })).not.toEqual([]);
  });
});

test("no refusal repeats a secret", () => {
  const canary = "CANARY-b3f1";
  const values = [canary, `"${canary}\\n"`, `[${canary}]`, `{ ${canary}0: 1 }`];
  const keys = ["hash_secret_key", "block_secret_key", "previous_hash_secret_keys"];
  const given: Given[] = [
    ...keys.flatMap((key) => values.slice(0, 3).map((value) => ofSession(`${key}: ${value}`))),
    ...values.slice(0, 3).map((value) => ({ yaml: `encryption_key: ${value}` })),
    ...values.slice(0, 3).map((value) => ({ yaml: `bootstrap: { client_secret: ${value} }` })),
    { yaml: `database_url: mysql://u:${canary}@db` },
    { yaml: `smtp: { url: "http://u:${canary}@db" }` },
    { yaml: `public_url: https://u:${canary}@db` },
    { yaml: `encryption_key: "${canary}` },
    { yaml: `encryption_key: ${canary}: ${canary}` },
    { yaml: `encryption_key: !${canary} x` },
    { yaml: `encryption_key: *${canary}` },
    { yaml: `encryption_key: |x${canary}` },
    ofEnv({ VESTIBULE_ENCRYPTION_KEY: canary, VESTIBULE_SMTP_URL: canary, VESTIBULE_DATABASE_URL: canary }),
    ofEnv({ VESTIBULE_BOOTSTRAP_CLIENT_SECRET: canary, VESTIBULE_ENCRYPTION_KEYS: canary }),
    ofProvider("google", `client_id: a, client_secret: [${canary}]`),
  ];
  for (const each of given) {
    const problems = problemsOf(each);
    expect(problems, JSON.stringify(each)).not.toEqual([]);
    expect(problems.join("\n")).not.toContain(canary);
  }
});
