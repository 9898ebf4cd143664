import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import type { User as UserMessage } from "@vestibule/proto/vestibule/v1/user_pb";
import { UserService as UserServiceSchema } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import type { Avatars } from "../avatars/avatars.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { listCacheMetrics } from "../changes/cache-metrics.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { Accounts, type AccountsOptions } from "./accounts.ts";
import type { DeletionParts } from "./deletion.ts";
import { createProfileMethods, createUserHandler, toUserMessage } from "./handler.ts";
import { createIdentityMethods } from "./identity-handler.ts";
import { IdentityService, type IdentityServiceOptions } from "./identity-service.ts";
import { createPreferenceMethods } from "./preference-handler.ts";
import { PreferenceService } from "./preference-service.ts";
import { finishOldSearches } from "./search-backlog-store.ts";
import { UserService, type UserServiceOptions } from "./service.ts";
import { findUser } from "./store.ts";
import { deleteExpiredUndos } from "./undo-store.ts";
import type { User } from "./user.ts";

/** Bound of the cache: entries, not bytes. */
const cachedUsers = 10_000;

/** What people stand on. */
export interface UserParts extends AccountsOptions, Pick<DeletionParts, "strikeOut"> {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly avatars: Avatars;
  /** Tells an owner of an identity that was parted from the account. Best effort: must not throw. */
  readonly onUnlink: IdentityServiceOptions["notify"];
  readonly onEmailChange: UserServiceOptions["onEmailChange"];
}

/** What others ask of people. */
export interface UsersRoom extends Room {
  readonly accounts: Accounts;
  readonly identities: IdentityService;
  readonly users: UserService;
  /** A user as answered. */
  toMessage(user: User): UserMessage;
  /** The same, by their id; at once where it is in memory. */
  findMessage(id: string): UserMessage | Promise<UserMessage | undefined>;
}

/** Puts people together, their accounts and their identities. */
export function assembleUsers(parts: UserParts): UsersRoom {
  const { database, feed, audit, avatars, clock, hasPasskey, onUnlink } = parts;
  const messages = new InvalidatedCache<UserMessage>({ feed, topics: ["user"], maxEntries: cachedUsers });
  const identities = new IdentityService({ database, audit, clock, hasPasskey, notify: onUnlink });
  const users = new UserService(parts);
  const toMessage = (user: User) => toUserMessage(user, avatars);
  const loadMessage = async (id: string) => {
    const found = await findUser(database.reader, id);
    return found && toMessage(found);
  };
  return {
    accounts: new Accounts(parts),
    identities,
    users,
    toMessage,
    findMessage: (id) => messages.peek(id) ?? messages.get(id, loadMessage),
    services: [
      registerService(UserServiceSchema, createUserHandler(users, avatars)),
      registerService(AuthService, createProfileMethods(users, avatars)),
      registerService(AuthService, createIdentityMethods(identities)),
      registerService(FrontierService, createPreferenceMethods(new PreferenceService(parts))),
    ],
    sweeps: [
      { kind: "email_undos", run: createExpirySweep(database, clock, deleteExpiredUndos) },
      { kind: "search_backlog", run: createExpirySweep(database, clock, finishOldSearches) },
    ],
    metrics: listCacheMetrics({ user_messages: messages }),
  };
}
