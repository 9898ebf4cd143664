import { invalidField } from "./invalid-request.ts";
import type { JsonObject } from "./json.ts";

/** Free-form data of a caller's, kept as given. */
export type Metadata = JsonObject;

/** Largest metadata, in bytes of JSON. */
export const metadataBytes = 16 * 1024;

/**
 * How deep objects and lists in metadata may lie in one another. In binary a
 * level is three messages, and most decoders give up at a hundred: deeper
 * metadata, stored by JSON, would make every list that shows it unreadable.
 */
export const metadataLevels = 20;

/** @throws DomainError INVALID_REQUEST naming `field` when it is too large or too deep. */
export function checkMetadata(field: string, metadata: Metadata): void {
  if (!isWithin(metadata, metadataLevels))
    throw invalidField(field, `must be at most ${metadataLevels} levels deep`);
  if (Buffer.byteLength(JSON.stringify(metadata)) > metadataBytes) {
    throw invalidField(field, `must be at most ${metadataBytes} bytes as JSON`);
  }
}

function isWithin(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((each) => isWithin(each, levels - 1));
}
