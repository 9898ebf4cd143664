/**
 * The OpenAPI 3.1 document of what REST serves, made from the same descriptors
 * and annotations, so that it cannot say anything else. It reads schemas alone:
 * never a request, never a handler.
 */
import type { DescField, JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ServiceRegistration } from "../../assembly/services.ts";
import { sessionCookieName } from "../../principals/presented.ts";
import { findOpenMessage, isTextual } from "../json/value-types.ts";
import { getCredentialPolicy } from "../options/credential-policy.ts";
import { isTagged } from "../rest/answer.ts";
import { type Binding, readBindings, type Style } from "../rest/binding.ts";
import { isOutputOnly, leafOf } from "../rest/field-path.ts";
import { hasLinks } from "../rest/links.ts";
import type { JsonSchema } from "./rules.ts";
import { type Comments, isRequired, SchemaComponents } from "./schemas.ts";

/** What the document is made from. */
export interface OpenApiOptions {
  readonly services: readonly ServiceRegistration[];
  readonly comments: Comments;
  readonly title: string;
  readonly version: string;
  readonly publicOrigin: string;
}

/** Methods that a path of OpenAPI can have; others are left out. */
const describedMethods = new Set(["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"]);

/** Makes the document; a value for `JSON.stringify`. */
export function createOpenApiDocument(options: OpenApiOptions): JsonObject {
  const paths: Record<string, JsonObject> = {};
  const services = options.services.filter(({ service }) =>
    service.methods.some((method) => readBindings(method).length > 0),
  );
  const methods = services.flatMap(({ service }) => service.methods);
  const schemas = new SchemaComponents(options.comments);
  const names = new PathNames();
  for (const method of methods) {
    for (const [index, binding] of readBindings(method).entries()) {
      if (!describedMethods.has(binding.httpMethod)) continue;
      const path = names.toPath(binding);
      const item = paths[path.text] ?? {};
      paths[path.text] = item;
      item[binding.httpMethod.toLowerCase()] = toOperation(binding, index, path, schemas);
    }
  }
  return {
    openapi: "3.1.0",
    info: { title: options.title, version: options.version },
    servers: [{ url: options.publicOrigin }],
    tags: services.map(({ service }) => ({ name: service.name, ...schemas.describe(service.typeName) })),
    paths,
    components: {
      schemas: { ...schemas.components, ...ownSchemas },
      parameters,
      headers,
      responses,
      securitySchemes,
    },
  };
}

/** A path of the document, with the name of each variable segment. */
interface NamedPath {
  readonly text: string;
  /** Its variable segments: the name here, and the field if the segment is a field's whole value. */
  readonly parameters: readonly { readonly name: string; readonly field: DescField | undefined }[];
}

/** Names variables: paths of one shape are one path in OpenAPI, whatever their variables are called. */
class PathNames {
  readonly #byShape = new Map<string, readonly string[]>();

  toPath({ template, pathFields }: Binding): NamedPath {
    const { segments, variables, verb } = template;
    const parameters: { name: string; field: DescField | undefined }[] = [];
    for (const [at, segment] of segments.entries()) {
      if ("literal" in segment) continue;
      const index = variables.findIndex(({ start, end }) => at >= start && (end === undefined || at < end));
      const variable = variables[index];
      const path = pathFields[index];
      const isWhole =
        variable !== undefined && variable.start === at && (variable.end ?? segments.length) === at + 1;
      parameters.push({
        name: isWhole ? variable.fieldPath : `${variable?.fieldPath ?? "segment"}_${at + 1}`,
        field: isWhole && path !== undefined ? leafOf(path) : undefined,
      });
    }
    const shape = `${segments.map((each) => ("literal" in each ? each.literal : "{}")).join("/")}:${verb}`;
    const names = this.#byShape.get(shape) ?? parameters.map(({ name }) => name);
    this.#byShape.set(shape, names);
    const rest = [...names];
    const text = segments
      .map((segment) => ("literal" in segment ? segment.literal : `{${rest.shift()}}`))
      .join("/");
    return {
      text: `/${text}${verb === "" ? "" : `:${verb}`}`,
      parameters: parameters.map(({ field }, index) => ({ name: names[index] as string, field })),
    };
  }
}

