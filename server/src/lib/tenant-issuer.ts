/**
 * Issuers of many tenants: one provider, one document, and an issuer for each
 * of its tenants, whose id stands in the place of `{tenantid}`. Microsoft
 * Entra's `common` and `organizations` are such.
 */
import { isUuid } from "./ids.ts";

const placeholder = "{tenantid}";

/** Whether an issuer is one for each tenant. */
export function isTenantIssuer(issuer: string): boolean {
  return issuer.includes(placeholder);
}

/** The issuer of one tenant. */
function toIssuerOf(tenantIssuer: string, tenantId: string): string {
  return tenantIssuer.replace(placeholder, tenantId);
}

/** Whether an issuer is one of the tenants', whichever. */
export function isIssuerOfSome(tenantIssuer: string, issuer: string): boolean {
  const [before = "", after = ""] = tenantIssuer.split(placeholder);
  const tenantId = issuer.slice(before.length, after === "" ? undefined : -after.length);
  return isUuid(tenantId) && toIssuerOf(tenantIssuer, tenantId) === issuer;
}

/** Entra, and its clouds for the United States' government and for China. */
const entraSites = [
  "https://login.microsoftonline.com",
  "https://login.microsoftonline.us",
  "https://login.partner.microsoftonline.cn",
];

/** The tenant of everybody's own Microsoft account, which no organization has. */
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad";

/**
 * What is meant by the names that Entra has for several tenants at once: they
 * are where its document is, and never the issuer of a token. Any other issuer
 * is what it says.
 */
export function spellOutIssuer(issuer: string): {
  readonly issuerUrl: string;
  readonly discoveryUrl?: string;
} {
  const [, site = "", name] =
    /^(https:\/\/[^/]+)\/(common|organizations|consumers)\/v2\.0\/?$/.exec(issuer) ?? [];
  if (!entraSites.includes(site)) return { issuerUrl: issuer };
  return {
    issuerUrl: `${site}/${name === "consumers" ? personalTenant : placeholder}/v2.0`,
    discoveryUrl: `${site}/${name}/v2.0/.well-known/openid-configuration`,
  };
}
