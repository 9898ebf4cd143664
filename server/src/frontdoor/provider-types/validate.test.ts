import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { within } from "../../../../test/parts/within.ts";
import { invalidValues } from "../../lib/invalid-request.ts";
import type { ProviderTypeName } from "./provider-type.ts";
import { changedEndpointFields, providerTypeNames } from "./provider-type.ts";
import { createProviderTypes } from "./provider-types.ts";
import { createTestContext, makeKey } from "./test-support.ts";
import { createProviderValidator } from "./validate.ts";

const types = createProviderTypes(createTestContext());
const validator = createProviderValidator(types.list);

/** One line for each violation. */
const problemsOf = (type: ProviderTypeName, data: unknown) =>
  validator.validate(type, data).map(({ field, description }) => `${field} ${description}`);

const oidc = { issuer: "https://your-org.okta.com", clientId: "abc123" };
const { jwk } = makeKey("k1");
const jwt = { issuer: "ci", audiences: ["app"], jwks: { keys: [jwk] } };
const github = { clientId: "a", clientSecret: "b" };

test("the types are listed by name, each with what a form needs", () => {
  expect(types.list.map(({ name }) => name)).toEqual(providerTypeNames);
  expect(types.find("OIDC")).toBe(types.get("OIDC"));
  for (const name of ["oidc", "", "constructor", "__proto__"]) expect(types.find(name)).toBeUndefined();
  for (const { schema, secretFields, displayName, description } of types.list) {
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: expect.stringMatching(/^https:\/\/auth\.example\.com\/frontdoor\/schemas\/[a-z-]+\.schema\.json$/),
      title: displayName,
      description,
      type: "object",
      additionalProperties: false,
    });
    for (const [name, property] of Object.entries(schema.properties as Record<string, object>)) {
      expect(property).toMatchObject({ title: expect.any(String), description: expect.any(String) });
      expect("writeOnly" in property).toBe(secretFields.includes(name));
    }
  }
});

test("each schema is JSON Schema 2020-12, and what it suggests fits it", () => {
  const ajv = new Ajv2020({ allowUnionTypes: true });
  addFormats.default(ajv, ["uri", "password"]);
  for (const { name, schema, secretFields } of types.list) {
    expect(ajv.validateSchema(schema), name).toBe(true);
    for (const [property, { examples, ...rest }] of Object.entries(
      schema.properties as Record<string, { examples?: unknown[]; default?: unknown }>,
    )) {
      const suggested = [...(examples ?? []), ...(rest.default === undefined ? [] : [rest.default])];
      expect(suggested.length > 0, `${name}.${property}`).toBe(!secretFields.includes(property));
      const isFit = ajv.compile(rest);
      for (const value of suggested) expect(isFit(value), `${name}.${property}: ${String(value)}`).toBe(true);
    }
  }
});

test("the schema of OIDC is the guide's", () => {
  expect(types.get("OIDC")).toMatchObject({
    displayName: "OpenID Connect",
    description: "Validate JWTs issued by an OpenID Connect provider",
    schema: {
      $id: "https://auth.example.com/frontdoor/schemas/oidc.schema.json",
      required: ["issuer", "clientId"],
      properties: { issuer: { format: "uri" } },
    },
  });
  expect(types.get("API_KEY").schema.$id).toMatch(/\/api-key\.schema\.json$/);
});

