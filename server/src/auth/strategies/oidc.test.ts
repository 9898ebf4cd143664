import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type IdentityProvider,
  startIdentityProvider,
  walkRedirects,
} from "../../../../test/parts/identity-provider.ts";
import { createEgress } from "../../egress/egress.ts";
import { silentLog } from "../../lib/log.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { BeginResult, Strategy } from "../strategy.ts";
import { createOidcStrategy, type OidcStrategyOptions, toIdentity } from "./oidc.ts";

const callbackUrl = "http://127.0.0.1:9/callback";
const accounts = {
  ann: {
    email: "Ann@Example.org",
    email_verified: true,
    name: "Ann",
    picture: "https://p.example.org/a.png",
  },
  bob: { email: "bob@example.org", email_verified: false, picture: "javascript:alert(1)" },
  eve: {},
};

let now = new Date();
const clock = { now: () => now };
let provider: IdentityProvider;
let other: IdentityProvider;

function strategyFor(idp: IdentityProvider, change: Partial<OidcStrategyOptions> = {}): Strategy {
  const egress = createEgress({ allowCidrs: [], allowedOrigins: [idp.issuer], log: silentLog });
  return createOidcStrategy({
    name: "acme",
    issuerUrl: idp.issuer,
    clientId: idp.clientId,
    clientAuthentication: { method: "announced", secret: idp.clientSecret },
    clockSkewSeconds: 60,
    scopes: ["openid", "email", "profile"],
    flowSeconds: 600,
    callbackUrl,
    authoritativeDomains: [],
    egress,
    clock,
    log: silentLog,
    ...change,
  });
}

const begin = (strategy: Strategy, login: string): Promise<BeginResult> =>
  strategy.begin({ email: login, callbackUrl, state: "the-state" });

async function codeFrom(begun: BeginResult): Promise<URL> {
  return await walkRedirects(begun.endpoint ?? "", callbackUrl);
}

function finish(strategy: Strategy, secret: Metadata, back: URL, issuer?: string) {
  const flow = { id: "f", callbackUrl, secret };
  const code = back.searchParams.get("code") ?? "";
  return strategy.finish({ code, stateOptions: {}, flow, ...(issuer !== undefined && { issuer }) });
}

beforeAll(async () => {
  const options = { accounts, redirectUris: [callbackUrl] };
  provider = await startIdentityProvider(options);
  other = await startIdentityProvider(options);
});
afterAll(async () => {
  await provider.stop();
  await other.stop();
});

const refused = { reason: "INVALID_FLOW", message: "invalid flow or expired" };
const provesNothing = { reason: "PROVIDER_PROVES_NOTHING" };

