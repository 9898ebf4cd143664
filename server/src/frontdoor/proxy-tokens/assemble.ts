import { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { InvalidatedCache } from "../../changes/cache.ts";
import { listCacheMetrics } from "../../changes/cache-metrics.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import { createLastUses, touchLastUses } from "../../db/write-behind.ts";
import type { Log } from "../../lib/log.ts";
import { createProxyTokenMethods } from "./handler.ts";
import { createProxies, type Proxies, proxyTokenSubjects } from "./proxies.ts";
import { ProxyTokenService, type ProxyTokenServiceOptions } from "./service.ts";
import { findGoodProxyTokens, type GoodProxyTokens } from "./store.ts";

/** How many frontdoors' tokens are kept in memory. */
const cachedFrontdoors = 10_000;

/** What proxy tokens stand on. */
export interface ProxyTokenParts extends ProxyTokenServiceOptions {
  readonly feed: ChangeFeed;
  readonly log: Log;
}

/** What whoever is asked by proxies needs of their tokens. */
export interface ProxyTokensRoom extends Room {
  readonly proxies: Proxies;
}

/** Puts the proxy tokens of frontdoors together. */
export function assembleProxyTokens(parts: ProxyTokenParts): ProxyTokensRoom {
  const { database, feed } = parts;
  const uses = createLastUses(parts, "proxy tokens", touchLastUses("proxy_tokens"));
  const cache = new InvalidatedCache<GoodProxyTokens>({
    feed,
    topics: ["frontdoor", "organization"],
    maxEntries: cachedFrontdoors,
    subjectsOf: proxyTokenSubjects,
  });
  const find = (frontdoorId: string) => findGoodProxyTokens(database.reader, frontdoorId);
  return {
    proxies: createProxies({ cache, find, uses }),
    services: [registerService(FrontdoorService, createProxyTokenMethods(new ProxyTokenService(parts)))],
    metrics: listCacheMetrics({ proxy_tokens: cache }),
    closing: [{ name: "last uses of proxy tokens", moment: "writes", ms: 2_000, run: () => uses.flush() }],
  };
}