test.each<[ProviderTypeName, object]>([
  ["OIDC", { ...oidc, audiences: ["api://default"] }],
  [
    "OIDC",
    {
      ...oidc,
      clientSecret: "s",
      scopes: ["openid", "email", "profile"],
      supportsPkce: true,
      discoveryUrl: "https://idp.example.com/d?x=1",
      allowedAlgorithms: ["RS256"],
      requiredClaims: { a: "b", c: true, d: 1, "https://x/y": ["e", 2] },
    },
  ],
  ["OIDC", { ...oidc, issuer: "http://127.0.0.1:9000/realms/a", audiences: [], scopes: [] }],
  ["GOOGLE", { clientId: "a" }],
  [
    "GOOGLE",
    { clientId: "a", clientSecret: "b", hostedDomains: ["Example.com", "sub.xn--bcher-kva.example"] },
  ],
  ["GITHUB", { ...github, baseUrl: "https://git.example.com/", allowedOrganizations: ["octo-org"] }],
  ["API_KEY", {}],
  ["API_KEY", { header: "X-My-Key" }],
  ["JWT", jwt],
  [
    "JWT",
    { issuer: "ci", audiences: ["app"], jwksUri: "https://ci.example.com/jwks", algorithms: ["EdDSA"] },
  ],
  ["VESTIBULE", {}],
  ["VESTIBULE", { allowedOrgIds: ["0199c9a0-0000-7000-8000-000000000000"], allowedRoles: ["owner"] }],
])("accepts %s %j", (type, data) => {
  expect(problemsOf(type, data)).toEqual([]);
});

test.each([
  "Transfer-Encoding",
  "te",
  "IF-MATCH",
  "Range",
  "Set-Cookie",
  "X-HTTP-Method-Override",
  "traceparent",
])("no key is read from %s", (header) => {
  expect(validator.validate("API_KEY", { header })).toEqual([
    { field: "data.header", description: "must not be one that has another meaning" },
  ]);
});

