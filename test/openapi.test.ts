import { Validator } from "@seriousme/openapi-schema-validator";
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

it("every path that it describes is there", async () => {
  const document = await readDocument();
  for (const [path, item] of Object.entries<object>(document.paths)) {
    for (const method of Object.keys(item)) {
      const target = `${server.url}${path.replaceAll(/\{\w+\}/g, "x")}`;
      const answer = await fetch(target, { method: method.toUpperCase() });
      expect([400, 401], `${method} ${path}`).toContain(answer.status);
    }
  }
});