function toOperation(
  binding: Binding,
  index: number,
  path: NamedPath,
  schemas: SchemaComponents,
): JsonObject {
  const { method, style } = binding;
  const fullName = `${method.parent.typeName}.${method.name}`;
  const description = schemas.describe(fullName);
  const body = toRequestBody(binding, schemas);
  return {
    operationId: `${method.parent.name}_${method.name}${index === 0 ? "" : `_${index + 1}`}`,
    tags: [method.parent.name],
    ...(description !== undefined && { summary: description.description.split("\n", 1)[0] as string }),
    ...description,
    parameters: [
      ...toPathParameters(path, style, schemas),
      ...toQueryParameters(binding, schemas),
      ...toHeaderParameters(binding),
    ],
    ...(body !== undefined && { requestBody: body }),
    responses: { [String(binding.successStatus)]: toAnswer(binding, schemas), ...toRefusals(binding) },
    security: toSecurity(binding),
  };
}

function toPathParameters({ parameters }: NamedPath, style: Style, schemas: SchemaComponents): JsonValue[] {
  return parameters.map(({ name, field }) => ({
    name,
    in: "path",
    required: true,
    schema: field === undefined ? { type: "string" } : schemas.field(field, style, "sent"),
  }));
}

function toQueryParameters(
  { body, method, pathFields, style }: Binding,
  schemas: SchemaComponents,
): JsonValue[] {
  if (body === "message") return [];
  const inPath = new Set(pathFields.map(leafOf));
  const fields = method.input.fields.filter((field) => field !== body);
  return listTextFields(fields, []).flatMap((path) => {
    const field = path.at(-1) as DescField;
    if (inPath.has(field)) return [];
    return [
      {
        name: path.map(({ name, jsonName }) => (style === "frontier" ? name : jsonName)).join("."),
        in: "query",
        ...schemas.describe(`${field.parent.typeName}.${field.name}`),
        ...(path.every(isRequired) && { required: true }),
        schema: schemas.field(field, "vestibule", "sent"),
      },
    ];
  });
}

/** Conditions and repetitions: what `vestibule.v1.Rest` says of an operation. */
function toHeaderParameters(binding: Binding): JsonValue[] {
  const names = [
    ...(isTagged(binding) ? ["IfNoneMatch"] : []),
    ...(binding.conditional ? ["IfMatch"] : []),
    ...(binding.repeatable ? ["IdempotencyKey"] : []),
  ];
  return names.map((name) => ({ $ref: `#/components/parameters/${name}` }));
}

/** The fields that a query can say, a message inside itself only once. */
function listTextFields(fields: readonly DescField[], above: readonly DescField[]): DescField[][] {
  return fields.flatMap((field) => {
    if (isOutputOnly(field)) return [];
    const path = [...above, field];
    if (isTextual(field)) return [path];
    const open = above.some(({ message }) => message === field.message) ? undefined : findOpenMessage(field);
    return open === undefined ? [] : listTextFields(open.fields, path);
  });
}

function toRequestBody(
  { body, method, pathFields, style }: Binding,
  schemas: SchemaComponents,
): JsonObject | undefined {
  if (body === "none") return undefined;
  if (body !== "message")
    return { required: isRequired(body), content: toContent(schemas.field(body, style, "sent")) };
  const inPath = new Set(pathFields.map(([first]) => first));
  const fields = method.input.fields.filter((field) => !inPath.has(field));
  const isNeeded = fields.some(isRequired);
  return { ...(isNeeded && { required: true }), content: toContent(schemas.sent(fields, style)) };
}

function toContent(schema: JsonSchema): JsonObject {
  return { "application/json": { schema } };
}

function toAnswer(binding: Binding, schemas: SchemaComponents): JsonObject {
  const { method, responseBody, successStatus, style } = binding;
  if (successStatus === 204) return { description: "Done." };
  const schema = responseBody
    ? schemas.field(responseBody, style, "answered")
    : schemas.message(method.output, style, "answered");
  const headers = toAnswerHeaders(binding);
  return {
    description: "Success.",
    ...(Object.keys(headers).length > 0 && { headers }),
    content: {
      ...toContent(schema),
      ...(hasLinks(binding) && {
        "application/hal+json": { schema: { allOf: [schema, { $ref: "#/components/schemas/Links" }] } },
      }),
    },
  };
}

