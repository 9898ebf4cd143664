/**
 * What an app behind the gate is told: who comes in, in headers, and the same
 * in an assertion that it can verify by itself.
 *
 * Every set has every header, so that a proxy replaces whatever the visitor
 * sent; those with nothing to say are empty. Without an identity, as on public
 * paths, there is an assertion all the same: the app sees that the gate was
 * passed. An assertion is good for nothing but that: its type is one that no
 * other door takes (RFC 8725 §3.11).
 */
import { InvalidatedCache } from "../../changes/cache.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import { type Clock, toEpochSeconds } from "../../lib/clock.ts";
import type {
  GateIdentity,
  HeaderLine,
  IdentityHeaders,
  MakeIdentityHeaders,
} from "../decisions/decision.ts";
import { toHeaderList, toHeaderValue } from "./header-values.ts";

/** What signs identity headers, and in whose name. */
export interface IdentityHeadersOptions {
  /** Signs claims as an assertion of the gate. @throws DomainError UNAVAILABLE */
  readonly sign: (type: "vestibule-gate+jwt", claims: object, now: Date) => Promise<string>;
  /** Public URL. */
  readonly issuer: string;
  readonly clock: Clock;
}

/** How long an assertion is good for. */
const assertionSeconds = 60;

/** @see the head of this file */
export function createMakeIdentityHeaders({
  sign,
  issuer,
  clock,
}: IdentityHeadersOptions): MakeIdentityHeaders {
  return async ({ host, frontend, endsAt }, identity) => {
    const now = clock.now();
    const iat = toEpochSeconds(now);
    const endsBy = endsAt === undefined ? Number.POSITIVE_INFINITY : toEpochSeconds(endsAt);
    const exp = Math.min(iat + assertionSeconds, endsBy);
    const aud = `${frontend.scheme}://${host}`;
    const claims = { iss: issuer, aud, iat, exp, ...(identity && toClaims(identity)) };
    const assertion = await sign("vestibule-gate+jwt", claims, now);
    const { assertionHeader } = frontend;
    return {
      lines: [
        ...toLines(identity),
        ["X-Vestibule-Assertion", assertion],
        ...(assertionHeader === "" ? [] : [[assertionHeader, assertion] as const]),
      ],
      renewAtMs: now.getTime() + ((exp - iat) / 2) * 1000,
    };
  };
}

/** What remembering takes: it is over when keys change, and with the clock by which sets were made. */
export interface RememberOptions {
  readonly feed: Pick<ChangeFeed, "isConfirmed" | "subscribe">;
  readonly clock: Clock;
}

/** Most that is remembered, in KiB. */
const rememberedKib = 10_000;

/**
 * Remembers sets for half the life of their assertions: whoever comes with a
 * new token each time is the same to the app, and is signed for once. A
 * credential that ends before an assertion would has a set of its own.
 */
export function rememberIdentityHeaders(
  make: MakeIdentityHeaders,
  { feed, clock }: RememberOptions,
): MakeIdentityHeaders {
  const cache = new InvalidatedCache<IdentityHeaders>({
    feed,
    topics: ["signing-keys"],
    subjectsOf: () => ["all"],
    maxEntries: rememberedKib,
    weigh: ({ lines }) => Math.ceil(lines.reduce((sum, [, value]) => sum + value.length, 256) / 1024),
  });
  const isFresh = ({ renewAtMs }: IdentityHeaders, nowMs: number) =>
    renewAtMs > nowMs && renewAtMs <= nowMs + assertionSeconds * 1000;

  return async ({ host, frontend, endsAt }, identity) => {
    const nowMs = clock.now().getTime();
    if (endsAt !== undefined && endsAt.getTime() < nowMs + assertionSeconds * 1000) {
      return await make({ host, frontend, endsAt }, identity);
    }
    const { scheme, assertionHeader } = frontend;
    const key = JSON.stringify([scheme, host, assertionHeader, identity]);
    const load = () => make({ host, frontend }, identity);
    const known = cache.peek(key);
    if (known !== undefined && isFresh(known, nowMs)) return known;
    return (await cache.refresh(key, load)) ?? (await load());
  };
}

/** Names as JWTs have them (OpenID Connect Core §5.1), where they have one. */
function toClaims({ subject, providerId, email, name, organizations, groups }: GateIdentity): object {
  return {
    sub: subject,
    provider: providerId,
    ...(email !== undefined && { email, email_verified: true }),
    ...(name !== undefined && { name }),
    org_ids: organizations,
    groups,
  };
}

function toLines(identity: GateIdentity | undefined): HeaderLine[] {
  return [
    ["X-Vestibule-Subject", toHeaderValue(identity?.subject ?? "")],
    ["X-Vestibule-Email", toHeaderValue(identity?.email ?? "")],
    ["X-Vestibule-Name", toHeaderValue(identity?.name ?? "")],
    ["X-Vestibule-Provider", toHeaderValue(identity?.providerId ?? "")],
    ["X-Vestibule-Organizations", toHeaderList(identity?.organizations ?? [])],
    ["X-Vestibule-Groups", toHeaderList(identity?.groups ?? [])],
  ];
}
