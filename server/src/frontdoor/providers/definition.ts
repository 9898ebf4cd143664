/**
 * What a provider's name and definition become by a write: merging, keeping secrets,
 * and the one rule that protects them. Pure.
 *
 * A stored secret is only ever sent where it was stored for: when a property
 * that says where or as whom changes, the secret has to be given anew.
 */
import { isDeepStrictEqual } from "node:util";
import type { FieldViolation } from "../../lib/errors.ts";
import { invalidField, invalidFields, invalidValues } from "../../lib/invalid-request.ts";
import type { JsonValue } from "../../lib/json.ts";
import { findTexts } from "../provider-types/data.ts";
import {
  changedEndpointFields,
  type ProviderData,
  type ProviderType,
  secretMask,
} from "../provider-types/provider-type.ts";
import type { ProviderValidator } from "../provider-types/validate.ts";
import type { FieldChange } from "./provider.ts";

/** Secrets in clear, by property. */
export type Secrets = Readonly<Record<string, JsonValue>>;

/** A definition that is stored. */
export interface Stored {
  /** Without the secrets. */
  readonly data: ProviderData;
  readonly secrets: Secrets;
}

/** A definition that a write asks for, secrets in clear. Not yet held against its schema. */
export interface Candidate {
  readonly data: ProviderData;
  /** Properties whose secrets are the stored ones. */
  readonly kept: readonly string[];
  /** Properties given as the mask where there is nothing to keep: refused by {@link checkCandidate}. */
  readonly empty: readonly string[];
}

/** The definition of a new provider. */
export function fromCreate(type: ProviderType, data: ProviderData): Candidate {
  return { data, kept: [], empty: listEmpty(type, data, {}) };
}

/**
 * The definition that replaces a stored one: the mask keeps a secret, an
 * absent one is removed.
 */
export function fromReplace(type: ProviderType, stored: Stored, data: ProviderData): Candidate {
  const kept = type.secretFields.filter(
    (field) => get(data, field) === secretMask && Object.hasOwn(stored.secrets, field),
  );
  const empty = listEmpty(type, data, stored.secrets);
  return { data: withSecrets(data, pick(stored.secrets, kept)), kept, empty };
}

/**
 * A stored definition with a JSON merge patch (RFC 7396) applied: a secret
 * that is absent or the mask is kept, `null` removes it.
 */
export function fromPatch(type: ProviderType, stored: Stored, patch: ProviderData): Candidate {
  const isKept = (field: string) => [undefined, secretMask].includes(get(patch, field) as string | undefined);
  const kept = type.secretFields.filter((field) => field in stored.secrets && isKept(field));
  const open = Object.fromEntries(Object.entries(patch).filter(([field]) => !kept.includes(field)));
  const merged = mergePatch(withSecrets(stored.data, stored.secrets), open, 0) as ProviderData;
  return { data: merged, kept, empty: listEmpty(type, patch, stored.secrets) };
}

/**
 * Holds a candidate against its schema, and its kept secrets against the
 * endpoints they would be sent to.
 *
 * @throws DomainError INVALID_REQUEST with everything that is wrong
 */
export function checkCandidate(
  type: ProviderType,
  validator: ProviderValidator,
  stored: Stored | undefined,
  candidate: Candidate,
): void {
  const violations = [...toEmptyViolations(candidate), ...validator.validate(type.name, candidate.data)];
  if (violations.length > 0) throw invalidValues(violations);
  if (stored !== undefined) checkKept(type, stored, candidate);
}

/**
 * Refuses to keep a secret for a changed endpoint.
 *
 * @param candidate valid by its schema.
 * @throws DomainError INVALID_REQUEST
 */
export function checkKept(type: ProviderType, stored: Stored, { data, kept }: Candidate): void {
  if (kept.length === 0) return;
  const changed = changedEndpointFields(type, withSecrets(stored.data, stored.secrets), data);
  if (changed.length === 0) return;
  const fields = changed.map((field) => `data.${field}`).join(", ");
  throw invalidValues(toViolations(kept, `must be given anew, not kept, when ${fields} changes`));
}

/** An organization that data names, and where. */
export interface NamedOrganization {
  /** Such as `data.allowedOrgIds[0]`. */
  readonly field: string;
  /** In lower case. */
  readonly id: string;
}

/** The organizations that data of a type names. */
export function listOrganizations(type: ProviderType, data: ProviderData): NamedOrganization[] {
  return type.organizationFields.flatMap((field) =>
    (findTexts(data, field) ?? []).map((id, index) => ({
      field: `data.${field}[${index}]`,
      id: id.toLowerCase(),
    })),
  );
}

/**
 * Refuses organizations that the writer does not manage: else whoever manages
 * one frontdoor would be told who the members of any organization are.
 *
 * @throws DomainError INVALID_REQUEST
 */
