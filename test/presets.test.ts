/**
 * A sign-in with every provider of the table, each against a stand-in that
 * behaves as its documentation says; `docs/providers.md` names the pages.
 */
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wellKnownProviders } from "../server/src/lib/well-known-providers.ts";
import { launchBrowser } from "./parts/browser.ts";
import { Person } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { type StandIn, type StandInAnswer, type StandInRequest, startStandIn } from "./parts/stand-in.ts";
import { inspect, openVisit } from "./parts/visit.ts";

type Name = keyof typeof wellKnownProviders;

/** What the documentation of a provider says of how it is asked, and how it answers. */
interface Documented {
  /** Settings that lead to the stand-in. */
  settings(origin: string): Record<string, unknown>;
  /** The issuer of its ID tokens; absent where it is plain OAuth 2. */
  toIssuer?(origin: string): string;
  /** What its document says beside the endpoints. */
  readonly metadata?: object;
  /** Path → what it answers for a token of its own. */
  readonly api: Readonly<Record<string, unknown>>;
  /** Claims of its ID token beside those that all have. */
  readonly claims?: JWTPayload;
  /** How it takes the client's secret. */
  readonly secret: "basic" | "form" | "either" | "signed";
  /** What is true of the request for a code. */
  readonly asks: Record<string, string>;
  /** Whether it knows PKCE; one that does not refuses a verifier. */
  readonly pkce: boolean;
  /** What else the answer of its token endpoint has. */
  readonly besides?: object;
  /** Whether it posts its answer. */
  readonly posts?: boolean;
  /** What it posts beside the code. */
  readonly brings?: Record<string, string>;
  /** Whose identity that is, and whether a code has to be mailed first. */
  readonly proves: { toIssuer(origin: string): string; subject: string; isVerified: boolean };
}

const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
const scope = "openid email profile";
const toOrigin = (origin: string) => origin;

/** GitHub's list of addresses, and an account whose profile shows another one. */
const githubApi = {
  "/api/v3/user": { id: 42, login: "ann", name: null, email: "public@example.org", avatar_url: null },
  "/api/v3/user/emails": [
    { email: "old@example.org", primary: false, verified: true },
    { email: "ann@github.example", primary: true, verified: true },
  ],
};

