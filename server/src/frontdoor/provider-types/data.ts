/** Reading a provider's data, which its schema has accepted. */
import type { JsonValue } from "../../lib/json.ts";
import { type ProviderData, secretMask } from "./provider-type.ts";

/** A text of the data; undefined when absent. */
export function findText(data: ProviderData, name: string): string | undefined {
  const value = data[name];
  return typeof value === "string" ? value : undefined;
}

/** A text that the schema requires. @throws Error when the data was never validated. */
export function getText(data: ProviderData, name: string): string {
  const value = findText(data, name);
  if (value === undefined) throw new Error(`provider data without ${name}`);
  return value;
}

/** A client's secret, in clear; undefined when absent. @throws Error for the mask, which must not be sent to anybody */
export function findClientSecret(data: ProviderData): string | undefined {
  const secret = findText(data, "clientSecret");
  if (secret === secretMask) throw new Error("a provider was to be asked without its secret");
  return secret;
}

/** A list of texts; undefined when absent. */
export function findTexts(data: ProviderData, name: string): readonly string[] | undefined {
  const value = data[name];
  if (!Array.isArray(value)) return undefined;
  return value.filter((item: JsonValue): item is string => typeof item === "string");
}

/** The texts among the values of a claim that should be a list of them. */
export function toTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string" && item !== "") : [];
}

/** The one spelling of a URL: lower-case host, no default port, no slash at the end of its path. */
export function toCanonicalUrl(text: string): string {
  const { search, href } = new URL(text);
  return search === "" && href.endsWith("/") ? href.slice(0, -1) : href;
}

/** Remembers what is derived from data for as long as the data object lives. */
export function memoByData<T extends object>(derive: (data: ProviderData) => T): (data: ProviderData) => T {
  const known = new WeakMap<ProviderData, T>();
  return (data) => {
    const found = known.get(data);
    if (found !== undefined) return found;
    const made = derive(data);
    known.set(data, made);
    return made;
  };
}
