import type { Config } from "./config.ts";

/** What the people who come here call the place. */
export function toSiteName({
  authentication,
  publicUrl,
}: Pick<Config, "authentication" | "publicUrl">): string {
  return authentication.passkey?.rpDisplayName ?? new URL(publicUrl).host;
}