function toAnswerHeaders(binding: Binding): JsonObject {
  const names = [
    ...(isTagged(binding) || binding.conditional ? ["ETag"] : []),
    ...(binding.successStatus === 201 ? ["Location"] : []),
  ];
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** What else an operation answers; `default` stands for every refusal without an entry of its own. */
function toRefusals(binding: Binding): JsonObject {
  const toResponse = (name: string) => ({ $ref: `#/components/responses/${name}` });
  if (binding.style === "frontier") return { default: toResponse("FrontierError") };
  return {
    ...(isTagged(binding) && { "304": toResponse("NotModified") }),
    ...(getCredentialPolicy(binding.method) === "required" && { "401": toResponse("Unauthorized") }),
    ...(binding.conditional && { "412": toResponse("PreconditionFailed") }),
    default: toResponse("Error"),
  };
}

function toSecurity({ method }: Binding): JsonValue[] {
  const schemes = Object.keys(securitySchemes).map((name) => ({ [name]: [] }));
  switch (getCredentialPolicy(method)) {
    case "required":
      return schemes;
    case "open":
      return [{}, ...schemes];
    case "grant":
      return [{}];
  }
}

/** How a caller proves who it is; see `principals/presented.ts`. */
const securitySchemes = {
  bearer: { type: "http", scheme: "bearer", description: "An access token (JWT) or an opaque token." },
  basic: { type: "http", scheme: "basic", description: "A credential's id and secret (RFC 7617)." },
  userToken: { type: "apiKey", in: "header", name: "X-User-Token", description: "An access token." },
  session: {
    type: "apiKey",
    in: "cookie",
    name: sessionCookieName,
    description: "The session of a signed-in browser.",
  },
} as const;

/** Shapes that no message has. */
const ownSchemas: Record<string, JsonSchema> = {
  Error: {
    type: "object",
    required: ["error", "message"],
    properties: {
      error: { type: "string", description: "Stable name of the refusal.", examples: ["invalid_request"] },
      message: { type: "string", description: "What is wrong, for people." },
      details: {
        type: "array",
        description: "One entry for each field that is wrong.",
        items: {
          type: "object",
          required: ["field", "description"],
          properties: {
            field: { type: "string", description: "Its path in the request." },
            description: { type: "string", description: "What was expected." },
          },
        },
      },
    },
  },
  FrontierError: {
    type: "object",
    required: ["code", "message"],
    properties: { code: { type: "string" }, message: { type: "string" } },
  },
  Links: {
    type: "object",
    required: ["_links"],
    properties: {
      _links: {
        type: "object",
        additionalProperties: {
          type: "object",
          required: ["href"],
          properties: { href: { type: "string", format: "uri" } },
        },
      },
    },
  },
};

const tags: JsonSchema = { type: "string", examples: ['"3"'] };

/** Headers of requests, beside those of credentials. */
const parameters: JsonObject = {
  IfMatch: {
    name: "If-Match",
    in: "header",
    description: "Writes only if this is the ETag still (RFC 9110); else 412. `*` for whatever is there.",
    schema: tags,
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    description: "Answers 304 without a body if this is the ETag still (RFC 9110).",
    schema: tags,
  },
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description: "Chosen by the caller: a repetition within 24 hours is answered as the first was.",
    schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[\\x21-\\x7e]+$" },
  },
};

/** Headers of answers. */
const headers: JsonObject = {
  ETag: { description: "Names what was answered; weak ones do for If-None-Match alone.", schema: tags },
  Location: { description: "Path of what was created.", schema: { type: "string", format: "uri-reference" } },
  "Retry-After": { description: "How long to wait, in seconds.", schema: { type: "integer", minimum: 0 } },
  "WWW-Authenticate": { description: "The schemes that are taken.", schema: { type: "string" } },
};

const refusal: JsonObject = {
  headers: { "Retry-After": { $ref: "#/components/headers/Retry-After" } },
  description:
    "Refused: 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 429; or not possible now: 500, 501, 503, 504.",
};

const responses: JsonObject = {
  Error: { ...refusal, content: toContent({ $ref: "#/components/schemas/Error" }) },
  FrontierError: { ...refusal, content: toContent({ $ref: "#/components/schemas/FrontierError" }) },
  NotModified: {
    description: "What If-None-Match names is what would be answered.",
    headers: { ETag: { $ref: "#/components/headers/ETag" } },
  },
  Unauthorized: {
    description: "No credential, or a bad one.",
    headers: { "WWW-Authenticate": { $ref: "#/components/headers/WWW-Authenticate" } },
    content: toContent({ $ref: "#/components/schemas/Error" }),
  },
  PreconditionFailed: {
    description: "It has changed since it was read.",
    content: toContent({ $ref: "#/components/schemas/Error" }),
  },
};