describe("OIDC", () => {
  it("asks with PKCE, nonce, state and response_mode=query", async () => {
    const begun = await begin(strategyFor(provider), "ann");
    const asked = new URL(begun.endpoint ?? "").searchParams;
    expect(Object.fromEntries(asked)).toMatchObject({
      response_type: "code",
      response_mode: "query",
      code_challenge_method: "S256",
      state: "the-state",
      redirect_uri: callbackUrl,
    });
    expect(asked.get("nonce")).toBe(begun.secret.nonce);
    expect(begun.endpoint).not.toContain(String(begun.secret.verifier));
  });

  it.each([
    ["a verified address", "ann", { email: "ann@example.org", emailVerified: true, title: "Ann" }],
    ["an unverified one, its picture left out", "bob", { email: "bob@example.org", emailVerified: false }],
    ["no address", "eve", { emailVerified: false }],
  ])("proves an identity with %s", async (_name, login, expected) => {
    const strategy = strategyFor(provider);
    const begun = await begin(strategy, login);
    const proof = await finish(strategy, begun.secret, await codeFrom(begun));
    const identity = { kind: "identity", issuer: provider.issuer, subject: login, isAuthoritative: false };
    expect(proof).toMatchObject({ ...identity, ...expected });
    expect("avatar" in proof).toBe(login === "ann");
  });

  it("takes a code once", async () => {
    const strategy = strategyFor(provider);
    const begun = await begin(strategy, "ann");
    const back = await codeFrom(begun);
    await finish(strategy, begun.secret, back);
    await expect(finish(strategy, begun.secret, back)).rejects.toMatchObject(refused);
  });

  it("refuses another flow's code, another verifier and another nonce", async () => {
    const strategy = strategyFor(provider);
    const first = await begin(strategy, "ann");
    const second = await begin(strategy, "ann");
    await expect(finish(strategy, first.secret, await codeFrom(second))).rejects.toMatchObject(refused);
    const third = await begin(strategy, "ann");
    const nonce = { ...third.secret, nonce: "another" };
    await expect(finish(strategy, nonce, await codeFrom(third))).rejects.toMatchObject({
      ...provesNothing,
      findings: { cause: "claim", claim: "nonce" },
    });
  });

  it("refuses another provider's code, an iss that is not its provider's, and none where one is promised", async () => {
    const here = strategyFor(provider);
    const there = strategyFor(other);
    const begunHere = await begin(here, "ann");
    const begunThere = await begin(there, "ann");
    await expect(finish(here, begunHere.secret, await codeFrom(begunThere))).rejects.toMatchObject(refused);
    const again = await begin(here, "ann");
    await expect(finish(here, again.secret, await codeFrom(again), other.issuer)).rejects.toMatchObject(
      provesNothing,
    );
    const without = await begin(here, "ann");
    await expect(finish(here, without.secret, await codeFrom(without), "")).rejects.toMatchObject(
      provesNothing,
    );
    const good = await begin(here, "ann");
    const proof = await finish(here, good.secret, await codeFrom(good), provider.issuer);
    expect(proof.kind).toBe("identity");
  });

  it("needs a code", async () => {
    const strategy = strategyFor(provider);
    const begun = await begin(strategy, "ann");
    await expect(finish(strategy, begun.secret, new URL(callbackUrl))).rejects.toMatchObject({
      reason: "CODE_MISSING",
      message: "OIDC code is missing",
    });
  });
});

describe("OIDC, the provider being down", () => {
  const unavailable = { reason: "UNAVAILABLE", kind: "unavailable" };

  it("is unavailable by name, asks once per cooldown, and recovers", async () => {
    const strategy = strategyFor(other);
    other.setDown(true);
    const before = other.requests.length;
    for (let attempt = 0; attempt < 5; attempt++) {
      await expect(begin(strategy, "ann")).rejects.toMatchObject({
        ...unavailable,
        message: expect.stringContaining("acme"),
      });
    }
    expect(other.requests.length - before).toBe(1);
    other.setDown(false);
    now = new Date(now.getTime() + 6_000);
    expect((await begin(strategy, "ann")).endpoint).toContain(other.issuer);
  });

  it("begins from the document at hand for an hour more, and not longer", async () => {
    const strategy = strategyFor(other);
    const begun = await begin(strategy, "ann");
    const back = await codeFrom(begun);
    other.setDown(true);
    await expect(finish(strategy, begun.secret, back)).rejects.toMatchObject(unavailable);
    now = new Date(now.getTime() + 7_190_000);
    expect((await begin(strategy, "ann")).endpoint).toContain(other.issuer);
    now = new Date(now.getTime() + 20_000);
    await expect(begin(strategy, "ann")).rejects.toMatchObject(unavailable);
    other.setDown(false);
  });

  it("is not merely unavailable where the guard lets no request out, ever", async () => {
    const egress = createEgress({ allowCidrs: [], allowedOrigins: [], log: silentLog });
    const strategy = strategyFor(provider, { egress });
    await expect(begin(strategy, "ann")).rejects.toMatchObject({
      ...provesNothing,
      findings: { cause: "blocked", at: "discovery" },
    });
  });
});

