import type { Room } from "../assembly/room.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { AuthenticationConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import type { Sealer } from "../encryption/sealer.ts";
import type { Clock } from "../lib/clock.ts";
import type { AssertionKeySource } from "../principals/assertion-key.ts";
import type { TokenSubjects } from "../principals/claims.ts";
import type { KindJudge, KindJudges } from "../principals/judge.ts";
import { type AccessTokens, createAccessTokenJudge, createAccessTokens } from "./access-token.ts";
import { consumeAssertion } from "./assertion-store.ts";
import { createAssertionAuthenticator } from "./assertions.ts";
import { type AnswerJwks, createJwksHandler } from "./jwks.ts";
import { listKeyMetrics } from "./key-metrics.ts";
import type { KeyRotation } from "./key-rotation.ts";
import { createKeyring, createTokenSigner, type Keyring, type SignToken } from "./keyring.ts";
import { oauthPaths } from "./oauth-metadata.ts";
import { findRevokedTokens, insertRevokedToken, isRevokedToken } from "./revocation-store.ts";
import { Revocations } from "./revocations.ts";
import { findSigningKeys } from "./store.ts";
import { createTokenSweeps } from "./sweep.ts";

/** Parts that access tokens are built from. */
export interface TokenParts {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly sealer: Sealer;
  readonly rotation: KeyRotation;
  readonly clock: Clock;
  readonly authentication: AuthenticationConfig;
  /** Origin that clients see, without a slash at its end. */
  readonly publicUrl: string;
  readonly assertionKeys: AssertionKeySource;
  readonly subjects: TokenSubjects;
}

/** Access tokens, and judges of what this room proves: them, and assertions. */
export interface TokensRoom extends Room {
  readonly accessTokens: AccessTokens;
  readonly keyring: Keyring;
  readonly revocations: Revocations;
  readonly judges: Pick<KindJudges, "access_token" | "assertion">;
  readonly sign: SignToken;
  /** Answers with the keys that everything signed here is verified by. */
  readonly answerJwks: AnswerJwks;
}

/** Puts access tokens together: keys, revocations, their proof. Makes the first key where there is none. */
export async function assembleTokens(parts: TokenParts): Promise<TokensRoom> {
  const { database, feed, rotation, clock, authentication } = parts;
  await rotation.maintain();
  const keyring = createKeyring({
    cache: new InvalidatedCache({ feed, topics: ["signing-keys"], maxEntries: 1 }),
    sealer: parts.sealer,
    clock,
    findSigningKeys: () => findSigningKeys(database.reader),
  });
  await keyring.get();
  const revocations = createRevocations(parts);
  await revocations.fill();
  const sign = createTokenSigner(keyring);
  const accessTokens = createAccessTokens({
    ...authentication.token,
    keyring,
    sign,
    clock,
    clockSkewSeconds: authentication.clockSkewSeconds,
    isRevoked: (jti) => revocations.isRevoked(jti),
  });
  return {
    accessTokens,
    keyring,
    revocations,
    sign,
    answerJwks: createJwksHandler(keyring),
    judges: {
      access_token: createAccessTokenJudge(accessTokens, parts.subjects),
      assertion: createAssertionJudge(parts),
    },
    metrics: listKeyMetrics({ keyring, feed, clock }),
    chores: [
      { name: "upkeep of signing keys", run: () => rotation.maintain() },
      { name: "upkeep of revocations", run: () => revocations.prune() },
    ],
    sweeps: createTokenSweeps(database, clock),
  };
}

function createRevocations({ database, feed, clock, authentication }: TokenParts): Revocations {
  const { reader } = database;
  return new Revocations({
    feed,
    store: {
      insert: insertRevokedToken,
      isRevoked: (jti) => isRevokedToken(reader, jti),
      findAll: (now, limit) => findRevokedTokens(reader, now, limit),
    },
    clock,
    clockSkewSeconds: authentication.clockSkewSeconds,
  });
}

function createAssertionJudge(parts: TokenParts): KindJudge<"assertion"> {
  const { database, assertionKeys, clock, authentication, publicUrl } = parts;
  const assertions = createAssertionAuthenticator({
    keys: assertionKeys,
    clock,
    audiences: [authentication.token.issuer, publicUrl + oauthPaths.token],
    clockSkewSeconds: authentication.clockSkewSeconds,
    consume: (id, expiresAt) => database.transaction((tx) => consumeAssertion(tx, id, expiresAt)),
  });
  return async ({ assertion, use, rules }) => ({
    principal: await assertions.authenticate(assertion, use, rules),
  });
}
