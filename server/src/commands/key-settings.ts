import type { KeySettings } from "../config/data-dir.ts";

/** Keys as a file of settings has them. */
export function toKeySettings({ encryptionKey, sessionHashKey, sessionBlockKey }: KeySettings): string {
  // JSON strings are YAML's as well.
  return `encryption_key: ${JSON.stringify(encryptionKey)}
authentication:
  session:
    hash_secret_key: ${JSON.stringify(sessionHashKey)}
    block_secret_key: ${JSON.stringify(sessionBlockKey)}`;
}
