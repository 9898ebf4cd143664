import { PersonalTokenService as PersonalTokenServiceSchema } from "@vestibule/proto/vestibule/v1/personal_token_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { listCacheMetrics } from "../changes/cache-metrics.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Tx } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { createLastUses } from "../db/write-behind.ts";
import type { Log } from "../lib/log.ts";
import type { TokenSubjects } from "../principals/claims.ts";
import type { KindJudges } from "../principals/judge.ts";
import { createTokenAuthenticator, type TokenCaches, tokenSubjects } from "./authenticator.ts";
import { createPersonalTokenHandler } from "./handler.ts";
import type { PersonalToken } from "./personal-token.ts";
import { PersonalTokenService, type PersonalTokenServiceOptions } from "./service.ts";
import {
  deleteLongExpired,
  deleteTokenById,
  findLiveToken,
  findLiveTokenByHash,
  findTokens,
  touchTokens,
} from "./store.ts";
import { createTellUnused, type UnusedOptions } from "./unused.ts";

/** Bound of each cache: entries, not bytes. */
const cachedTokens = 20_000;

/** What personal access tokens stand on. */
export interface PersonalTokenParts extends PersonalTokenServiceOptions, Pick<UnusedOptions, "onUnused"> {
  readonly feed: ChangeFeed;
  readonly log: Log;
}

/** What others ask of personal access tokens. */
export interface PersonalTokensRoom extends Room {
  readonly tokens: PersonalTokenService;
  readonly judges: Pick<KindJudges, "personal_token">;
  /** Whose an access token is that was made from one. */
  readonly subjects: Pick<TokenSubjects, "app/pat">;
  /** A user's, newest first, without secrets. */
  listOf(userId: string): Promise<readonly PersonalToken[]>;
  /** As of `PersonalTokenService.endAll`. */
  readonly removeAllOf: PersonalTokenService["endAll"];
  /** Removes the row of a token; does nothing when it is gone. */
  delete(tx: Tx, id: string): Promise<void>;
}

/** Puts personal access tokens together. */
export function assemblePersonalTokens(parts: PersonalTokenParts): PersonalTokensRoom {
  const { database, feed, clock } = parts;
  const { reader } = database;
  const tokens = new PersonalTokenService(parts);
  const uses = createLastUses(parts, "personal access tokens", touchTokens);
  const caches = createCaches(feed);
  const authenticator = createTokenAuthenticator({
    source: {
      findByHash: (secretHash) => findLiveTokenByHash(reader, secretHash),
      findById: (id) => findLiveToken(reader, id),
    },
    caches,
    clock,
    uses,
  });
  return {
    tokens,
    judges: {
      personal_token: async ({ token }) => ({ principal: await authenticator.authenticate(token) }),
    },
    subjects: { "app/pat": authenticator.authenticateTokenSubject },
    listOf: (userId) => findTokens(reader, userId),
    removeAllOf: (tx, userId) => tokens.endAll(tx, userId),
    delete: deleteTokenById,
    services: [registerService(PersonalTokenServiceSchema, createPersonalTokenHandler(tokens))],
    metrics: listCacheMetrics({
      personal_tokens_by_secret: caches.byHash,
      personal_tokens_by_id: caches.byId,
    }),
    chores: [{ name: "telling of unused personal access tokens", run: createTellUnused(parts) }],
    sweeps: [{ kind: "personal_tokens", run: createExpirySweep(database, clock, deleteLongExpired) }],
    closing: [
      { name: "last uses of personal access tokens", moment: "writes", ms: 2_000, run: () => uses.flush() },
    ],
  };
}

function createCaches(feed: ChangeFeed): TokenCaches {
  const options = {
    feed,
    topics: ["credential", "user", "organization"],
    maxEntries: cachedTokens,
    subjectsOf: tokenSubjects,
  } as const;
  return { byHash: new InvalidatedCache(options), byId: new InvalidatedCache(options) };
}
