import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startServer, type TestServer } from "./parts/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: read as a client would
async function readDocument(): Promise<any> {
  const answer = await fetch(`${server.url}/openapi.json`);
  expect(answer.status).toBe(200);
  return answer.json();
}

it("the built server describes its REST in valid OpenAPI, with the schema's comments", async () => {
  const document = await readDocument();
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  expect({ valid, errors }).toMatchObject({ valid: true });
  expect(document.paths["/v1beta1/users/self"].get.description).toMatch(/\S/);
});

/** Every schema in the document that has examples, with where it is. */
function* listExamples(value: unknown, pointer = ""): Generator<{ pointer: string; examples: unknown[] }> {
  if (typeof value !== "object" || value === null) return;
  if ("examples" in value && Array.isArray(value.examples)) yield { pointer, examples: value.examples };
  for (const [name, member] of Object.entries(value)) {
    yield* listExamples(member, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
  }
}

it("every example fits what it is an example of", async () => {
  const document = await readDocument();
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, "doc");
  const found = [...listExamples(document)];
  expect(found.length).toBeGreaterThan(20);
  for (const { pointer, examples } of found) {
    const isFit = ajv.compile({ $ref: `doc#${encodeURI(pointer)}` });
    for (const example of examples)
      expect(isFit(example), `${pointer}: ${JSON.stringify(example)}`).toBe(true);
  }
});

it("names the headers and the fields that a client needs", async () => {
  const { paths, components } = await readDocument();
  const headers = (method: string, path: string): string[] =>
    paths[`/frontdoor/{frontdoor_id}/${path}`][method].parameters
      .filter((each: object) => "$ref" in each)
      .map(({ $ref }: { $ref: string }) => $ref.replace(/^.*\//, ""));
  for (const method of ["patch", "put", "delete"])
    expect(headers(method, "auth-providers/{id}"), method).toEqual(["IfMatch"]);
  expect(headers("post", "auth-providers/{id}:rollback")).toEqual(["IfMatch"]);
  expect(headers("put", "custom-frontends/{id}")).toEqual(["IfMatch"]);
  expect(headers("delete", "custom-frontends/{id}")).toEqual(["IfMatch"]);
  expect(headers("post", "auth-providers")).toEqual(["IdempotencyKey"]);
  expect(headers("get", "auth-providers/{id}")).toEqual(["IfNoneMatch"]);
  expect(headers("get", "auth-providers")).toEqual([]);
  const { requestBody } = paths["/frontdoor/{frontdoor_id}/auth-providers"].post;
  expect(requestBody.required).toBe(true);
  const { schema } = requestBody.content["application/json"];
  expect(schema.required).toEqual(["name", "type"]);
  expect(schema.properties.data).toMatchObject({ type: ["object", "null"], additionalProperties: true });
  expect(schema.additionalProperties).toBe(false);
  expect(components.schemas["vestibule.v1.AuthProviderSummary"].required).toEqual([
    "id",
    "name",
    "type",
    "enabled",
  ]);
  const [, , organization] = paths["/v1beta1/serviceusers/{id}/keys/{key_id}"].get.parameters;
  expect(organization).toMatchObject({ name: "org_id", in: "query" });
  expect(organization).not.toHaveProperty("required");
});

it("every path that it describes is there", async () => {
  const document = await readDocument();
  for (const [path, item] of Object.entries<object>(document.paths)) {
    for (const method of Object.keys(item)) {
      const target = `${server.url}${path.replaceAll(/\{\w+\}/g, "x")}`;
      const answer = await fetch(target, { method: method.toUpperCase() });
      // Signing out succeeds for whoever asks.
      const expected = path === "/v1beta1/auth/logout" ? [200] : [400, 401];
      expect(expected, `${method} ${path}`).toContain(answer.status);
    }
  }
});