export function refuseForeign(named: readonly NamedOrganization[], managed: ReadonlySet<string>): void {
  const foreign = named.filter(({ id }) => !managed.has(id));
  if (foreign.length === 0) return;
  const description = "must be the id of an organization that you manage";
  throw invalidFields(foreign.map(({ field }) => ({ field, description })));
}

/** Takes the secrets out of data. */
export function splitSecrets(type: ProviderType, data: ProviderData): Stored {
  const isSecret = ([field]: readonly [string, unknown]) => type.secretFields.includes(field);
  return {
    data: Object.fromEntries(Object.entries(data).filter((entry) => !isSecret(entry))),
    secrets: Object.fromEntries(Object.entries(data).filter(isSecret)),
  };
}

/** Data with its secrets in clear. */
function withSecrets(data: ProviderData, secrets: Secrets): ProviderData {
  return { ...data, ...secrets };
}

/** Data as it may be shown. @param fields properties that have a secret. */
export function withMasks(data: ProviderData, fields: Iterable<string>): ProviderData {
  return { ...data, ...Object.fromEntries([...fields].map((field) => [field, secretMask])) };
}

/** A definition with what is beside its data. */
export interface State extends Stored {
  readonly name: string;
  readonly enabled: boolean;
}

/** What differs between two states, secrets masked; none when they are the same. */
export function listChanges(before: State, after: State): FieldChange[] {
  const names = new Set([...Object.keys(before.data), ...Object.keys(after.data)]);
  const secretNames = new Set([...Object.keys(before.secrets), ...Object.keys(after.secrets)]);
  const mask = (value: JsonValue | undefined) => (value === undefined ? undefined : secretMask);
  return [
    ...toChange("name", before.name, after.name),
    ...toChange("enabled", before.enabled, after.enabled),
    ...[...names].flatMap((name) => toChange(`data.${name}`, get(before.data, name), get(after.data, name))),
    ...[...secretNames].flatMap((name) =>
      toChange(`data.${name}`, get(before.secrets, name), get(after.secrets, name), mask),
    ),
  ];
}

function toChange(
  field: string,
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  show: (value: JsonValue | undefined) => JsonValue | undefined = (value) => value,
): FieldChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  const [shownBefore, shownAfter] = [show(before), show(after)];
  return [
    {
      field,
      ...(shownBefore !== undefined && { before: shownBefore }),
      ...(shownAfter !== undefined && { after: shownAfter }),
    },
  ];
}

/** Refuses the mask where there is nothing to keep. @throws DomainError INVALID_REQUEST */
export function refuseEmpty(candidate: Candidate): void {
  const violations = toEmptyViolations(candidate);
  if (violations.length > 0) throw invalidValues(violations);
}

function listEmpty(type: ProviderType, data: ProviderData, stored: Secrets): string[] {
  return type.secretFields.filter(
    (field) => get(data, field) === secretMask && !Object.hasOwn(stored, field),
  );
}

function toEmptyViolations({ empty }: Candidate): FieldViolation[] {
  return toViolations(empty, "must be the secret itself: there is no stored one for the mask to keep");
}

function toViolations(fields: readonly string[], description: string): FieldViolation[] {
  return fields.map((field) => ({ field: `data.${field}`, description }));
}

function get<T>(object: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function pick(secrets: Secrets, fields: readonly string[]): Secrets {
  return Object.fromEntries(Object.entries(secrets).filter(([field]) => fields.includes(field)));
}

/** Deeper than any schema goes; what is below stays as it is and is refused for its depth. */
const maxDepth = 20;

/** RFC 7396 §2. Never assigns by name, so that `__proto__` is a property like any other. */
function mergePatch(target: JsonValue | undefined, patch: JsonValue, depth: number): JsonValue {
  if (!isObject(patch) || depth === maxDepth) return patch;
  const result = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) result.delete(name);
    else result.set(name, mergePatch(result.get(name), value, depth + 1));
  }
  return Object.fromEntries(result);
}

function isObject(value: JsonValue | undefined): value is ProviderData {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Longest name of a provider, in characters. */
const longestName = 100;

/**
 * Control and format characters, line separators, what is no character, private
 * use, and what leaves no mark (variation selectors, fillers): with one more of
 * them two names would look the same.
 */
const unfit = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/**
 * Brings a name to NFC (UAX #15), in which it is unique: two spellings of one
 * text cannot be two providers. Letters of different scripts that merely look
 * alike stay different.
 *
 * @throws DomainError INVALID_REQUEST naming `name`
 */
export function toName(text: string): string {
  const name = text.normalize("NFC");
  if (name === "") throw invalidField("name", "must not be empty");
  if ([...name].length > longestName)
    throw invalidField("name", `must have at most ${longestName} characters`);
  if (unfit.test(name)) throw invalidField("name", "must have no control, format or invisible characters");
  if (name.trim() !== name) throw invalidField("name", "must have no space at either end");
  return name;
}
