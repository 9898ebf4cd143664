import { DomainError } from "./errors.ts";

/** Free-form data of a caller's, kept as given. */
export type Metadata = Readonly<Record<string, unknown>>;

/** Largest metadata, in bytes of JSON. */
export const metadataBytes = 16 * 1024;

/** @throws DomainError INVALID_REQUEST naming `field` when it is too large. */
export function checkMetadata(field: string, metadata: Metadata): void {
  if (Buffer.byteLength(JSON.stringify(metadata)) <= metadataBytes) return;
  const description = `must be at most ${metadataBytes} bytes as JSON`;
  throw new DomainError("INVALID_REQUEST", {
    message: `${field}: ${description}`,
    violations: [{ field, description }],
  });
}