test.each<[ProviderTypeName, unknown, string]>([
  ["OIDC", { ...oidc, issuer: 1 }, "data.issuer must be of string"],
  ["OIDC", { ...oidc, audiences: "a" }, "data.audiences must be of array"],
  ["OIDC", { ...oidc, audiences: ["a", 1] }, "data.audiences[1] must be of string"],
  ["OIDC", { ...oidc, audiences: ["a", "a"] }, "data.audiences must not have an item twice"],
  ["OIDC", { ...oidc, supportsPkce: "true" }, "data.supportsPkce must be of boolean"],
  ["OIDC", { ...oidc, clientSecret: "" }, "data.clientSecret must not be empty"],
  ["OIDC", { ...oidc, clientId: "a b" }, "data.clientId must be of visible ASCII"],
  ["OIDC", { ...oidc, allowedAlgorithms: ["none"] }, "data.allowedAlgorithms[0] must be one of RS256"],
  ["OIDC", { ...oidc, allowedAlgorithms: ["HS256"] }, "data.allowedAlgorithms[0] must be one of RS256"],
  ["OIDC", { ...oidc, allowedAlgorithms: [] }, "data.allowedAlgorithms must have at least 1 item"],
  ["OIDC", { ...oidc, surprise: 1 }, "data.surprise must be left out: there is no such property"],
  [
    "OIDC",
    { ...oidc, client_id: "a" },
    "data.client_id must be left out: there is no such property, there is clientId",
  ],
  [
    "OIDC",
    { ...oidc, issuerUrl: "a" },
    "data.issuerUrl must be left out: there is no such property, there is issuer",
  ],
  [
    "JWT",
    { issuer: "a", audiences: ["b"], jwks: { Keys: [] } },
    "data.jwks.Keys must be left out: there is no such property, there is keys",
  ],
  ["OIDC", { ...oidc, requiredClaims: { a: [] } }, "data.requiredClaims.a must have at least 1 item"],
  ["OIDC", { ...oidc, requiredClaims: { a: {} } }, "data.requiredClaims.a must be of string or number"],
  ["OIDC", { ...oidc, requiredClaims: { "a/b~c": null } }, 'data.requiredClaims["a/b~c"] must be of string'],
  ["OIDC", { ...oidc, client_id: "a" }, "data.client_id must be left out"],
  ["OIDC", { ...oidc, "a b": 1 }, 'data["a b"] must be left out'],
  ["OIDC", { clientId: "a" }, "data.issuer must be given"],
  ["OIDC", { ...oidc, issuer: "https://x/?a" }, "data.issuer must be an https URL"],
  ["OIDC", { ...oidc, issuer: "https://u:p@x/" }, "data.issuer must be an https URL"],
  ["OIDC", { ...oidc, issuer: "https://x#a" }, "data.issuer must be an https URL"],
  ["OIDC", { ...oidc, issuer: "https://x:99999" }, "data.issuer must be a URI"],
  ["OIDC", { ...oidc, issuer: "https://exämple.com" }, "data.issuer must be a URI"],
  ["OIDC", { ...oidc, issuer: `https://x/${"a".repeat(2048)}` }, "data.issuer must have at most 2048"],
  ["OIDC", null, "data must be of object"],
  ["OIDC", "x", "data must be of object"],
  ["OIDC", [], "data must be of object"],
  ["GOOGLE", { clientId: "a", hostedDomains: [] }, "data.hostedDomains must have at least 1 item"],
  [
    "GOOGLE",
    { clientId: "a", hostedDomains: ["*.example.com"] },
    "data.hostedDomains[0] must be a domain name",
  ],
  ["GITHUB", { clientId: "a" }, "data.clientSecret must be given"],
  ["GITHUB", { ...github, baseUrl: "https://x/y" }, "data.baseUrl must be an https origin"],
  [
    "GITHUB",
    { ...github, allowedOrganizations: ["a/b"] },
    "data.allowedOrganizations[0] must be the login name",
  ],
  ["API_KEY", { header: "X Key" }, "data.header must be a header name"],
  ["API_KEY", { header: "X_Key" }, "data.header must be a header name"],
  ["API_KEY", { header: "authorization" }, "data.header must not be one that has another meaning"],
  ["API_KEY", { header: "Cookie" }, "data.header must not be one that has another meaning"],
  ["API_KEY", { header: "X-Forwarded-For" }, "data.header must not be one that has another meaning"],
  ["API_KEY", { header: "X-Vestibule-Subject" }, "data.header must not be one that has another meaning"],
  ["JWT", { issuer: "ci", audiences: ["a"] }, "data must have exactly one of jwksUri and jwks"],
  ["JWT", { ...jwt, jwksUri: "https://x/" }, "data must have exactly one of jwksUri and jwks"],
  ["JWT", { ...jwt, audiences: [] }, "data.audiences must have at least 1 item"],
  ["JWT", { ...jwt, jwks: { keys: [{ ...jwk, d: "x" }] } }, "data.jwks.keys[0].d must be left out"],
  ["JWT", { ...jwt, jwks: { keys: [{ kty: "oct" }] } }, "data.jwks.keys[0].kty must be one of RSA, EC, OKP"],
  ["VESTIBULE", { allowedOrgIds: ["default"] }, "data.allowedOrgIds[0] must be a UUID"],
  ["VESTIBULE", { allowedRoles: ["admin"] }, "data.allowedRoles[0] must be one of viewer, manager, owner"],
])("refuses %s %j", (type, data, problem) => {
  expect(problemsOf(type, data)).toContainEqual(expect.stringContaining(problem));
});

test("tells everything at once, and the guide's text first", () => {
  const violations = validator.validate("OIDC", { issuer: 1, audiences: [true], secret: "canary" });
  expect(violations.map(({ field }) => field).toSorted()).toEqual([
    "data.audiences[0]",
    "data.clientId",
    "data.issuer",
    "data.secret",
  ]);
  expect(JSON.stringify(violations)).not.toContain("canary");
  const error = invalidValues(validator.validate("OIDC", { ...oidc, scopes: 1 }));
  expect([error.kind, error.message]).toEqual(["invalid_argument", "Value for data.scopes must be of array"]);
});

