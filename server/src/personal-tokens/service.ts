/**
 * Personal access tokens: the rules of making, changing and ending them.
 *
 * Only people in a session make them, and only those who have proven their
 * address: a token lasts longer than what it is made from. So a new secret, and
 * whatever a token may do more than before, takes a recent sign-in, and no
 * access token and no other credential gives one. Nobody gives a token more
 * than they are, and it is asked again at each use.
 *
 * Whoever is no member any more has none: that is the database's to see to
 * (`db/migrations/20261130-personal-tokens.ts`), whichever way a membership ends.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import { orTaken } from "../db/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { invalidField, invalidFields } from "../lib/invalid-request.ts";
import { checkMetadata, type Metadata } from "../lib/metadata.ts";
import { type Page, type PageRequest, toPageById } from "../lib/page-token.ts";
import { hashSecret, newSecret } from "../lib/secrets.ts";
import { toShownName } from "../lib/shown-name.ts";
import { type Access, isAtLeast, requireProven } from "../organizations/access.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import {
  longestTokenTitle,
  maxPersonalTokens,
  type PersonalToken,
  type TokenScope,
} from "./personal-token.ts";
import { describeScope, invalidScope, isWider, readScope, type ScopeEntry } from "./scope.ts";
import * as store from "./store.ts";

/** Parts that personal access tokens stand on. */
export interface PersonalTokenServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** How long a token lives at most. */
  readonly longestValiditySeconds: number;
  /** Whether somebody has signed in to a session a short while ago. */
  readonly isRecent: (sessionId: string) => Promise<boolean>;
  /** Whether a user's session is still there, until `tx` ends. */
  readonly holdSession: (tx: Tx, sessionId: string, userId: string) => Promise<boolean>;
}

/** What a person says of a token. */
export interface TokenDraft {
  readonly title: string;
  readonly scopes: readonly ScopeEntry[];
  readonly metadata: Metadata;
}

/** A token, and its secret in clear. */
export interface MadeToken {
  readonly token: PersonalToken;
  readonly secret: string;
}

/** For leap years, and clocks that are ahead. */
const expirySlackMs = 25 * 3_600_000;

const writes = { role: "viewer", writes: true } as const;

/** Manages people's own tokens. */
export class PersonalTokenService {
  readonly #options: PersonalTokenServiceOptions;

  constructor(options: PersonalTokenServiceOptions) {
    this.#options = options;
  }

  /**
   * Makes a token, and answers its secret this once.
   *
   * @throws DomainError REAUTH_REQUIRED, ADDRESS_UNPROVEN, NOT_AUTHORIZED, ORGANIZATION_DISABLED,
   *   TOO_MANY_PATS, PAT_TITLE_TAKEN, INVALID_REQUEST
   */
  async create(
    caller: Caller,
    { orgId: asked, expiresAt, ...draft }: TokenDraft & { readonly orgId: string; readonly expiresAt: Date },
  ): Promise<MadeToken> {
    const { database, access, clock } = this.#options;
    const user = await this.#requireRecent(caller);
    const orgId = (await access.require(user, asked.toLowerCase(), writes)).organization.id;
    const now = clock.now();
    const secret = newSecret("vstu");
    const token: PersonalToken = {
      id: newId(now),
      userId: user.id,
      orgId,
      ...toFields(draft, orgId),
      createdAt: now,
      updatedAt: now,
      expiresAt: this.#toExpiry(expiresAt, now),
    };
    await orTaken(
      database.transaction(async (tx) => {
        await this.#lockMaker(tx, user, token);
        if ((await store.countTokens(tx, user.id, orgId)) >= maxPersonalTokens) {
          throw new DomainError("TOO_MANY_PATS");
        }
        await store.insertToken(tx, token, hashSecret(secret));
        await this.#record(tx, caller, "pat.create", token);
      }),
      "PAT_TITLE_TAKEN",
    );
    return { token, secret };
  }

