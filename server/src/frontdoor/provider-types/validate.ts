/**
 * Holds a provider's data against its type's schema, and says everything that
 * is wrong with it at once.
 *
 * The data comes from strangers: its depth, size and prototypes are looked at
 * first, without recursion, so that no schema meets what could harm it.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { FieldViolation } from "../../lib/errors.ts";
import type { ProviderType, ProviderTypeName } from "./provider-type.ts";
import { patternTexts } from "./schema-parts.ts";

/** Checks data by type. Each schema is compiled once, when first needed: all of them cost a start more than the rest of it. */
export interface ProviderValidator {
  /**
   * Everything that is wrong with `data`; none when it is valid. Paths are as
   * a client writes them: `data.audiences[0]`. Values are never repeated.
   */
  validate(type: ProviderTypeName, data: unknown): readonly FieldViolation[];
}

/** Violations told of one definition; the rest adds nothing. */
const maxViolations = 50;

const maxDepth = 16;
const maxValues = 5000;
/** Characters in all names and texts together. */
const maxTextLength = 256 * 1024;

/** @see {@link ProviderValidator} */
export function createProviderValidator(types: readonly ProviderType[]): ProviderValidator {
  let ajv: Ajv2020 | undefined;
  const schemas = new Map(types.map(({ name, schema }) => [name, schema]));
  const compiled = new Map<ProviderTypeName, ValidateFunction>();

  function getCheck(type: ProviderTypeName): ValidateFunction {
    const known = compiled.get(type);
    if (known !== undefined) return known;
    const schema = schemas.get(type);
    if (schema === undefined) throw new Error(`no schema of ${type}`);
    ajv ??= createAjv();
    const check = ajv.compile(schema);
    compiled.set(type, check);
    return check;
  }

  return {
    validate(type, data) {
      const bomb = findShapeProblem(data);
      if (bomb !== undefined) return [bomb];
      const check = getCheck(type);
      if (check(data)) return [];
      return distinct((check.errors ?? []).flatMap(toViolations)).slice(0, maxViolations);
    },
  };
}

function createAjv(): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, verbose: true, ownProperties: true, allowUnionTypes: true });
  addFormats.default(ajv, ["uri", "password"]);
  const { uri } = ajv.formats;
  const isUri = typeof uri === "function" ? uri : () => false;
  // What is stored must be fetchable: a URI that is no URL (its port above 65535) is refused as well.
  ajv.addFormat("uri", (text: string) => isUri(text) === true && URL.canParse(text));
  return ajv;
}

/** What makes data unfit to be looked at any closer. */
function findShapeProblem(data: unknown): FieldViolation | undefined {
  const queue: { value: unknown; depth: number }[] = [{ value: data, depth: 0 }];
  let textLength = 0;
  for (let index = 0; index < queue.length; index += 1) {
    const { value, depth } = queue[index] ?? { value: null, depth: 0 };
    if (queue.length > maxValues)
      return { field: "data", description: `must be of at most ${maxValues} values` };
    if (depth > maxDepth) return { field: "data", description: `must be at most ${maxDepth} levels deep` };
    if (typeof value === "string") textLength += value.length;
    else if (typeof value === "object" && value !== null) {
      const names = Array.isArray(value) ? [] : Object.keys(value);
      if (!isPlain(value) || names.includes("__proto__")) {
        return { field: "data", description: "must be of plain JSON without __proto__" };
      }
      for (const name of names) textLength += name.length;
      for (const child of Object.values(value)) queue.push({ value: child, depth: depth + 1 });
    } else if (!isJsonScalar(value)) return { field: "data", description: "must be of JSON values" };
    if (textLength > maxTextLength) {
      return { field: "data", description: `must be of at most ${maxTextLength} characters` };
    }
  }
  return undefined;
}

/** Also finds the `__proto__` of a parser that assigned it instead of keeping it. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value)
    ? prototype === Array.prototype
    : prototype === Object.prototype || prototype === null;
}

function isJsonScalar(value: unknown): boolean {
  return (
    value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))
  );
}

function distinct(violations: readonly FieldViolation[]): FieldViolation[] {
  return [...new Map(violations.map((each) => [`${each.field} ${each.description}`, each])).values()];
}

/** In words; `default` needs none for keywords that no schema here has. */
function toViolations(error: ErrorObject): FieldViolation[] {
  const { keyword, params, schemaPath, schema, parentSchema } = error;
  // The branches of a oneOf are told of by the oneOf itself.
  if (/\/oneOf\/\d/.test(schemaPath)) return [];
  const field = `data${toPath(error.instancePath)}`;
  const says = (description: string) => [{ field, description }];
  switch (keyword) {
    case "type":
      return says(`must be of ${[params.type].flat().join(" or ")}`);
    case "required":
      return [{ field: `${field}${toStep(params.missingProperty)}`, description: "must be given" }];
    case "additionalProperties":
      return [
        {
          field: `${field}${toStep(params.additionalProperty)}`,
          description: `must be left out: there is no such property${suggest(params.additionalProperty, parentSchema)}`,
        },
      ];
    case "enum":
      return says(`must be one of ${(params.allowedValues as unknown[]).join(", ")}`);
    case "pattern":
      return says(patternTexts.get(String(schema)) ?? "must be of another form");
    case "format":
      return says("must be a URI such as https://idp.example.com");
    case "minLength":
      return says("must not be empty");
    case "maxLength":
      return says(`must have at most ${String(schema)} characters`);
    case "minItems":
      return says(`must have at least ${String(schema)} item${schema === 1 ? "" : "s"}`);
    case "maxItems":
      return says(`must have at most ${String(schema)} items`);
    case "uniqueItems":
      return says("must not have an item twice");
    case "maxProperties":
      return says(`must have at most ${String(schema)} properties`);
    case "not":
      return says("must not be one that has another meaning");
    case "oneOf":
      return says(`must have exactly one of ${toAlternatives(parentSchema?.oneOf)}`);
    default:
      return says(error.message ?? "must be valid");
  }
}

/** The property that was meant, where it is one in another spelling: `client_id`, `issuerUrl`. */
function suggest(name: string, parent: ErrorObject["parentSchema"]): string {
  const known = Object.keys((parent?.properties as object | undefined) ?? {});
  const bare = toBare(name);
  const meant =
    known.find((each) => toBare(each) === bare) ?? known.find((each) => `${toBare(each)}url` === bare);
  return meant === undefined ? "" : `, there is ${meant}`;
}

function toBare(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, "").toLowerCase();
}

function toAlternatives(branches: unknown): string {
  return [branches]
    .flat()
    .flatMap((branch) => (branch as { required?: string[] }).required ?? [])
    .join(" and ");
}

/** A JSON pointer (RFC 6901) as a client writes the way to a value: `.audiences[0]`. */
function toPath(pointer: string): string {
  const steps = pointer.split("/").slice(1);
  return steps.map((step) => toStep(step.replaceAll("~1", "/").replaceAll("~0", "~"))).join("");
}

const longestStep = 64;

function toStep(name: string): string {
  if (/^\d+$/.test(name)) return `[${name}]`;
  if (/^[A-Za-z_]\w{0,63}$/.test(name)) return `.${name}`;
  return `[${JSON.stringify(name.length > longestStep ? `${name.slice(0, longestStep)}…` : name)}]`;
}
