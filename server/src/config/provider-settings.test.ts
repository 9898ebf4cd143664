/** How a provider is spoken to: what its entry may say, and what belongs together. */
import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { OidcProviderConfig } from "./config.ts";
import { type Given, load, problemsOf } from "./test-support.ts";

const p256 = toPem(generateKeyPairSync("ec", { namedCurve: "P-256" }));
const p384 = toPem(generateKeyPairSync("ec", { namedCurve: "P-384" }));
const rsa = toPem(generateKeyPairSync("rsa", { modulusLength: 2048 }));
const shortRsa = toPem(generateKeyPairSync("rsa", { modulusLength: 1024 }));
const files = {
  "/srv/p256.pem": p256,
  "/srv/p384.pem": p384,
  "/srv/rsa.pem": rsa,
  "/srv/short.pem": shortRsa,
  "/srv/none.pem": "no key",
};

function toPem({ privateKey }: ReturnType<typeof generateKeyPairSync>): string {
  return (privateKey as unknown as { export(how: object): string }).export({ type: "pkcs8", format: "pem" });
}

const tenant = "0198c0de-0000-7000-8000-00000000000A";
const common = "https://login.microsoftonline.com/common/v2.0";

/** An entry named `acme`, which is complete but for what a test adds. */
const entry = (yaml: string, basics = "client_id: a, issuer_url: 'https://id.example.com'"): Given => ({
  yaml: `authentication: { oidc_config: { acme: { ${basics}${yaml && `, ${yaml}`} } } }`,
  files,
});
const ofTenants = (yaml: string): Given =>
  entry(`client_secret: s, ${yaml}`, `client_id: a, issuer_url: '${common}'`);

function read(given: Given): OidcProviderConfig {
  const [provider] = load(given).authentication.oidcProviders;
  if (provider === undefined) throw new Error("no provider");
  return provider;
}

describe("how a client proves itself", () => {
  test.each<[string, string, object]>([
    ["a secret, as the issuer announces", "client_secret: s", { method: "announced", secret: "s" }],
    ...["client_secret_basic", "client_secret_post", "client_secret_jwt"].map(
      (method): [string, string, object] => [
        method,
        `client_secret: s, client_authentication: ${method}`,
        { method, secret: "s" },
      ],
    ),
    [
      "keys, the first of which signs",
      "client_authentication: private_key_jwt, private_keys: [rsa.pem, /srv/p256.pem]",
      { method: "private_key_jwt", keys: [rsa, p256] },
    ],
    [
      "a secret that a key of Apple's signs",
      "client_authentication: apple, private_keys: [p256.pem], key_id: K, team_id: T",
      { method: "apple", key: p256, keyId: "K", teamId: "T" },
    ],
    ["not at all, if that is said", "client_authentication: none", { method: "none" }],
  ])("%s", (_, yaml, expected) => {
    expect(read(entry(yaml)).clientAuthentication).toEqual(expected);
  });

  test.each<[string, string, ...string[]]>([
    [
      "nothing, which is no public client by that",
      "",
      "client_secret: must be given; a public client is one by client_authentication: none",
    ],
    [
      "a secret of a public client",
      "client_secret: s, client_authentication: none",
      "client_secret: must be left out with client_authentication none",
    ],
    [
      "keys that nothing takes",
      "client_secret: s, private_keys: [rsa.pem]",
      "private_keys: must be left out without client_authentication",
    ],
    [
      "no keys",
      "client_authentication: private_key_jwt, private_keys: []",
      "private_keys: must be given with client_authentication private_key_jwt",
    ],
    [
      "a file that is not there",
      "client_authentication: private_key_jwt, private_keys: [gone.pem]",
      "private_keys[0]: must name a file that can be read, got ENOENT",
    ],
    ...["none.pem", "short.pem", "p384.pem"].map((file): [string, string, string] => [
      `the key ${file}`,
      `client_authentication: private_key_jwt, private_keys: [rsa.pem, ${file}]`,
      "private_keys[1]: must name a file that holds a P-256, RSA or Ed25519 private key without passphrase in PEM form",
    ]),
    [
      "an RSA key for Apple",
      "client_authentication: apple, private_keys: [rsa.pem], key_id: K, team_id: T",
      "private_keys[0]: must name a file that holds a P-256 private key without passphrase in PEM form",
    ],
    [
      "two keys for Apple",
      "client_authentication: apple, private_keys: [p256.pem, p256.pem], key_id: K, team_id: T",
      "private_keys: must be one key: the one that key_id names",
    ],
    [
      "half of what Apple wants",
      "client_authentication: apple, private_keys: [p256.pem]",
      "key_id: must be given with client_authentication apple",
      "team_id: must be given with client_authentication apple",
    ],
    [
      "a method that is none",
      "client_secret: s, client_authentication: tls_client_auth",
      "client_authentication: must be one of client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, apple, none",
    ],
  ])("refused: %s", (_, yaml, ...problems) => {
    expect(problemsOf(entry(yaml))).toEqual(
      problems.map((each) => `authentication.oidc_config.acme.${each}`),
    );
  });

  test("GitHub, which is no OpenID provider, takes none of it", () => {
    const yaml =
      "authentication: { oidc_config: { github: { client_id: a, client_secret: s, client_authentication: client_secret_post, nonce: false } } }";
    expect(problemsOf({ yaml })).toEqual([
      "authentication.oidc_config.github.nonce: must be left out: only OpenID providers take it",
    ]);
  });
});

