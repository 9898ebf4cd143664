/** Where an issuer's document is unless told otherwise (OpenID Connect Discovery 1.0 §4). */
export function toDiscoveryUrl(issuer: string): string {
  return `${issuer.endsWith("/") ? issuer.slice(0, -1) : issuer}/.well-known/openid-configuration`;
}