describe("bombs", () => {
  const nest = (depth: number) => {
    let value: unknown = "x";
    for (let level = 0; level < depth; level += 1) value = [value];
    return { ...oidc, requiredClaims: { a: value } };
  };

  test.each([
    ["1 MiB of nested lists", nest(500_000), "levels deep"],
    ["many values", { ...oidc, audiences: Array.from({ length: 500_000 }, () => 1) }, "values"],
    [
      "many names",
      Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1])),
      "must be of at most",
    ],
    ["a long text", { ...oidc, clientId: "a".repeat(1_000_000) }, "characters"],
    ["a long name", { ...oidc, ["a".repeat(1_000_000)]: 1 }, "characters"],
    ["__proto__ as a name", JSON.parse('{"__proto__":{"issuer":"https://x"}}'), "without __proto__"],
    ["__proto__ further down", JSON.parse('{"requiredClaims":{"__proto__":1}}'), "without __proto__"],
    ["a prototype that was assigned", Object.setPrototypeOf({ clientId: "a" }, oidc), "without __proto__"],
    ["no JSON", { ...oidc, clientId: undefined }, "JSON values"],
    ["no number of JSON's", { ...oidc, requiredClaims: { a: Number.NaN } }, "JSON values"],
  ])("refuses %s by one violation", (_, data, problem) => {
    expect(problemsOf("OIDC", data)).toEqual([expect.stringContaining(problem)]);
  });

  test("tells of at most 50 violations", () => {
    const data = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, 1]));
    expect(problemsOf("OIDC", data)).toHaveLength(50);
  });

  test.each([
    "https://".padEnd(200_000, "a."),
    "https://".padEnd(200_000, "1."),
    "https://[".padEnd(200_000, "0:"),
    "".padEnd(200_000, "a-"),
    "".padEnd(200_000, "%"),
  ])("hostile text costs no more than its length: %.12s…", async (text) => {
    await within(1000, async () => {
      const before = performance.now();
      validator.validate("OIDC", { issuer: text, clientId: "a" });
      validator.validate("GOOGLE", { clientId: "a", hostedDomains: [text] });
      validator.validate("API_KEY", { header: text });
      return performance.now() - before;
    });
  });
});

describe("endpoint fields", () => {
  test.each<[ProviderTypeName, object, object, string[]]>([
    ["OIDC", oidc, { ...oidc, clientSecret: "x", audiences: ["a"] }, []],
    ["OIDC", oidc, { ...oidc, issuer: "https://YOUR-org.okta.com:443/" }, []],
    ["OIDC", oidc, { ...oidc, issuer: "https://your-org.okta.com/a" }, ["issuer", "discoveryUrl"]],
    ["OIDC", oidc, { ...oidc, issuer: "http://your-org.okta.com" }, ["issuer", "discoveryUrl"]],
    ["OIDC", oidc, { ...oidc, clientId: "ABC123" }, ["clientId"]],
    ["OIDC", oidc, { ...oidc, discoveryUrl: "https://evil.test/d" }, ["discoveryUrl"]],
    [
      "OIDC",
      oidc,
      { ...oidc, discoveryUrl: "https://your-org.okta.com/.well-known/openid-configuration" },
      [],
    ],
    [
      "OIDC",
      { ...oidc, discoveryUrl: "https://idp.test/d?next=/" },
      { ...oidc, discoveryUrl: "https://idp.test/d?next=" },
      ["discoveryUrl"],
    ],
    [
      "OIDC",
      { ...oidc, issuer: "https://xn--bcher-kva.test" },
      { ...oidc, issuer: "https://bücher.test/" },
      [],
    ],
    ["GOOGLE", { clientId: "a" }, { clientId: "a", hostedDomains: ["x.test"] }, []],
    ["GOOGLE", { clientId: "a" }, { clientId: "b" }, ["clientId"]],
    ["GITHUB", github, { ...github, baseUrl: "https://github.com/" }, []],
    ["GITHUB", github, { ...github, baseUrl: "https://github.com.evil.test" }, ["baseUrl"]],
  ])("%s: from %j to %j", (type, before, after, changed) => {
    expect(changedEndpointFields(types.get(type), before as never, after as never)).toEqual(changed);
  });
});