describe("whose tokens are taken", () => {
  test.each([
    ["common", { issuerUrl: "https://login.microsoftonline.com/{tenantid}/v2.0" }],
    ["organizations", { issuerUrl: "https://login.microsoftonline.com/{tenantid}/v2.0" }],
    [
      "consumers",
      { issuerUrl: "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0" },
    ],
  ])("Entra's %s is spelled out", (name, expected) => {
    const site = "https://login.microsoftonline.com";
    const provider = read(entry("client_secret: s", `client_id: a, issuer_url: '${site}/${name}/v2.0'`));
    expect(provider).toMatchObject({
      ...expected,
      discoveryUrl: `${site}/${name}/v2.0/.well-known/openid-configuration`,
      tenants: undefined,
    });
  });

  test("one tenant's issuer, and another site's with such a name, are what they say", () => {
    for (const issuer of [
      `https://login.microsoftonline.com/${tenant}/v2.0`,
      "https://id.example.com/common/v2.0",
    ]) {
      expect(read(entry("client_secret: s", `client_id: a, issuer_url: '${issuer}'`))).toMatchObject({
        issuerUrl: issuer,
        discoveryUrl: undefined,
      });
    }
  });

  test("tenants are named by their ids, and a document by its place", () => {
    const discovery = "https://id.example.com/a/.well-known/openid-configuration?v=2";
    expect(read(ofTenants(`tenants: [${tenant}], discovery_url: '${discovery}'`))).toMatchObject({
      tenants: [tenant.toLowerCase()],
      discoveryUrl: discovery,
    });
  });

  test.each<[string, Given, string]>([
    ["a tenant by its domain", ofTenants("tenants: [example.com]"), "tenants[0]: must be a UUID"],
    ["no tenant at all", ofTenants("tenants: []"), "tenants: must name a tenant, or be left out"],
    [
      "tenants of an issuer that has one",
      entry(`client_secret: s, tenants: [${tenant}]`),
      "tenants: must be left out: issuer_url is the issuer of one tenant",
    ],
    [
      "an assertion that would be for no tenant in particular",
      ofTenants("client_authentication: client_secret_jwt"),
      "client_authentication: must be another for an issuer of many tenants: what is signed is for one issuer",
    ],
    [
      "domains about which every tenant would be believed",
      ofTenants("authoritative_domains: [example.com]"),
      "authoritative_domains: must go with tenants: those that are believed about addresses of these domains",
    ],
    ...[
      "{tenantid}.example.com",
      "example.com/a{tenantid}",
      "example.com/{tenantid}/{tenantid}",
      "example.com/{tenant}",
    ].map((rest): [string, Given, string] => [
      `the issuer ${rest}`,
      entry("client_secret: s", `client_id: a, issuer_url: 'https://${rest}'`),
      "issuer_url: may hold {tenantid} once, as a step of its path, and no other braces",
    ]),
    [
      "a document by plain http",
      entry("client_secret: s, discovery_url: 'http://id.example.com/'"),
      "discovery_url: must be an https URL without fragment (http only on a loopback host)",
    ],
  ])("refused: %s", (_, given, problem) => {
    expect(problemsOf(given)).toEqual([expect.stringContaining(problem)]);
  });

  test("domains go with named tenants", () => {
    expect(problemsOf(ofTenants(`tenants: [${tenant}], authoritative_domains: [example.com]`))).toEqual([]);
  });
});

describe("how the browser goes there and back", () => {
  test("an answer can come by a form; nonce or PKCE can be done without", () => {
    expect(read(entry("client_secret: s, response_mode: form_post"))).toMatchObject({
      responseMode: "form_post",
      usesNonce: true,
      usesPkce: true,
    });
    expect(read(entry("client_secret: s, nonce: false"))).toMatchObject({ usesNonce: false, usesPkce: true });
    expect(read(entry("client_secret: s, pkce: false"))).toMatchObject({ usesNonce: true, usesPkce: false });
  });

  test.each([
    ["neither", "client_secret: s, nonce: false, pkce: false", "nonce: must not be false where pkce is"],
    [
      "a public client without PKCE",
      "client_authentication: none, pkce: false",
      "pkce: must not be false for a public client",
    ],
    [
      "a form at the plain URL, where our own forms go",
      "client_secret: s, response_mode: form_post, callback: shared",
      "callback: must be own for response_mode form_post",
    ],
    ["an answer in a fragment", "client_secret: s, response_mode: fragment", "response_mode: must be one of"],
  ])("refused: %s", (_, yaml, problem) => {
    expect(problemsOf(entry(yaml))).toEqual([
      expect.stringContaining(`authentication.oidc_config.acme.${problem}`),
    ]);
  });
});
