/**
 * Proves proxies: whether the token that one sends is good at a frontdoor.
 *
 * The tokens of busy frontdoors are in memory and never behind the change
 * feed, so that a warm proof costs one hash and waits for nothing. They are
 * found by their hash, so that time tells nothing about them.
 */
import type { InvalidatedCache } from "../../changes/cache.ts";
import type { LastUses } from "../../db/write-behind.ts";
import { hashSecret, isMistyped } from "../../lib/secrets.ts";
import type { GoodProxyTokens } from "./store.ts";

/** Longest token looked at, in characters; real ones have 53. */
const longestToken = 64;

/** Tells a proxy's token from anything else. */
export interface Proxies {
  /**
   * Whether a token is good at a frontdoor: at once where that is in memory.
   * Notes its use. Rejects when the database cannot be read.
   *
   * @param frontdoorId in lower case.
   */
  isGood(frontdoorId: string, token: string): boolean | Promise<boolean>;
}

export interface ProxiesOptions {
  /** By frontdoor. Topics `frontdoor` and `organization`, with subjects as {@link proxyTokenSubjects} says. */
  readonly cache: InvalidatedCache<GoodProxyTokens>;
  /** Reads the database when it is called. */
  readonly find: (frontdoorId: string) => Promise<GoodProxyTokens | undefined>;
  readonly uses: Pick<LastUses, "note">;
}

/** What cached tokens depend on besides their frontdoor: an organization takes its frontdoors with it. */
export function proxyTokenSubjects({ orgId }: GoodProxyTokens): readonly string[] {
  return [orgId];
}

/** @see {@link Proxies} */
export function createProxies({ cache, find, uses }: ProxiesOptions): Proxies {
  function isAmong(token: string, good: GoodProxyTokens | undefined): boolean {
    if (good === undefined) return false;
    const tokenHash = hashSecret(token);
    const found = good.tokens.find((each) => each.tokenHash === tokenHash);
    if (found === undefined) return false;
    uses.note({ id: found.id }, found.lastUsedAt);
    return true;
  }

  return {
    isGood(frontdoorId, token) {
      if (token.length > longestToken || !token.startsWith("vstp_") || isMistyped("vstp", token))
        return false;
      const known = cache.peek(frontdoorId);
      if (known !== undefined) return isAmong(token, known);
      return cache.get(frontdoorId, find).then((good) => isAmong(token, good));
    },
  };
}
