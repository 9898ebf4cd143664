/**
 * Reads `google.api.http` annotations and holds them against the schema, so
 * that a mistake in one is found at start and not by a caller.
 */
import {
  type DescField,
  type DescMethod,
  type DescMethodUnary,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { http } from "@vestibule/proto/google/api/annotations_pb";
import type { HttpRule } from "@vestibule/proto/google/api/http_pb";
import {
  RestStyle,
  rest as restOption,
  void_from_other_sites,
} from "@vestibule/proto/vestibule/v1/options_pb";
import { type FieldPath, findTextField, toSchemaPath } from "./field-path.ts";
import { type PathTemplate, parsePathTemplate } from "./path-template.ts";
import { anyMethod } from "./route-table.ts";

/** How names and refusals are written; see `vestibule.v1.RestStyle`. */
export type Style = "vestibule" | "frontier";

/** One HTTP method and path that a unary RPC answers. */
export interface Binding {
  readonly method: DescMethodUnary;
  /** In capitals; `*` is any. */
  readonly httpMethod: string;
  readonly template: PathTemplate;
  /** Fields that take their values from the path, in the order of the template's variables. */
  readonly pathFields: readonly FieldPath[];
  /** Where the request's body goes: to the whole message, to one field, nowhere. */
  readonly body: "message" | "none" | DescField;
  /** Field of the answer that is its body; undefined when all of it is. */
  readonly responseBody: DescField | undefined;
  readonly successStatus: number;
  readonly style: Style;
  readonly paging: Paging | undefined;
  /** Whether it takes `If-Match`; see `vestibule.v1.Rest.conditional`. */
  readonly conditional: boolean;
  /** Whether it takes `Idempotency-Key`; see `vestibule.v1.Rest.repeatable`. */
  readonly repeatable: boolean;
}

/** Fields by which HAL links lead through a list; see `vestibule.v1.Rest.paged`. */
export interface Paging {
  readonly byNumber: { readonly page: DescField; readonly totalPages: DescField } | undefined;
  readonly byCursor: { readonly pageToken: DescField; readonly nextPageToken: DescField } | undefined;
}

/**
 * The bindings of a method, none when it has no annotation.
 *
 * @throws Error naming the method and what is wrong with its annotation
 */
export function readBindings(method: DescMethod): Binding[] {
  if (!hasOption(method, http)) return [];
  const rule = getOption(method, http);
  try {
    if (rule.additionalBindings.some((other) => other.additionalBindings.length > 0)) {
      throw new Error("additional bindings have none of their own");
    }
    if (!isUnary(method)) throw new Error("a stream has no REST");
    return [rule, ...rule.additionalBindings].map((each) => readBinding(method, each));
  } catch (error) {
    throw new Error(
      `google.api.http of ${method.parent.typeName}.${method.name}: ${(error as Error).message}`,
    );
  }
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function readBinding(method: DescMethodUnary, rule: HttpRule): Binding {
  const [httpMethod, path] = readPattern(rule);
  const template = parsePathTemplate(path);
  const body = readBody(method, rule.body);
  const responseBody = readResponseBody(method, rule.responseBody);
  if (httpMethod === "GET" && body !== "none") throw new Error("GET has no body");
  if (httpMethod === "GET" && !mayBeRead(method)) {
    throw new Error("GET needs idempotency_level = NO_SIDE_EFFECTS, or void_from_other_sites");
  }
  const option = getOption(method, restOption);
  const style = option.style === RestStyle.FRONTIER ? "frontier" : "vestibule";
  return {
    method,
    httpMethod,
    template,
    pathFields: template.variables.map(({ fieldPath }) => readPathField(method, fieldPath)),
    body,
    responseBody,
    successStatus: readStatus(
      option.successStatus,
      style === "vestibule" && method.output.fields.length === 0,
    ),
    style,
    paging: option.paged ? readPaging(method) : undefined,
    conditional: option.conditional,
    repeatable: option.repeatable,
  };
}

/** Whether nothing happens that a link or a picture on another site could bring about. */
function mayBeRead(method: DescMethod): boolean {
  return (
    method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS ||
    getOption(method, void_from_other_sites)
  );
}

function readPattern({ pattern }: HttpRule): readonly [httpMethod: string, path: string] {
  switch (pattern.case) {
    case undefined:
      throw new Error("no path");
    case "custom": {
      const { kind, path } = pattern.value;
      if (kind !== anyMethod && !/^[A-Z]+$/.test(kind)) throw new Error(`"${kind}" is no HTTP method`);
      return [kind, path];
    }
    default:
      return [pattern.case.toUpperCase(), pattern.value];
  }
}

function readBody({ input }: DescMethod, name: string): Binding["body"] {
  if (name === "") return "none";
  return name === "*" ? "message" : findField(input.fields, name);
}

function readResponseBody({ output }: DescMethod, name: string): DescField | undefined {
  return name === "" ? undefined : findField(output.fields, name);
}

function findField(fields: readonly DescField[], name: string): DescField {
  const field = fields.find((each) => each.name === name);
  if (field === undefined) throw new Error(`there is no field "${name}"`);
  return field;
}

function readPathField({ input }: DescMethod, name: string): FieldPath {
  const path = findTextField(input, name);
  if (path === undefined || path.some(({ fieldKind }) => fieldKind === "list")) {
    throw new Error(`{${name}} is no field that a path can say`);
  }
  if (toSchemaPath(path) !== name) throw new Error(`{${name}} is {${toSchemaPath(path)}} in the schema`);
  return path;
}

function readStatus(status: number, isEmpty: boolean): number {
  if (status === 0) return isEmpty ? 204 : 200;
  if (status < 200 || status > 299) throw new Error(`success_status ${status} is no success`);
  return status;
}

function readPaging({ input, output }: DescMethod): Paging {
  const find = (fields: readonly DescField[], name: string) => fields.find((field) => field.name === name);
  const page = find(input.fields, "page");
  const totalPages = find(output.fields, "total_pages");
  const pageToken = find(input.fields, "page_token");
  const nextPageToken = find(output.fields, "next_page_token");
  const paging = {
    byNumber: page && totalPages && { page, totalPages },
    byCursor: pageToken && nextPageToken && { pageToken, nextPageToken },
  };
  if (paging.byNumber === undefined && paging.byCursor === undefined) {
    throw new Error("paged needs page and total_pages, or page_token and next_page_token");
  }
  return paging;
}
