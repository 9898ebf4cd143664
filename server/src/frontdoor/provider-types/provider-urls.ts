import type { ProviderType } from "./provider-type.ts";

/** Where people come back to who signed in at the provider of an id: its redirect URI. */
export function toCallbackUrl(publicUrl: string, id: string): string {
  return `${publicUrl}/gate/callback/${id}`;
}

/** What to register with a provider. */
export interface ProviderUrls {
  /** Absent where nobody is sent to the provider. */
  readonly callbackUrl?: string;
  /** Absent for a type that has no such thing (OpenID Connect Back-Channel Logout 1.0). */
  readonly backchannelLogoutUrl?: string;
}

/** The URLs of a provider, by its id: a new name changes none. */
export function toProviderUrls(
  publicUrl: string,
  { login }: Pick<ProviderType, "login">,
  id: string,
): ProviderUrls {
  if (login?.kind !== "provider") return {};
  return {
    callbackUrl: toCallbackUrl(publicUrl, id),
    ...(login.verifyLogout !== undefined && { backchannelLogoutUrl: `${publicUrl}/gate/backchannel/${id}` }),
  };
}