describe("what an issuer is authoritative for", () => {
  const google = {
    issuerUrl: "https://accounts.google.com",
    authoritativeDomains: [],
  } as unknown as OidcStrategyOptions;
  const acme = {
    issuerUrl: "https://id.acme.org",
    authoritativeDomains: ["acme.org"],
  } as unknown as OidcStrategyOptions;
  const under = (name: string, issuerUrl: string) =>
    ({ name, issuerUrl, authoritativeDomains: [] }) as unknown as OidcStrategyOptions;
  const workspace = { email: "a@corp.org", hd: "corp.org" };
  it.each([
    ["a stand-in for Google on this machine", under("google", "http://127.0.0.1:9000"), workspace, true],
    ["another issuer on this machine", under("acme", "http://127.0.0.1:9000"), workspace, false],
    ["another issuer under Google's name", under("google", "https://id.acme.org"), workspace, false],
    ["Google, its own mailboxes", google, { email: "a@gmail.com" }, true],
    ["Google, a workspace's domain", google, { email: "a@corp.org", hd: "corp.org" }, true],
    ["Google, another domain than the workspace's", google, { email: "a@corp.org", hd: "other.org" }, false],
    ["Google, a stranger's domain", google, { email: "a@corp.org" }, false],
    ["an issuer, a configured domain", acme, { email: "a@acme.org" }, true],
    ["an issuer, a domain below it", acme, { email: "a@sub.acme.org" }, false],
    ["an issuer that claims a workspace", acme, { email: "a@corp.org", hd: "corp.org" }, false],
    ["an issuer, an address in disguise", acme, { email: "a@acme.org@evil.org" }, false],
    ["an issuer, no address", acme, {}, false],
    // The Kelvin sign: in lower case this would be somebody's at a domain of the issuer's.
    ["an issuer, an address of other letters", acme, { email: "\u212Aate@acme.org" }, false],
  ])("%s: %s", (_name, options, claims, expected) => {
    const proof = toIdentity({ iss: options.issuerUrl, sub: "1", email_verified: true, ...claims }, options);
    expect(proof).toMatchObject({ isAuthoritative: expected });
  });
});

describe("what an issuer tells of a person", () => {
  const options = {
    issuerUrl: "https://id.acme.org",
    authoritativeDomains: [],
  } as unknown as OidcStrategyOptions;
  const tell = (claims: object) => toIdentity({ iss: options.issuerUrl, sub: "1", ...claims }, options);

  it.each([
    [{ email: "\u212Aate@acme.org", email_verified: true }, { emailVerified: false }],
    [{ email: ["ann@acme.org"], email_verified: true }, { emailVerified: false }],
    [
      { email: "Ann@Acme.org", email_verified: true },
      { emailVerified: true, email: "ann@acme.org" },
    ],
    [
      { email: "ann@acme.org", email_verified: "yes" },
      { emailVerified: false, email: "ann@acme.org" },
    ],
    [{ name: " A\u0000nn\r\n " }, { title: "Ann" }],
    [{ name: "\u0000" }, {}],
    [{ name: `${"x".repeat(199)}😀` }, { title: `${"x".repeat(199)}😀` }],
    [{ name: `${"x".repeat(200)}😀` }, { title: "x".repeat(200) }],
    [{ name: "\u202eevE\u2028" }, { title: "evE" }],
    [{ picture: "https://p.example.org/a b" }, {}],
    [{ picture: `https://p.example.org/${"a".repeat(2048)}` }, {}],
  ])("%j", (claims, expected) => {
    const { email, title, avatar, emailVerified } = tell(claims) as Record<string, unknown>;
    const { emailVerified: isVerified = false, ...texts }: Record<string, unknown> = expected;
    expect({ email, title, avatar, emailVerified }).toEqual({
      email: undefined,
      title: undefined,
      avatar: undefined,
      ...texts,
      emailVerified: isVerified,
    });
  });
});