  /** A person's own in an organization, newest first. @throws DomainError NOT_AUTHORIZED for machines */
  async list(caller: Caller, orgId: string): Promise<PersonalToken[]> {
    const { id } = requireUser(caller);
    return await store.findTokens(this.#options.database.reader, id, orgId.toLowerCase());
  }

  /** A page of all of a person's own, newest first. @throws DomainError NOT_AUTHORIZED for machines, INVALID_REQUEST */
  async listOwn(caller: Caller, page: PageRequest): Promise<Page<PersonalToken>> {
    const { id } = requireUser(caller);
    return await toPageById(["personal tokens", id], page, (range) =>
      store.findTokenRange(this.#options.database.reader, id, range),
    );
  }

  /** How long a token lives at most. */
  get longestValiditySeconds(): number {
    return this.#options.longestValiditySeconds;
  }

  /** @throws DomainError PAT_NOT_FOUND, also for another person's; NOT_AUTHORIZED for machines */
  async get(caller: Caller, id: string): Promise<PersonalToken> {
    const user = requireUser(caller);
    return found(await store.findToken(this.#options.database.reader, user.id, id.toLowerCase()));
  }

  /** Whether a person could call a token so. @throws DomainError NOT_AUTHORIZED for machines */
  async isTitleFree(caller: Caller, orgId: string, title: string): Promise<boolean> {
    const { id } = requireUser(caller);
    const shown = readTitle(title);
    if (shown === undefined) return false;
    return !(await store.hasTitle(this.#options.database.reader, id, orgId.toLowerCase(), shown));
  }

  /**
   * Changes title, scope and metadata.
   *
   * @throws DomainError PAT_NOT_FOUND, PAT_EXPIRED, and what {@link create} throws; REAUTH_REQUIRED
   *   only where the token may do more than before
   */
  async update(caller: Caller, id: string, draft: TokenDraft): Promise<PersonalToken> {
    const { database, access, clock } = this.#options;
    const user = requireMaker(caller);
    const before = await this.get(caller, id);
    const { orgId } = before;
    await access.require(user, orgId, writes);
    const fields = toFields(draft, orgId);
    if (isWider(fields.scope, before.scope)) await this.#requireRecent(caller);
    return await orTaken(
      database.transaction(async (tx) => {
        const now = clock.now();
        await this.#lockMaker(tx, user, { orgId, scope: fields.scope });
        const current = found(await store.findToken(tx, user.id, before.id));
        if (current.expiresAt <= now) throw new DomainError("PAT_EXPIRED");
        // Narrowed meanwhile: what was asked was to leave it as it is.
        if (isWider(fields.scope, current.scope)) await this.#requireRecent(caller);
        const token = found(await store.updateToken(tx, current, fields, now));
        await this.#record(tx, caller, "pat.update", token);
        return token;
      }),
      "PAT_TITLE_TAKEN",
    );
  }

  /** Replaces secret and expiry, and answers the secret this once. @throws DomainError PAT_NOT_FOUND, and what {@link create} throws */
  async regenerate(caller: Caller, id: string, expiresAt: Date): Promise<MadeToken> {
    const { database, access, clock } = this.#options;
    const user = await this.#requireRecent(caller);
    const before = await this.get(caller, id);
    await access.require(user, before.orgId, writes);
    const now = clock.now();
    const secret = newSecret("vstu");
    const made = { hash: hashSecret(secret), expiresAt: this.#toExpiry(expiresAt, now) };
    const token = await database.transaction(async (tx) => {
      await this.#lockMaker(tx, user, { orgId: before.orgId });
      const changed = found(await store.updateToken(tx, before, { secret: made }, now));
      await this.#record(tx, caller, "pat.regenerate", changed);
      return changed;
    });
    return { token, secret };
  }

  /** Ends a token. @throws DomainError PAT_NOT_FOUND, also for another person's; NOT_AUTHORIZED for machines */
  async delete(caller: Caller, id: string): Promise<void> {
    const user = requireUser(caller);
    await this.#options.database.transaction(async (tx) => {
      const token = found(await store.deleteToken(tx, user.id, id.toLowerCase()));
      await this.#record(tx, caller, "pat.delete", token);
    });
  }

  /** Ends all of a user's tokens with `tx`; what it answers, one for each, is to be appended to the feed. */
  async endAll(tx: Tx, userId: string): Promise<readonly Change[]> {
    const ids = await store.deleteTokens(tx, userId);
    return ids.map((subject) => ({ topic: "credential", subject }));
  }

  /** Every change is told to the caches of all processes, and recorded. */
  async #record(
    tx: Tx,
    caller: Caller,
    action: "pat.create" | "pat.update" | "pat.regenerate" | "pat.delete",
    { id, orgId, title, scope, expiresAt }: PersonalToken,
  ): Promise<void> {
    const { audit, feed } = this.#options;
    await audit.record(tx, caller, {
      action,
      target: id,
      orgId,
      details: { title, scopes: describeScope(scope), expires_at: expiresAt.toISOString() },
    });
    await feed.append(tx, { topic: "credential", subject: id });
  }

  /** A person who signed in a short while ago. @throws DomainError NOT_AUTHORIZED, ADDRESS_UNPROVEN, REAUTH_REQUIRED */
  async #requireRecent(caller: Caller): Promise<UserPrincipal> {
    const user = requireMaker(caller);
    if (!(await this.#options.isRecent(user.sessionId))) throw new DomainError("REAUTH_REQUIRED");
    return user;
  }

  /**
   * Asks anew, and until `tx` ends, whether somebody may give a token what it is to have.
   *
   * @throws DomainError NOT_AUTHENTICATED, PRINCIPAL_DISABLED, ADDRESS_UNPROVEN, NOT_AUTHORIZED, INVALID_REQUEST
   */
  async #lockMaker(
    tx: Tx,
    { id: userId, sessionId }: UserPrincipal,
    { orgId, scope }: { readonly orgId: string; readonly scope?: TokenScope },
  ): Promise<void> {
    const maker = await store.lockMaker(tx, userId, orgId);
    if (maker?.isEnabled === false) throw new DomainError("PRINCIPAL_DISABLED");
    if (maker?.emailProven === false) throw new DomainError("ADDRESS_UNPROVEN");
    if (!(await this.#options.holdSession(tx, sessionId, userId))) {
      throw new DomainError("NOT_AUTHENTICATED", { detail: "the session was ended meanwhile" });
    }
    const role = maker?.role;
    if (role === undefined) throw new DomainError("NOT_AUTHORIZED", { detail: "no member any more" });
    if (scope?.role !== undefined && !isAtLeast(role, scope.role)) {
      throw invalidScope("one or more requested roles are above your own");
    }
    const projectIds = scope?.projects?.ids ?? [];
    const memberId = isAtLeast(role, "manager") ? undefined : userId;
    const visible = await store.findVisibleProjectIds(tx, orgId, projectIds, memberId);
    if (visible.size < projectIds.length) {
      throw invalidScope("user does not have access to one or more specified projects");
    }
  }

  #toExpiry(asked: Date, now: Date): Date {
    const latestMs = now.getTime() + this.#options.longestValiditySeconds * 1000;
    if (asked <= now) throw invalidExpiry("expiry must be in the future");
    if (asked.getTime() > latestMs + expirySlackMs) {
      throw invalidExpiry("expiry exceeds maximum allowed lifetime");
    }
    return new Date(Math.min(asked.getTime(), latestMs));
  }
}

function toFields({ title, scopes, metadata }: TokenDraft, orgId: string) {
  checkMetadata("metadata", metadata);
  const shown = readTitle(title);
  if (shown === undefined) {
    throw invalidField("title", "must be one line of visible characters, with single spaces between");
  }
  return { title: shown, scope: readScope(scopes, orgId), metadata };
}

/** A title as it is kept; undefined for one that would not be shown as it was given. */
function readTitle(title: string): string | undefined {
  const shown = toShownName(title, longestTokenTitle);
  return shown !== "" && shown === title.trim() ? shown : undefined;
}

function invalidExpiry(description: string): DomainError {
  return invalidFields([{ field: "expires_at", description }], (violation) => violation.description);
}

function found(token: PersonalToken | undefined): PersonalToken {
  if (token === undefined) throw new DomainError("PAT_NOT_FOUND");
  return token;
}

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people have personal access tokens" });
}

/** Whoever may make what outlasts their session: a person in the session itself. @throws DomainError NOT_AUTHORIZED, ADDRESS_UNPROVEN */
function requireMaker(caller: Caller): UserPrincipal {
  const user = requireUser(caller);
  if (user.credentialKind !== "session") {
    throw new DomainError("NOT_AUTHORIZED", {
      detail: "tokens are made in a session, not by an access token",
    });
  }
  requireProven(user);
  return user;
}
