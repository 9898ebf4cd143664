/** Looks into the schema: which keys are there, which are sections. */
import { z } from "zod";
import { settingsSchema } from "./schema.ts";

type Schema = z.core.$ZodType;

function unwrap(schema: Schema): Schema {
  return schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema;
}

function findChild(parent: Schema, key: string): Schema | undefined {
  if (parent instanceof z.ZodRecord) return parent.valueType;
  return parent instanceof z.ZodObject && Object.hasOwn(parent.shape, key) ? parent.shape[key] : undefined;
}

/** The schema at a path; a record answers for any name. */
function findSchema(path: readonly PropertyKey[]): Schema | undefined {
  let current: Schema = settingsSchema;
  for (const key of path) {
    const child = findChild(current, String(key));
    if (child === undefined) return undefined;
    current = unwrap(child);
  }
  return current;
}

/** Whether the value at a path is made of further keys. */
export function isSection(path: readonly PropertyKey[]): boolean {
  const schema = findSchema(path);
  return schema instanceof z.ZodObject || schema instanceof z.ZodRecord;
}

/** The keys that a section knows; none for one whose names are free. */
export function listKeysAt(path: readonly PropertyKey[]): readonly string[] {
  const schema = findSchema(path);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** Every key that takes a value, as a path with dots; `<name>` stands for a free name. */
export function listAllKeys(): readonly string[] {
  return listBelow(settingsSchema, []);
}

function listBelow(schema: Schema, path: readonly string[]): readonly string[] {
  const known = unwrap(schema);
  if (known instanceof z.ZodRecord) return listBelow(known.valueType, [...path, "<name>"]);
  if (!(known instanceof z.ZodObject)) return [path.join(".")];
  return Object.entries<Schema>(known.shape).flatMap(([key, child]) => listBelow(child, [...path, key]));
}
