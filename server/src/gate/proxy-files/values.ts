/**
 * Configuration of proxies in front of which the gate decides, written once
 * as templates: `vestibule gate config` fills them, and `docs/gate/` shows
 * them as filled.
 *
 * What is filled in is checked by a grammar in which no character means
 * anything to any of the proxies, whoever chose the value: a host name or a
 * header cannot become a directive (CVE-2025-24514 and its kin). The room
 * writes texts; it reads no file and opens no database.
 */

/** What a proxy's files are filled with. */
export interface ProxyFileValues {
  readonly frontdoorId: string;
  /** Host name of the frontend, a port with it only where browsers show one; `*.` first for a wildcard. */
  readonly hostname: string;
  /** By which browsers come to it. */
  readonly scheme: "https" | "http";
  /** Headers of the frontend's `API_KEY` providers. */
  readonly keyHeaders: readonly string[];
  /** Further header of the assertion, if the frontend names one. */
  readonly assertionHeader?: string | undefined;
  /** Where this service answers the proxy: `host:port`. */
  readonly gate: string;
  /** Where the app behind the gate answers: `host:port`. */
  readonly upstream: string;
  /** Where the proxy itself listens: `host:port`. */
  readonly listen: string;
  /** In clear; it is good for this frontdoor alone. */
  readonly proxyToken: string;
  /** Where the proxy finds files beside its configuration; `/etc/<proxy>` if absent. */
  readonly folder?: string | undefined;
}

/** A file for a proxy. */
export interface ProxyFile {
  readonly name: string;
  readonly text: string;
}

/** Headers that tell the upstream who comes, without the frontend's own name of the assertion. */
export const identityHeaders = [
  "X-Vestibule-Subject",
  "X-Vestibule-Email",
  "X-Vestibule-Name",
  "X-Vestibule-Provider",
  "X-Vestibule-Organizations",
  "X-Vestibule-Groups",
  "X-Vestibule-Assertion",
] as const;

/** Every header that the gate's answer sets on the request to the upstream. */
export function listCopiedHeaders({ keyHeaders, assertionHeader }: ProxyFileValues): readonly string[] {
  const alias = assertionHeader === undefined ? [] : [assertionHeader];
  return [...identityHeaders, ...alias, "Cookie", "Authorization", ...keyHeaders];
}

/** Names of the frontend's own pages, below `/.vestibule/`. */
export const ownPages = ["start", "finish", "logout", "jwks.json"] as const;

const label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
const port = "(:[1-9][0-9]{0,4})";
const grammar = {
  frontdoorId: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  hostname: new RegExp(`^(\\*\\.)?${label}(\\.${label})*${port}?$`),
  scheme: /^https?$/,
  header: /^[A-Za-z0-9][A-Za-z0-9-]*$/,
  address: new RegExp(`^(${label}(\\.${label})*|\\[[0-9a-f:]+\\])${port}$`),
  proxyToken: /^vstp_[A-Za-z0-9_-]+$/,
  folder: /^(\/[A-Za-z0-9._-]+)+$/,
} as const;

/** @throws Error naming the first value that does not fit its grammar */
export function checkValues(values: ProxyFileValues): ProxyFileValues {
  const checks: [name: string, value: string, pattern: RegExp][] = [
    ["frontdoor", values.frontdoorId, grammar.frontdoorId],
    ["host name", values.hostname, grammar.hostname],
    ["scheme", values.scheme, grammar.scheme],
    ...values.keyHeaders.map((header): [string, string, RegExp] => ["key header", header, grammar.header]),
    ["assertion header", values.assertionHeader ?? "X", grammar.header],
    ["gate", values.gate, grammar.address],
    ["upstream", values.upstream, grammar.address],
    ["listen", values.listen, grammar.address],
    ["folder", values.folder ?? "/etc", grammar.folder],
  ];
  for (const [name, value, pattern] of checks) {
    if (pattern.test(value)) continue;
    const expected = pattern === grammar.address ? ": expected <host>:<port>, such as 127.0.0.1:3000" : "";
    throw new Error(`${name}: ${JSON.stringify(value)} cannot be written into a proxy's file${expected}`);
  }
  // Not repeated: what is none may hold one.
  if (!grammar.proxyToken.test(values.proxyToken)) {
    throw new Error(
      "proxy token: expected vstp_… and nothing else; anything else cannot be written into a proxy's file",
    );
  }
  return values;
}

/** The host name without its port, as proxies match it. */
export function toServerName({ hostname }: ProxyFileValues): string {
  return hostname.replace(/:\d+$/, "");
}

/** The host name as a regular expression that fits the whole of it. */
export function toHostPattern(values: ProxyFileValues): string {
  return toServerName(values).replace(/^\*\./, "[a-z0-9-]+.").replaceAll(".", "\\.");
}

/** Path of one of the gate's routes for the frontdoor. */
export function toGatePath({ frontdoorId }: ProxyFileValues, route: string): string {
  return `/frontdoor/${frontdoorId}/gate/${route}`;
}
