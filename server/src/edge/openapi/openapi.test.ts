import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collectComments } from "../../../../scripts/comments.ts";
import { libraryServices } from "../rest/test-support.ts";
import { type RunningEdge, send, startEdge } from "../test-support.ts";
import { createOpenApiDocument } from "./openapi.ts";

const files = [...new Set(libraryServices.map(({ service }) => service.file))];

const document = createOpenApiDocument({
  services: libraryServices,
  comments: collectComments(files),
  title: "Library",
  version: "1.2.3",
  publicOrigin: "https://library.example.com",
});

// biome-ignore lint/suspicious/noExplicitAny: read as a client would
const { paths, components, ...head } = document as any;

async function problemsOf(value: unknown): Promise<unknown> {
  const validator = new Validator();
  const result = await validator.validate(structuredClone(value) as Parameters<Validator["validate"]>[0]);
  return result.valid ? [] : result.errors;
}

describe("the document", () => {
  it("is valid OpenAPI 3.1", async () => {
    expect(await problemsOf(document)).toEqual([]);
    expect(head).toEqual({
      openapi: "3.1.0",
      info: { title: "Library", version: "1.2.3" },
      servers: [{ url: "https://library.example.com" }],
      tags: [
        { name: "LibraryService", description: "Books on shelves." },
        { name: "OldService", description: "As Frontier's REST was." },
      ],
    });
  });

  it("would not pass with a mistake in it", async () => {
    expect(await problemsOf({ ...document, paths: { "/a": { get: { responses: 5 } } } })).not.toEqual([]);
  });

  it("has every path once, and every HTTP method that OpenAPI knows", () => {
    expect(Object.keys(paths)).toEqual([
      "/library/shelves/{shelf_id}/books/{id}",
      "/library/v0/{shelf_id}/{id}/whole",
      "/library/shelves/{shelf_id}/books",
      "/library/shelves/{shelf_id}/books/{id}:lend",
      "/library/shelves/{shelf_id}/books:count",
      "/library/kinds",
      "/library/kinds/{kind}/schema",
      "/library/names/shelves/{name_4}/books/{name_6}",
      "/library/files/{name}",
      "/library/any/{segment_3}/{name}",
      "/library/echo/{number}",
      "/library/echo/{number}/tags",
      "/library/fail/{reason}",
      "/library/forget",
      "/old/books/{id}",
    ]);
    expect(Object.keys(paths["/library/shelves/{shelf_id}/books/{id}"])).toEqual([
      "get",
      "patch",
      "put",
      "delete",
    ]);
    expect(Object.keys(paths["/library/echo/{number}"])).toEqual(["get", "post"]);
  });

  it("says what an operation takes and answers", () => {
    const { put } = paths["/library/shelves/{shelf_id}/books/{id}"];
    expect(put).toEqual({
      operationId: "LibraryService_ReplaceBook",
      tags: ["LibraryService"],
      summary: "Replaces a book.",
      description: "Replaces a book.",
      parameters: [
        {
          name: "shelf_id",
          in: "path",
          required: true,
          schema: { type: "string", description: "The shelf." },
        },
        {
          name: "id",
          in: "path",
          required: true,
          schema: { type: "string", description: "Made by the library." },
        },
        { $ref: "#/components/parameters/IfMatch" },
      ],
      requestBody: {
        required: false,
        content: {
          "application/json": {
            schema: { $ref: "#/components/schemas/library.v1.Book.Input", description: "The book." },
          },
        },
      },
      responses: {
        200: {
          description: "Success.",
          headers: { ETag: { $ref: "#/components/headers/ETag" } },
          content: {
            "application/json": { schema: { $ref: "#/components/schemas/library.v1.Book" } },
            "application/hal+json": {
              schema: {
                allOf: [
                  { $ref: "#/components/schemas/library.v1.Book" },
                  { $ref: "#/components/schemas/Links" },
                ],
              },
            },
          },
        },
        401: { $ref: "#/components/responses/Unauthorized" },
        412: { $ref: "#/components/responses/PreconditionFailed" },
        default: { $ref: "#/components/responses/Error" },
      },
      security: [{ bearer: [] }, { basic: [] }, { userToken: [] }, { session: [] }],
    });
  });

  it("separates summary and description, and names other bindings apart", () => {
    const { get } = paths["/library/v0/{shelf_id}/{id}/whole"];
    expect(get).toMatchObject({
      operationId: "LibraryService_GetBook_2",
      summary: "Reads a book.",
      description: "Reads a book.\n\nAnswers with its ETag.",
    });
  });

  it("has the status of success, and nothing for 204", () => {
    const { post } = paths["/library/shelves/{shelf_id}/books"];
    expect(Object.keys(post.responses)).toEqual(["201", "401", "default"]);
    expect(post.responses["201"].headers).toEqual({ Location: { $ref: "#/components/headers/Location" } });
    expect(post.requestBody.required).toBe(true);
    expect(post.parameters).toMatchObject([
      { name: "shelf_id" },
      { name: "dryRun" },
      { $ref: "#/components/parameters/IdempotencyKey" },
    ]);
    const removed = paths["/library/shelves/{shelf_id}/books/{id}"].delete;
    expect(removed.responses["204"]).toEqual({ description: "Done." });
    expect(removed.requestBody).toBeUndefined();
  });

  it("says what is answered to who knows it: nothing, and of pages all", () => {
    const { get } = paths["/library/shelves/{shelf_id}/books/{id}"];
    expect(Object.keys(get.responses)).toEqual(["200", "304", "401", "default"]);
    expect(get.parameters.at(-1)).toEqual({ $ref: "#/components/parameters/IfNoneMatch" });
    expect(Object.keys(paths["/library/shelves/{shelf_id}/books"].get.responses)).toEqual([
      "200",
      "401",
      "default",
    ]);
    expect(paths["/old/books/{id}"].get.responses["304"]).toBeUndefined();
    for (const name of ["IfMatch", "IfNoneMatch", "IdempotencyKey"])
      expect(components.parameters[name].in).toBe("header");
  });

  it("has in answers what is always there, and in requests what must be", () => {
    const { schemas } = components;
    expect(schemas["library.v1.ListBooksResponse"].required).toEqual([
      "content",
      "totalElements",
      "totalPages",
    ]);
    // A book is sent as well as answered: whoever sends one leaves out what they like.
    expect(schemas["library.v1.Book.Input"].required).toEqual(["fullTitle"]);
    expect(schemas["library.v1.Book"].required).toEqual([
      "id",
      "fullTitle",
      "lendable",
      "pages",
      "binding",
      "authors",
    ]);
    expect(schemas["library.v1.LendBookResponse"].required).toBeUndefined();
    expect(schemas["frontier.library.v1.GetOldBookResponse"].required).toBeUndefined();
    const { patch } = paths["/library/shelves/{shelf_id}/books/{id}"];
    expect(patch.requestBody.required).toBeUndefined();
  });

  it("has requests without unknown fields, and with null for what may be absent", () => {
    const { schemas } = components;
    const { additionalProperties, properties } = schemas["library.v1.Book.Input"];
    expect(additionalProperties).toBe(false);
    expect(properties).toMatchObject({
      fullTitle: { type: "string" },
      pages: { type: ["integer", "null"], minimum: 0 },
      binding: { anyOf: [{ $ref: "#/components/schemas/library.v1.Binding" }, { type: "null" }] },
      authors: {
        type: ["array", "null"],
        items: { $ref: "#/components/schemas/library.v1.Author.Input" },
      },
      data: { type: ["object", "null"], additionalProperties: true },
      earlier: { anyOf: [{ $ref: "#/components/schemas/library.v1.Book.Input" }, { type: "null" }] },
    });
    expect(schemas["library.v1.Author.Input"]).toMatchObject({ required: ["name"] });
    // What is answered may have more one day.
    expect(schemas["library.v1.Book"]).not.toHaveProperty("additionalProperties");
  });

  it("describes query parameters with their rules, nested ones to the first repetition", () => {
    const names = ({ parameters }: { parameters: { name: string; in: string }[] }) =>
      parameters.filter((each) => each.in === "query").map(({ name }) => name);
    expect(paths["/library/shelves/{shelf_id}/books"].get.parameters[2]).toEqual({
      name: "size",
      in: "query",
      description: "1 to 200; 20 if absent.",
      schema: {
        type: "integer",
        format: "int32",
        minimum: 1,
        maximum: 200,
        description: "1 to 200; 20 if absent.",
      },
    });
    const echoed = names(paths["/library/echo/{number}"].get);
    expect(echoed).toContain("nestedOne.innerCounts");
    expect(echoed).not.toContain("nestedOne.below.innerText");
    for (const absent of ["number", "labels", "any", "any.stringValue", "stamp"])
      expect(echoed).not.toContain(absent);
    expect(names(paths["/library/echo/{number}"].post)).toEqual([]);
  });

  it("maps the rules of the schema", () => {
    const { properties } = components.schemas["library.v1.Book"];
    expect(properties).toMatchObject({
      fullTitle: {
        type: "string",
        minLength: 1,
        maxLength: 20,
        pattern: "^[^<>]*$",
        description: "Its title.",
      },
      pages: { type: "integer", minimum: 0 },
      binding: { $ref: "#/components/schemas/library.v1.Binding" },
      authors: { type: "array", maxItems: 3, items: { $ref: "#/components/schemas/library.v1.Author" } },
      data: { type: "object", additionalProperties: true, examples: [{ isbn: "1" }] },
      createdAt: { type: "string", format: "date-time", readOnly: true },
      earlier: { $ref: "#/components/schemas/library.v1.Book" },
    });
    expect(components.schemas["library.v1.Binding"]).toEqual({
      type: "string",
      enum: ["BINDING_UNSPECIFIED", "BINDING_HARD", "BINDING_SOFT"],
      description: "Kinds of binding.",
    });
    const [, id] = paths["/library/shelves/{shelf_id}/books/{id}:lend"].post.parameters;
    expect(id.schema).toMatchObject({ type: "string", format: "uuid" });
    const [kind] = paths["/library/kinds/{kind}/schema"].get.parameters;
    expect(kind.schema).toMatchObject({ enum: ["atlas", "novel"] });
  });

  it("says who may call without credentials", () => {
    expect(paths["/library/kinds"].get.security[0]).toEqual({});
    expect(Object.keys(components.securitySchemes)).toEqual(["bearer", "basic", "userToken", "session"]);
  });

  it("spells Frontier's style in its own names", () => {
    const { responses } = paths["/old/books/{id}"].get;
    expect(responses.default).toEqual({ $ref: "#/components/responses/FrontierError" });
    const schema = components.schemas["frontier.library.v1.GetOldBookResponse"];
    expect(Object.keys(schema.properties)).toEqual(["full_title", "lendable"]);
  });
});

describe("GET /openapi.json", () => {
  let edge: RunningEdge;
  beforeAll(async () => {
    edge = await startEdge({ services: libraryServices, frontierMethods: [] });
  });
  afterAll(() => edge.close());

  it("answers anyone, and the same", async () => {
    const answer = await send(edge.http1, "GET", "/openapi.json");
    expect(answer).toMatchObject({
      status: 200,
      headers: { "content-type": "application/json", "cache-control": "public, max-age=300" },
    });
    const served = JSON.parse(answer.body);
    expect(await problemsOf(served)).toEqual([]);
    expect(served.servers).toEqual([{ url: "https://id.example.com" }]);
    expect((await send(edge.http1, "GET", "/openapi.json")).body).toBe(answer.body);
    const known = { "if-none-match": String(answer.headers.etag) };
    expect(await send(edge.http1, "GET", "/openapi.json", known)).toMatchObject({ status: 304, body: "" });
  });
});