const documented: Record<Name, Documented> = {
  google: {
    settings: (issuer_url) => ({ issuer_url }),
    toIssuer: toOrigin,
    metadata: { token_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic"] },
    api: {},
    claims: { email: "ann@gmail.com", email_verified: true, name: "Ann" },
    secret: "either",
    asks: { scope },
    pkce: true,
    proves: { toIssuer: toOrigin, subject: "ann", isVerified: true },
  },
  microsoft: {
    // `common` answers for all tenants: its document has a template, each token its tenant.
    settings: (origin) => ({
      issuer_url: `${origin}/{tenantid}/v2.0`,
      discovery_url: `${origin}/common/v2.0/.well-known/openid-configuration`,
    }),
    toIssuer: (origin) => `${origin}/${tenant}/v2.0`,
    metadata: {
      token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    },
    api: {},
    // No `email_verified`.
    claims: { tid: tenant, email: "ann@outlook.example", name: "Ann" },
    secret: "either",
    asks: { scope },
    pkce: true,
    proves: { toIssuer: (origin) => `${origin}/${tenant}/v2.0`, subject: "ann", isVerified: false },
  },
  apple: {
    settings: (issuer_url) => ({ issuer_url, team_id: "TEAM", key_id: "KEY", private_keys: [appleKeyFile] }),
    toIssuer: toOrigin,
    metadata: {
      token_endpoint_auth_methods_supported: ["client_secret_post"],
      id_token_signing_alg_values_supported: ["RS256"],
    },
    api: {},
    // A truth in quotes, and no name: that is posted, the first time.
    claims: { email: "ann@privaterelay.example", email_verified: "true", is_private_email: "true" },
    secret: "signed",
    asks: { scope: "openid name email", response_mode: "form_post" },
    pkce: true,
    posts: true,
    brings: {
      user: JSON.stringify({
        name: { firstName: "Ann", lastName: "Lee" },
        email: "ann@privaterelay.example",
      }),
    },
    proves: { toIssuer: toOrigin, subject: "ann", isVerified: true },
  },
  github: {
    settings: (base_url) => ({ base_url }),
    api: githubApi,
    secret: "form",
    asks: { scope: "read:user user:email" },
    pkce: true,
    proves: { toIssuer: toOrigin, subject: "42", isVerified: true },
  },
  gitlab: {
    settings: (issuer_url) => ({ issuer_url }),
    toIssuer: toOrigin,
    metadata: { token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"] },
    api: {},
    claims: { sub: "7", email: "ann@gitlab.example", email_verified: true, name: "Ann" },
    secret: "basic",
    asks: { scope },
    pkce: true,
    proves: { toIssuer: toOrigin, subject: "7", isVerified: true },
  },
  slack: {
    settings: (issuer_url) => ({ issuer_url }),
    toIssuer: toOrigin,
    metadata: {
      token_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic"],
      claims_supported: ["sub", "auth_time", "iss"],
    },
    api: {},
    claims: {
      sub: "U0R7JM",
      email: "ann@slack.example",
      email_verified: true,
      name: "Ann",
      "https://slack.com/team_id": "T0R7GR",
    },
    secret: "either",
    asks: { scope },
    pkce: true,
    // Every answer of its API says that it is one.
    besides: { ok: true },
    proves: { toIssuer: toOrigin, subject: "U0R7JM", isVerified: true },
  },
  linkedin: {
    settings: (origin) => toUrls(origin, "/oauth/v2/authorization", "/oauth/v2/accessToken", "/v2/userinfo"),
    api: {
      "/v2/userinfo": {
        sub: "782bbtaQ",
        name: "Ann Lee",
        email: "ann@linkedin.example",
        email_verified: "true",
        picture: "https://media.example/ann",
        locale: "en-US",
      },
    },
    secret: "form",
    asks: { scope },
    pkce: false,
    proves: {
      toIssuer: (origin) => `${origin}/oauth/v2/authorization`,
      subject: "782bbtaQ",
      isVerified: true,
    },
  },
  discord: {
    settings: (origin) => toUrls(origin, "/oauth2/authorize", "/api/oauth2/token", "/api/users/@me"),
    api: {
      "/api/users/@me": {
        id: "80351110224678912",
        username: "ann",
        global_name: null,
        verified: true,
        email: "ann@discord.example",
        avatar: "8342729096ea3675442027381ff50dfe",
      },
    },
    secret: "either",
    asks: { scope: "identify email" },
    pkce: false,
    proves: {
      toIssuer: (origin) => `${origin}/oauth2/authorize`,
      subject: "80351110224678912",
      isVerified: true,
    },
  },
  facebook: {
    settings: (origin) =>
      toUrls(origin, "/v25.0/dialog/oauth", "/v25.0/oauth/access_token", "/v25.0/me?fields=id"),
    api: {
      "/v25.0/me": {
        id: "10219873",
        name: "Ann Lee",
        email: "ann@facebook.example",
        picture: { data: { url: "https://scontent.example/ann", is_silhouette: false } },
      },
    },
    secret: "form",
    asks: { scope: "public_profile email" },
    pkce: false,
    // An address that nobody says is verified.
    proves: { toIssuer: (origin) => `${origin}/v25.0/dialog/oauth`, subject: "10219873", isVerified: false },
  },
};

const toUrls = (origin: string, authorization: string, token: string, userinfo: string) => ({
  authorization_url: origin + authorization,
  token_url: origin + token,
  userinfo_url: origin + userinfo,
});

const clientSecret = "the+clients/secret";
const appleKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
let folder: string;
let appleKeyFile: string;

/** A stand-in for one provider, and what it was told when it was asked for a code. */
interface Site {
  readonly standIn: StandIn;
  /** Sends somebody back with a code, as its page does. */
  approve(endpoint: string): URLSearchParams;
}

async function startSite(name: Name, how: Documented): Promise<Site> {
  const key = await generateKeyPair("RS256");
  const jwk = { ...(await exportJWK(key.publicKey)), kid: "k", alg: "RS256", use: "sig" };
  const codes = new Map<string, URLSearchParams>();
  const tokens = new Set<string>();

  /** Whether the client has proven itself in the one way that is documented. */
  async function isClient({ headers, form }: StandInRequest, origin: string): Promise<boolean> {
    const basic = `Basic ${Buffer.from(`client:${encodeURIComponent(clientSecret)}`).toString("base64")}`;
    const isBasic = headers.authorization === basic;
    const isForm = form.get("client_id") === "client" && form.get("client_secret") === clientSecret;
    switch (how.secret) {
      case "basic":
        return isBasic;
      case "form":
        return isForm && headers.authorization === undefined;
      case "either":
        return isBasic !== isForm;
      case "signed": {
        const signed = await jwtVerify(form.get("client_secret") ?? "", appleKey.publicKey, {
          algorithms: ["ES256"],
          issuer: "TEAM",
          subject: "client",
          audience: origin,
        });
        return signed.protectedHeader.kid === "KEY" && form.get("client_id") === "client";
      }
    }
  }

  async function trade(request: StandInRequest, origin: string): Promise<StandInAnswer> {
    const { form } = request;
    const asked = codes.get(form.get("code") ?? "");
    codes.delete(form.get("code") ?? "");
    const refuse = (error: string) => ({ status: 400, body: { error } });
    if (!(await isClient(request, origin))) return refuse("invalid_client");
    if (asked === undefined || form.get("grant_type") !== "authorization_code")
      return refuse("invalid_grant");
    if (form.get("redirect_uri") !== asked.get("redirect_uri")) return refuse("redirect_uri_mismatch");
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    if (how.pkce ? challenge !== asked.get("code_challenge") : form.has("code_verifier")) {
      return refuse(how.pkce ? "invalid_grant" : "invalid_client");
    }
    const access_token = `${name}-token`;
    tokens.add(access_token);
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: how.toIssuer?.(origin) ?? "",
      aud: "client",
      sub: "ann",
      iat: now,
      exp: now + 300,
      nonce: asked.get("nonce"),
      ...how.claims,
    };
    const id_token = how.toIssuer && (await sign(claims));
    return {
      body: {
        access_token,
        token_type: "Bearer",
        expires_in: 3600,
        id_token,
        ...how.besides,
      },
    };
  }

  const sign = (claims: JWTPayload) =>
    new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k", typ: "JWT" }).sign(key.privateKey);

  const standIn = await startStandIn(async (request, origin) => {
    const { path, method, headers } = request;
    if (path.endsWith("/.well-known/openid-configuration")) {
      return {
        body: {
          issuer: name === "microsoft" ? `${origin}/{tenantid}/v2.0` : origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          jwks_uri: `${origin}/jwks`,
          response_types_supported: ["code"],
          subject_types_supported: ["pairwise"],
          id_token_signing_alg_values_supported: ["RS256"],
          ...how.metadata,
        },
      };
    }
    if (path === "/jwks") return { body: { keys: [jwk] } };
    if (method === "POST") return await trade(request, origin);
    const token = String(headers.authorization ?? "").replace(/^Bearer /, "");
    if (!(path in how.api)) return { status: 404, body: {} };
    return tokens.has(token) ? { body: how.api[path] } : { status: 401, body: { message: "Unauthorized" } };
  });

  return {
    standIn,
    approve(endpoint) {
      const asked = new URL(endpoint).searchParams;
      const code = `${name}-code`;
      codes.set(code, asked);
      return new URLSearchParams({ code, state: asked.get("state") ?? "", ...how.brings });
    },
  };
}

describe("each provider that is known by its name", () => {
  const names = Object.keys(wellKnownProviders) as Name[];
  const sites = new Map<Name, Site>();
  let server: TestServer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "vestibule-presets-"));
    appleKeyFile = join(folder, "AuthKey_KEY.p8");
    writeFileSync(appleKeyFile, appleKey.privateKey.export({ type: "pkcs8", format: "pem" }), {
      mode: 0o600,
    });
    for (const name of names) sites.set(name, await startSite(name, documented[name]));
    const entries = names.map((name) => {
      const { settings, secret } = documented[name];
      const origin = sites.get(name)?.standIn.origin ?? "";
      const client = { client_id: "client", ...(secret !== "signed" && { client_secret: clientSecret }) };
      return [name, { ...client, ...settings(origin) }];
    });
    const port = await findFreePort();
    server = await startServer({
      port,
      config: { authentication: { oidc_config: Object.fromEntries(entries) } },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    for (const { standIn } of sites.values()) await standIn[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  it("has a button with its name and its mark", { timeout: 240_000 }, async () => {
    const browser = await launchBrowser();
    const visit = await openVisit(browser, [`http://localhost:${server.port}`]);
    try {
      await visit.page.goto(`http://localhost:${server.port}/login`);
      for (const { label } of Object.values(wellKnownProviders)) {
        const button = visit.page.getByRole("button", { name: `Continue with ${label}`, exact: true });
        const box = await button.locator("svg.mark path").boundingBox();
        expect(box?.width, label).toBeGreaterThan(5);
      }
      await inspect(visit.page, "presets");
      expect(visit.complaints).toEqual([]);
    } finally {
      await visit.close();
      await browser.close();
    }
  });

  it.each(names)("%s lets somebody in, as its documentation says", async (name) => {
    const how = documented[name];
    const site = sites.get(name);
    if (site === undefined) throw new Error(`no site of ${name}`);
    const person = new Person(server);
    const callbackUrl = `http://localhost:${server.port}/auth/callback/${name}`;
    const begun = await person.call("Authenticate", { strategyName: name, callbackUrl });
    expect(begun.json, begun.text).toHaveProperty("endpoint");
    const asked = new URL(begun.json.endpoint).searchParams;
    expect(Object.fromEntries(asked)).toMatchObject({
      ...how.asks,
      client_id: "client",
      response_type: "code",
      redirect_uri: callbackUrl,
    });
    expect(asked.has("code_challenge")).toBe(how.pkce);
    expect(asked.has("nonce")).toBe(how.toIssuer !== undefined);

    const back = site.approve(begun.json.endpoint);
    const path = `/auth/callback/${name}`;
    let came = how.posts
      ? await person.send(path, {
          method: "POST",
          headers: {
            "content-type": "application/x-www-form-urlencoded",
            origin: site.standIn.origin,
            // By a form of another site no Lax cookie comes along.
            cookie: "",
          },
          body: back.toString(),
        })
      : await person.send(`${path}?${back}`);
    if (how.posts) {
      expect(came.status, came.text).toBe(303);
      const next = new URL(String(came.headers.location), callbackUrl);
      came = await person.send(next.pathname + next.search);
    }
    expect(came.status, came.text).toBe(303);

    const { proves } = how;
    if (!proves.isVerified) {
      // The address is proven by a mailed code, once.
      expect(came.headers.location).toContain("/login/check-mail");
      expect(person.cookies.has("sid")).toBe(false);
      return;
    }
    expect((await person.call("GetCurrentUser")).status).toBe(200);
    const { identities } = (await person.call("ListIdentities")).json;
    expect(identities).toMatchObject([
      { strategyName: name, issuer: proves.toIssuer(site.standIn.origin), subject: proves.subject },
    ]);
  });
});
