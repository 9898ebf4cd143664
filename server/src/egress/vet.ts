/** Decides whether a URL may be fetched, and which addresses its host stands for while it is. */
import { lookup as lookupName } from "node:dns/promises";
import { isIP } from "node:net";
import { type Cidr, createCidrMatcher } from "../http/cidr.ts";
import { classifyAddress, toEffectiveAddress } from "./address.ts";
import { EgressError } from "./egress-error.ts";

/** Resolves a host name to all its addresses; rejects, or answers none, when there are none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** Asks the system's resolver, hosts file included. */
export const systemLookup: Lookup = async (host) => {
  const found = await lookupName(host, { all: true, order: "verbatim" });
  return found.map(({ address }) => address);
};

/** A URL that may be fetched, from these addresses and no others. */
export interface VettedUrl {
  readonly url: URL;
  readonly addresses: readonly string[];
}

/** Which addresses may be reached, and how names are resolved. */
export interface VetOptions {
  /** Internal networks that may be reached; plain http and any port there, too. */
  readonly allowCidrs: readonly Cidr[];
  /** Origins (`https://idp.internal:8443`) that the operator configured: they may be anywhere inside. */
  readonly allowedOrigins: readonly string[];
  readonly lookup: Lookup;
  /** Told of each address that was in the way: for the log, not for whoever asked. */
  readonly onBlocked: (host: string, address: string) => void;
}

/**
 * Said of a name that does not resolve and of one that resolves to where nobody
 * may go: whoever asks is not told which names there are inside.
 */
const nameOutOfReach =
  "the name is unknown, or has an internal address: check its spelling, or have an operator allow its network under egress.allow_cidrs";

/** Ports below this one belong to other services; of them only https's own is for everyone. */
const firstFreePort = 1024;

/**
 * Makes the rule.
 *
 * A URL must be https on port 443 or above 1023, and every address of its host
 * public. An internal address needs its network allowed, or the origin
 * configured; only then may the URL be plain http or on another port. Services
 * that hand out a cloud's credentials, multicast and unspecified addresses are
 * refused whatever is allowed.
 *
 * The rule's promise rejects with EgressError (url, dns, blocked).
 */
export function createVetting(options: VetOptions): (text: string) => Promise<VettedUrl> {
  const { lookup, onBlocked } = options;
  const isInAllowedNetwork = createCidrMatcher(options.allowCidrs);
  const allowedOrigins = new Set(options.allowedOrigins);

  function isAllowed(address: string): boolean {
    return isInAllowedNetwork(address) || isInAllowedNetwork(toEffectiveAddress(address) ?? "");
  }

  /** Why an address may not be reached, and what to do about it; undefined for one that may. */
  function findObstacle(address: string, isConfigured: boolean): string | undefined {
    const kind = classifyAddress(address);
    if (kind === "never")
      return "this address is never reached, whatever an operator allows: use another host";
    if (kind === "public" || isConfigured || isAllowed(address)) return undefined;
    return "this is an internal address: an operator can allow its network under egress.allow_cidrs";
  }

  async function resolve(url: URL): Promise<readonly string[]> {
    const host = toBareHost(url);
    if (isIP(host) !== 0) return [host];
    const addresses = await lookup(host).catch((error: unknown) => {
      throw new EgressError("dns", url.host, nameOutOfReach, error);
    });
    if (addresses.length === 0) throw new EgressError("dns", url.host, nameOutOfReach);
    return addresses;
  }

  return async (text) => {
    const url = parseTarget(text);
    const addresses = await resolve(url);
    const isConfigured = allowedOrigins.has(url.origin);
    for (const address of addresses) {
      const obstacle = findObstacle(address, isConfigured);
      if (obstacle === undefined) continue;
      onBlocked(url.host, address);
      const isName = isIP(toBareHost(url)) === 0;
      throw new EgressError("blocked", url.host, isName ? nameOutOfReach : obstacle);
    }
    if (!isConfigured && !addresses.every(isAllowed)) refuseUnsafe(url);
    return { url, addresses };
  };
}

/** The host without the brackets of IPv6. */
function toBareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}

/** The URL parser has turned decimal, octal, hex and short spellings of IPv4 into four decimals by now. */
function parseTarget(text: string): URL {
  if (!URL.canParse(text)) throw new EgressError("url", "", "must be an absolute https URL");
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol)) throw new EgressError("url", "", "must be an absolute https URL");
  if (url.username !== "" || url.password !== "") {
    throw new EgressError("url", url.host, "the URL must not carry a user name or password");
  }
  return url;
}

function refuseUnsafe(url: URL): void {
  if (url.protocol !== "https:") {
    throw new EgressError(
      "url",
      url.host,
      "must be https: plain http is only for networks an operator allowed",
    );
  }
  if (url.port !== "" && Number(url.port) < firstFreePort) {
    throw new EgressError("url", url.host, "the port must be 443 or above 1023");
  }
}
