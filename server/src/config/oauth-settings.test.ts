/** Providers of plain OAuth 2: three URLs and a map, and what belongs to OpenID providers alone. */
import { expect, test } from "vitest";
import { type Given, load, problemsOf } from "./test-support.ts";

const of = (name: string, yaml: string): Given => ({
  yaml: `authentication: { oidc_config: { ${name}: { client_id: a, client_secret: s, ${yaml} } } }`,
});
const urls =
  "authorization_url: 'https://a.example/o?t=1', token_url: 'https://a.example/t', userinfo_url: 'https://api.example/me'";
const read = (given: Given) => load(given).authentication.oidcProviders[0];

test("a provider by three URLs and a map", () => {
  const claims =
    "claims: { subject: data.id, email: mail, email_verified: always, name: nick name, picture: img }";
  expect(read(of("acme", `${urls}, ${claims}, pkce: false, scopes: [who]`))).toMatchObject({
    issuerUrl: "https://a.example/o?t=1",
    oauth: {
      authorizationUrl: "https://a.example/o?t=1",
      tokenUrl: "https://a.example/t",
      userinfoUrl: "https://api.example/me",
      claims: {
        subject: ["data.id"],
        email: ["mail"],
        emailVerified: "always",
        name: ["nick", "name"],
        picture: ["img"],
      },
    },
    clientAuthentication: { method: "client_secret_basic", secret: "s" },
    usesPkce: false,
    scopes: ["who"],
  });
  expect(read(of("acme", `${urls}, claims: { subject: id }, issuer_url: 'https://a.example'`))).toMatchObject(
    {
      issuerUrl: "https://a.example",
      scopes: [],
      usesPkce: true,
    },
  );
});

test.each([
  ["discord", "https://discord.com", "client_secret_basic"],
  ["facebook", "https://www.facebook.com", "client_secret_post"],
  ["linkedin", "https://www.linkedin.com/oauth", "client_secret_post"],
  ["github", "https://github.com", "client_secret_post"],
])("%s needs no more than a client", (name, issuerUrl, method) => {
  const provider = read(of(name, ""));
  expect(provider).toMatchObject({ issuerUrl, clientAuthentication: { method } });
  expect(provider?.oauth?.claims.subject).toHaveLength(1);
});

test("a site that takes the place of one that is known has identities of its own", () => {
  expect(read(of("discord", urls))).toMatchObject({
    issuerUrl: "https://a.example/o?t=1",
    oauth: { tokenUrl: "https://a.example/t", claims: { subject: ["id"] } },
  });
});

test("what proves the address of a known site proves no other member of its answer", () => {
  const verified = (claims: string) => read(of("discord", claims))?.oauth?.claims.emailVerified;
  expect(verified("")).toEqual(["verified"]);
  expect(verified("claims: { email: 'other' }")).toBeUndefined();
  expect(verified("claims: { email: 'other', email_verified: 'ok' }")).toEqual(["ok"]);
});

const path = "authentication.oidc_config.acme";
test.each([
  ["no token endpoint", "authorization_url: 'https://a.example/o'", "token_url: must be given beside"],
  ["no subject", urls, "claims.subject: must be given"],
  [
    "a path that is none",
    `${urls}, claims: { subject: 'a..b' }`,
    "claims.subject: must be the name of a member",
  ],
  [
    "a URL without TLS",
    urls.replace("https://a.example/t", "http://a.example/t"),
    "token_url: must be an https URL",
  ],
  [
    "an assertion",
    `${urls}, claims: { subject: id }, client_authentication: private_key_jwt`,
    "client_authentication: must be one of",
  ],
  [
    "a nonce",
    `${urls}, claims: { subject: id }, nonce: false`,
    "nonce: must be left out: only OpenID providers",
  ],
  ["a form", `${urls}, claims: { subject: id }, response_mode: form_post`, "response_mode: must be left out"],
  [
    "a map of an OpenID provider",
    "issuer_url: 'https://a.example', claims: { subject: id }",
    "claims: must be left out: only providers of plain OAuth 2",
  ],
])("refuses %s", (_name, yaml, problem) => {
  expect(problemsOf(of("acme", yaml)).join("\n")).toContain(`${path}.${problem}`);
});
