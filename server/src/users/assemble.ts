import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { User as UserMessage } from "@vestibule/proto/vestibule/v1/user_pb";
import { UserService as UserServiceSchema } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { listCacheMetrics } from "../changes/cache-metrics.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { Accounts, type AccountsOptions } from "./accounts.ts";
import { createUserHandler, toUserMessage } from "./handler.ts";
import { createIdentityMethods } from "./identity-handler.ts";
import { IdentityService, type IdentityServiceOptions } from "./identity-service.ts";
import { UserService, type UserServiceOptions } from "./service.ts";
import { findUser } from "./store.ts";
import { deleteExpiredUndos } from "./undo-store.ts";

/** Bound of the cache: entries, not bytes. */
const cachedUsers = 10_000;

/** What people stand on. */
export interface UserParts extends AccountsOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  /** Tells an owner of an identity that was parted from the account. Best effort: must not throw. */
  readonly onUnlink: IdentityServiceOptions["notify"];
  readonly onEmailChange: UserServiceOptions["onEmailChange"];
}

/** What others ask of people. */
export interface UsersRoom extends Room {
  readonly accounts: Accounts;
  readonly identities: IdentityService;
  /** A user as answered. */
  findMessage(id: string): Promise<UserMessage | undefined>;
}

/** Puts people together, their accounts and their identities. */
export function assembleUsers(parts: UserParts): UsersRoom {
  const { database, feed, audit, clock, hasPasskey, onUnlink } = parts;
  const messages = new InvalidatedCache<UserMessage>({ feed, topics: ["user"], maxEntries: cachedUsers });
  const identities = new IdentityService({ database, audit, clock, hasPasskey, notify: onUnlink });
  const loadMessage = async (id: string) => {
    const found = await findUser(database.reader, id);
    return found && toUserMessage(found);
  };
  return {
    accounts: new Accounts(parts),
    identities,
    findMessage: (id) => messages.get(id, loadMessage),
    services: [
      registerService(UserServiceSchema, createUserHandler(new UserService(parts))),
      registerService(AuthService, createIdentityMethods(identities)),
    ],
    sweeps: [{ kind: "email_undos", run: createExpirySweep(database, clock, deleteExpiredUndos) }],
    metrics: listCacheMetrics({ user_messages: messages }),
  };
}
