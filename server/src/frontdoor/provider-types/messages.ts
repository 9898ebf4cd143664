import { create, type JsonObject } from "@bufbuild/protobuf";
import {
  type AuthProviderType,
  AuthProviderTypeSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_pb";
import { toStruct } from "../../lib/proto.ts";
import type { ProviderType } from "./provider-type.ts";

/** A type as lists of types show it. */
export function toTypeMessage({ name, displayName, description }: ProviderType): AuthProviderType {
  return create(AuthProviderTypeSchema, { type: name, displayName, description });
}

/** The JSON Schema of a type's data. */
export function toSchemaStruct({ schema }: ProviderType): JsonObject {
  return toStruct(schema);
}
