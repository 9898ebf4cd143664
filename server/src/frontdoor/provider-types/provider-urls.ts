import type { ProviderType } from "./provider-type.ts";

/** Where people come back to who signed in at the provider of an id: its redirect URI. */
export function toCallbackUrl(publicUrl: string, id: string): string {
  return `${publicUrl}${providerPaths.callback}/${id}`;
}

/** Where providers are answered, and tell of sign-outs: below it each at its id, so that a new name changes nothing. */
export const providerPaths = { callback: "/gate/callback", backchannel: "/gate/backchannel" } as const;

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
    ...(login.verifyLogout !== undefined && {
      backchannelLogoutUrl: `${publicUrl}${providerPaths.backchannel}/${id}`,
    }),
  };
}
