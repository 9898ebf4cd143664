/**
 * A provider that answers by a form, met by a real browser: what cookies come
 * along is the browser's to say. The provider is another site than ours, and
 * asks and answers as Apple's documentation of Sign in with Apple says.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { press } from "./parts/pages.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { type StandIn, type StandInAnswer, type StandInRequest, startStandIn } from "./parts/stand-in.ts";

// A browser on a machine with much else to do.
vi.setConfig({ testTimeout: 120_000 });

const [teamId, keyId, clientId] = ["TEAM123456", "KEY1234567", "com.example.web"];
const clientKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ownKey = generateKeyPairSync("rsa", { modulusLength: 2048 });
const code = "the-code";
const email = "ann@privaterelay.appleid.com";

let apple: StandIn;
let browser: Browser;
/** What the provider was asked with last. */
let asked = new URLSearchParams();
/** What it posts beside the state; a test may say something else. */
let posts: Readonly<Record<string, string>>;
let subject: string;

/** The secret is a JWT of the team's, ES256, for the provider, good for six months at most. */
async function isClient(form: URLSearchParams, origin: string): Promise<boolean> {
  const options = { issuer: teamId, subject: clientId, audience: origin, algorithms: ["ES256"] };
  try {
    const { payload, protectedHeader } = await jwtVerify(
      form.get("client_secret") ?? "",
      clientKey.publicKey,
      options,
    );
    const { exp = 0, iat = 0 } = payload;
    return protectedHeader.kid === keyId && exp > iat && exp - iat <= 15_777_000;
  } catch {
    return false;
  }
}

const sign = (claims: JWTPayload, key: KeyObject) =>
  new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k" }).sign(key);

async function answerToken(form: URLSearchParams, origin: string): Promise<StandInAnswer> {
  if (!(await isClient(form, origin))) return { status: 400, body: { error: "invalid_client" } };
  if (form.get("code") !== code || form.get("redirect_uri") !== asked.get("redirect_uri")) {
    return { status: 400, body: { error: "invalid_grant" } };
  }
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: origin,
    sub: subject,
    aud: clientId,
    iat: now,
    exp: now + 600,
    nonce: asked.get("nonce") ?? "",
    nonce_supported: true,
    email,
    email_verified: "true",
    is_private_email: "true",
  };
  const id_token = await sign(claims, ownKey.privateKey);
  return {
    body: { access_token: "at", token_type: "Bearer", expires_in: 3600, refresh_token: "rt", id_token },
  };
}

async function answer({ path, query, form }: StandInRequest, origin: string): Promise<StandInAnswer> {
  switch (path) {
    case "/.well-known/openid-configuration":
      return {
        body: {
          issuer: origin,
          authorization_endpoint: `${origin}/auth/authorize`,
          token_endpoint: `${origin}/auth/token`,
          jwks_uri: `${origin}/auth/keys`,
          response_types_supported: ["code"],
          response_modes_supported: ["query", "fragment", "form_post"],
          subject_types_supported: ["pairwise"],
          id_token_signing_alg_values_supported: ["RS256"],
          token_endpoint_auth_methods_supported: ["client_secret_post"],
        },
      };
    case "/auth/keys": {
      const jwk = createPublicKey(ownKey.privateKey).export({ format: "jwk" });
      return { body: { keys: [{ ...jwk, kid: "k", use: "sig", alg: "RS256" }] } };
    }
    case "/auth/authorize": {
      asked = query;
      // Apple refuses whoever asks for a name or an address and wants no form.
      if (query.get("response_mode") !== "form_post") return { status: 400, body: "invalid_request" };
      return toPage(query.get("redirect_uri") ?? "", { state: query.get("state") ?? "", ...posts });
    }
    case "/auth/token":
      return await answerToken(form, origin);
    case "/evil":
      return toPage(query.get("to") ?? "", Object.fromEntries(query));
    default:
      return { status: 404, body: "" };
  }
}

/** A page that posts a form at once. */
function toPage(action: string, fields: Readonly<Record<string, string>>): StandInAnswer {
  const toValue = (text: string) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  const inputs = Object.entries(fields).map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${toValue(value)}">`,
  );
  return {
    headers: { "content-type": "text/html" },
    body: `<!doctype html><title>Apple</title><form method="post" action="${toValue(action)}">${inputs.join("")}</form><script>document.forms[0].submit()</script>`,
  };
}

beforeAll(async () => {
  apple = await startStandIn(answer);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await apple?.[Symbol.asyncDispose]();
});

describe.each(["lax", "strict"])("a provider that answers by a form (session cookies: %s)", (sameSite) => {
  let server: TestServer;
  let url: string;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "vestibule-form-post-"));
    const key = join(folder, `AuthKey_${keyId}.p8`);
    writeFileSync(key, clientKey.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const port = await findFreePort();
    url = `http://localhost:${port}`;
    server = await startServer({
      port,
      config: {
        public_url: url,
        authentication: {
          session: { same_site: sameSite },
          oidc_config: {
            apple: {
              issuer_url: apple.origin,
              client_id: clientId,
              client_authentication: "apple",
              team_id: teamId,
              key_id: keyId,
              private_keys: [key],
              response_mode: "form_post",
              scopes: ["openid", "name", "email"],
            },
          },
        },
      },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  let count = 0;
  async function open(): Promise<Page> {
    asked = new URLSearchParams();
    subject = `${sameSite}-${count++}`;
    posts = { code, user: JSON.stringify({ name: { firstName: "Ann", lastName: "Smith" }, email }) };
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${url}/login`);
    return page;
  }

  it("signs in who comes back with the cookie of the flow, under the name that it posted", async () => {
    const page = await open();
    const urls: string[] = [];
    page.on("request", (request) => urls.push(request.url()));
    await press(page, "Continue with Apple");
    await page.waitForURL(`${url}/account`);
    expect(asked.get("response_mode")).toBe("form_post");
    const me = await page.request.post(`${url}/vestibule.v1.AuthService/GetCurrentUser`, { data: {} });
    expect((await me.json()).user).toMatchObject({ title: "Ann Smith", email });
    expect(urls.filter((each) => each.startsWith(url) && each.includes(code))).toEqual([]);
    const cookies = await page.context().cookies();
    expect(cookies.filter((cookie) => cookie.sameSite === "None")).toEqual([]);
    await page.context().close();
  });

  it("tells who says no there that nothing has happened", async () => {
    const page = await open();
    posts = { error: "user_cancelled_authorize" };
    await press(page, "Continue with Apple");
    await page.getByText("You are not signed in").waitFor();
    expect((await page.context().cookies()).map(({ name }) => name)).not.toContain("sid");
    await page.context().close();
  });

  it("signs nobody in by an answer that another site posts, of a flow of somebody else's", async () => {
    const attacker = await open();
    // The attacker's own answer is stopped on its way, and posted in the victim's browser.
    await attacker.route("**/auth/callback/apple", (route) => route.abort());
    await press(attacker, "Continue with Apple");
    await expect.poll(() => asked.get("state")).toBeTruthy();
    const state = asked.get("state") ?? "";
    const victim = await open();
    const to = `${url}/auth/callback/apple`;
    await victim.goto(`${apple.origin}/evil?${new URLSearchParams({ to, state, code })}`);
    await victim.waitForURL(`${to}?state=${state}`);
    await victim.getByRole("heading").first().waitFor();
    expect((await victim.context().cookies()).map(({ name }) => name)).not.toContain("sid");
    await victim.goto(`${url}/account`);
    await victim.waitForURL(`${url}/login**`);
    await attacker.context().close();
    await victim.context().close();
  });
});
