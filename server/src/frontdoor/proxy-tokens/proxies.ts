/**
 * Proves proxies: whether the token that one sends is good at a frontdoor.
 *
 * The tokens of busy frontdoors are in memory and never behind the change
 * feed, so that a warm proof waits for nothing. They are found by their hash, so
 * that time tells nothing about them; what has been proven on a connection is
 * compared as it is there, with what whoever is at its other end has sent.
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
   * @param connection by which it came: one that has proven a token and sends it again is spared the hash.
   */
  isGood(frontdoorId: string, token: string, connection: object | undefined): boolean | Promise<boolean>;
}

/** What a connection has proven last. */
interface Proof {
  /** Among which its token was found: they are others after every change. */
  readonly good: GoodProxyTokens;
  readonly token: string;
  readonly found: GoodProxyTokens["tokens"][number];
}

/** Where good tokens are looked up, and their uses noted. */
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
  const proofs = new WeakMap<object, Proof>();

  function isAmong(
    good: GoodProxyTokens | undefined,
    token: string,
    connection: object | undefined,
  ): boolean {
    if (good === undefined) return false;
    const proof = connection && proofs.get(connection);
    if (proof?.good === good && proof.token === token) {
      noteUse(proof.found);
      return true;
    }
    if (!isWellFormed(token)) return false;
    const tokenHash = hashSecret(token);
    const found = good.tokens.find((each) => each.tokenHash === tokenHash);
    if (found === undefined) return false;
    if (connection !== undefined) proofs.set(connection, { good, token, found });
    noteUse(found);
    return true;
  }

  function noteUse({ id, lastUsedAt }: Proof["found"]): void {
    uses.note({ id }, lastUsedAt);
  }

  return {
    isGood(frontdoorId, token, connection) {
      const known = cache.peek(frontdoorId);
      if (known !== undefined) return isAmong(known, token, connection);
      if (!isWellFormed(token)) return false;
      return cache.get(frontdoorId, find).then((good) => isAmong(good, token, connection));
    },
  };
}

function isWellFormed(token: string): boolean {
  return token.length <= longestToken && token.startsWith("vstp_") && !isMistyped("vstp", token);
}
