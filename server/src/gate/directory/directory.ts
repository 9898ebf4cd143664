/**
 * Which frontend answers for a host of a frontdoor.
 *
 * Read from the database at the first ask, and from memory from then on until
 * the change feed says otherwise; that there is none is remembered alike. While
 * the feed is not confirmed every ask reads. Looking up takes the same time
 * however many frontdoors, frontends and providers there are.
 */
import { InvalidatedCache } from "../../changes/cache.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Reader } from "../../db/database.ts";
import type { FrontendAtHost } from "../../frontdoor/frontends/frontend.ts";
import { findFrontendAtHost } from "../../frontdoor/frontends/store.ts";
import type { ProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { createLru } from "../../lib/lru.ts";
import { type GateFrontend, toGateFrontend, versionOf } from "./frontend.ts";

/** Where frontends are read, and which changes empty the cache of them. */
export interface DirectoryOptions {
  readonly reader: Reader;
  readonly feed: Pick<ChangeFeed, "isConfirmed" | "subscribe">;
  readonly types: Pick<ProviderTypes, "get">;
  /** Most hosts that are remembered. */
  readonly maxHosts?: number;
}

/** What is known of a host. */
export interface KnownHost {
  readonly frontdoorId: string;
  /** undefined where no frontend has it. */
  readonly frontend: GateFrontend | undefined;
}

/** Hosts and their frontends. */
export interface Directory {
  /** What is in memory of a host, if it may be used. */
  peek(frontdoorId: string, host: string): KnownHost | undefined;
  /** @throws DomainError UNAVAILABLE when it has to be read and cannot */
  find(frontdoorId: string, host: string): Promise<KnownHost>;
  readonly cache: InvalidatedCache<KnownHost>;
}

const defaultMaxHosts = 20_000;

/** @see the head of this file */
export function createDirectory(options: DirectoryOptions): Directory {
  const { reader, feed, types, maxHosts = defaultMaxHosts } = options;
  const cache = new InvalidatedCache<KnownHost>({
    feed,
    topics: ["frontdoor", "organization"],
    maxEntries: maxHosts,
    subjectsOf: ({ frontdoorId, frontend }) =>
      frontend === undefined ? [frontdoorId] : [frontdoorId, frontend.orgId],
  });
  /** By version: all hosts of a wildcard share one, and a reading that finds nothing new keeps what is prepared. */
  const ready = createLru<string, GateFrontend>(maxHosts);

  function prepare(read: FrontendAtHost): GateFrontend {
    const version = versionOf(read);
    const known = ready.get(version);
    if (known !== undefined) return known;
    const made = toGateFrontend(read, version, types);
    ready.set(version, made);
    return made;
  }

  async function load(frontdoorId: string, host: string): Promise<KnownHost> {
    const read = await findFrontendAtHost(reader, frontdoorId, host);
    return { frontdoorId, frontend: read && prepare(read) };
  }

  return {
    cache,
    peek: (frontdoorId, host) => cache.peek(`${frontdoorId} ${host}`),
    async find(frontdoorId, host) {
      const found = await cache.get(`${frontdoorId} ${host}`, () => load(frontdoorId, host));
      return found ?? { frontdoorId, frontend: undefined };
    },
  };
}
